"""`bad_input`: broken folders and calls, with the class of error and the things that its message must name.

An item's broken folder has the item's name.
"""

import json
import math
import shutil
import warnings

import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer, GPT2LMHeadModel

from golden import tokenizer
from golden.models import exact_model, language_model, save_adapter, save_model, with_adapter

ABOUT = "broken folders and calls with the class of error expected; the good_* folders must work"
SPEC = {"r": 2, "lora_alpha": 4, "target_modules": ["c_attn"]}
VICTIM = "transformer.h.1.mlp.c_fc.weight"  # missing, cut, transposed or not a number
TENSORS = "adapter_model.safetensors"
TARGET = "base_model.model.transformer.h.{}.attn.c_attn.lora_{}.weight"


def make(case):
    """Fills the folder."""
    shape = case.choose(vocab_size=[19, 23], n_positions=[12, 10], n_embd=[8, 12], n_head=[2, 4]) | {"n_layer": 2}
    good(case, shape)
    items = files(case) + configs(case, shape) + weights(case, shape) + adapters(case, shape)
    items += [larger_tokenizer(case, shape)] + calls(shape)
    for one in items:
        one["python_stack"] = python_stack(case, one)
    case.json |= {"items": items, "error_classes": sorted({one["error"] for one in items})}


def good(case, shape):
    """A model and an adapter that work, or refusing everything would pass."""
    model = language_model(case, **shape)
    adapted = with_adapter(case, model, SPEC)
    save_model(case, model, "good_model")
    save_adapter(case, adapted, "good_adapter", SPEC)
    ids = case.ids(1, 5, vocab=shape["vocab_size"])
    found = {"input_ids": ids, "logits": model(ids).logits, "lora_logits": adapted(ids).logits}
    case.write("good_expected.safetensors", found)
    exact = exact_model(case, "good_model", "good_adapter", SPEC)
    case.compare("logits", found["logits"], exact.base().logits(ids))
    case.compare("logits", found["lora_logits"], exact.logits(ids))
    case.json["good"] = {"model": "good_model", "adapter": "good_adapter", "expected": "good_expected.safetensors"}


def item(name, action, error, about, names, model="good_model", adapter=None, **more):
    """An input that must be refused. `names` are the parts that the message must contain."""
    return {
        "name": name,
        "action": action,
        "model": model,
        "adapter": adapter,
        "error": error,
        "message_must_name": names,
        "about": about,
    } | more


def files(case):
    """Files that are cut or not JSON, and a folder that does not exist."""
    whole = (case.dir / "good_model/model.safetensors").read_bytes()
    part = len(whole) * 2 // 3
    cut = f"tensor file is cut at {part} of {len(whole)} bytes"
    broken = [
        ("truncated", "model.safetensors", whole[:part], "TruncatedFile", cut),
        ("header_cut", "model.safetensors", whole[:5], "TruncatedFile", "file shorter than the 8-byte header length"),
        ("not_json", "config.json", b'{"n_embd": 8,,}\n', "InvalidConfig", "config.json does not parse"),
    ]
    items = []
    for name, file, data, error, about in broken:
        (copied(case, "good_model", name) / file).write_bytes(data)
        items.append(item(name, "load_model", error, about, [f"{name}/{file}"], name))
    items[0] |= {"expected_bytes": len(whole), "found_bytes": part}
    gone = "no_such_folder"
    return items + [item("missing_folder", "load_model", "FileNotFound", "folder does not exist", [gone], gone)]


def configs(case, shape):
    """Configurations that contradict themselves or the weights."""
    layers, width = shape["n_layer"], shape["n_embd"]
    more_layers = f"config asks for {layers + 1} layers, file holds {layers}"
    broken = [
        ("bad_heads", {"n_head": 5}, "n_embd is not a multiple of n_head", ["n_head", 5, "n_embd", width]),
        ("zero_heads", {"n_head": 0}, "zero heads: must not divide by zero", ["n_head"]),
        ("bad_act", {"activation_function": "swirl"}, "unknown activation", ["activation_function", "swirl"]),
        ("more_layers", {"n_layer": layers + 1}, more_layers, [f"h.{layers}."]),
    ]
    items = []
    for name, changes, about, names in broken:
        edit(copied(case, "good_model", name) / "config.json", changes)
        error, file = "InvalidConfig", "config.json"
        if name == "more_layers":
            error, file = "MissingTensor", "model.safetensors"
        items.append(item(name, "load_model", error, about, [f"{name}/{file}", *names], name))
    return items


def weights(case, shape):
    """One tensor that is absent, of another shape, or not finite."""
    right = [shape["n_embd"], 4 * shape["n_embd"]]
    narrow = [right[0], right[1] - 1]
    not_finite = "one element, [1, 2], is NaN; if loading does not scan, the first forward must refuse"
    broken = [
        ("missing_tensor", lambda _: None, "MissingTensor", "one weight is absent", None),
        ("wrong_shape", lambda w: w[:, 1:], "ShapeMismatch", "one weight has a column too few", narrow),
        ("transposed", lambda w: w.T, "ShapeMismatch", "Linear's (out, in) where GPT-2 keeps (in, out)", right[::-1]),
        ("nan_weight", with_nan, "NonFiniteWeight", not_finite, None),
    ]
    items = []
    for name, change, error, about, found in broken:
        path = copied(case, "good_model", name) / "model.safetensors"
        tensors = load_file(path)
        changed = change(tensors.pop(VICTIM))
        rewrite(path, tensors if changed is None else tensors | {VICTIM: changed})
        names = [f"{name}/model.safetensors", VICTIM.removeprefix("transformer.")]
        shapes = {"expected_shape": right, "found_shape": found} if found else {}
        items.append(item(name, "load_model", error, about, names + list(shapes.values()), name, **shapes))
    return items


def with_nan(weight):
    """The same with one element that is not a number."""
    weight[1, 2] = math.nan
    return weight


def adapters(case, shape):
    """Adapters that do not fit the base, lack a tensor, or use an unsupported method."""
    width, other = shape["n_embd"], shape["n_embd"] + 4
    wider = with_adapter(case, language_model(case, **shape | {"n_embd": other}), SPEC)
    save_adapter(case, wider, "adapter_other_base", SPEC)
    about = f"adapter was made for n_embd {other}, base has {width}"
    misfit = bad_tensors("adapter_other_base", about, ["h.0.attn.c_attn", "lora_A"], [2, width], [2, other])
    edit(copied(case, "good_adapter", "adapter_rank") / "adapter_config.json", {"r": 3})
    rank = bad_tensors("adapter_rank", "config says r=3, tensors have rank 2", ["lora_A"], [3, width], [2, width])
    rename(copied(case, "good_adapter", "adapter_no_b") / TENSORS, {TARGET.format(1, "B"): None})
    no_b = bad_tensors("adapter_no_b", "A without its B", ["h.1.attn.c_attn", "lora_B"], error="MissingTensor")
    names = {TARGET.format(1, side): TARGET.format(7, side) for side in "AB"}
    rename(copied(case, "good_adapter", "adapter_stray") / TENSORS, names)
    stray = bad_tensors("adapter_stray", "adapter tensors for a layer the base lacks", ["h.7.attn.c_attn"])
    dora = "a LoRA feature that changes the maths and is not implemented must not be ignored"
    return [
        misfit,
        rank,
        no_b,
        stray,
        other_method(case, "adapter_type", {"peft_type": "QUARK"}, "peft_type is not LORA", ["peft_type", "QUARK"]),
        other_method(case, "adapter_dora", {"use_dora": True}, dora, ["use_dora"]),
    ]


def bad_tensors(name, about, names, expected=None, found=None, error="AdapterBaseMismatch"):
    """An adapter whose tensors do not fit."""
    shapes = {"expected_shape": expected, "found_shape": found} if expected else {}
    names = [f"{name}/{TENSORS}", *names, *shapes.values()]
    return item(name, "load_adapter", error, about, names, adapter=name, **shapes)


def other_method(case, name, changes, about, names):
    """An adapter whose configuration asks for an unsupported method."""
    edit(copied(case, "good_adapter", name) / "adapter_config.json", changes)
    names = [f"{name}/adapter_config.json", *names]
    return item(name, "load_adapter", "UnsupportedPeftType", about, names, adapter=name)


def larger_tokenizer(case, shape):
    """A tokenizer of the 256 bytes and its special token, with a model of fewer ids."""
    folder = case.dir / "big_tokenizer"
    folder.mkdir()
    bytes_only = tokenizer.trained("", 257)
    bytes_only.save(str(folder / "tokenizer.json"))
    return item(
        "tokenizer_larger_than_model",
        "load_model_and_tokenizer",
        "VocabMismatch",
        "tokenizer can produce ids the embedding lacks",
        ["big_tokenizer/tokenizer.json", bytes_only.get_vocab_size(), shape["vocab_size"]],
        tokenizer="big_tokenizer/tokenizer.json",
        tokenizer_vocab=bytes_only.get_vocab_size(),
        model_vocab=shape["vocab_size"],
    )


def calls(shape):
    """Ids that no model of this shape can take."""
    vocab, limit = shape["vocab_size"], shape["n_positions"]
    about_id = f"id {vocab} with a vocabulary of {vocab}; name the id, its place and the limit"
    about_far = "an id of the full GPT-2 vocabulary"
    about_long = "one token more than n_positions"
    about_generate = "prompt fits, max_length does not; refuse before generating, or say so when the limit is met"
    too_long, sizes = "SequenceTooLong", {"found": limit + 3, "limit": limit, "max_length": limit + 3}
    return [
        outside("ids_out_of_range", about_id, [1, 2, vocab, 3], 2, vocab),
        outside("ids_far_out_of_range", about_far, [50256], 0, vocab),
        call("sequence_too_long", "forward", too_long, about_long, [limit + 1, limit], list(range(limit + 1))),
        call("generation_too_long", "generate", too_long, about_generate, [limit + 3, limit], [1, 2, 3], **sizes),
        call("empty_input", "forward", "EmptyInput", "a batch row without tokens", [], []),
    ]


def call(name, action, error, about, names, ids, **more):
    """A call with one row of ids."""
    return item(name, action, error, about, names, input_ids=[ids], **more)


def outside(name, about, ids, place, vocab):
    """A row with an id at this place that is not in the vocabulary."""
    bad = {"bad_id": ids[place], "bad_position": [0, place], "model_vocab": vocab}
    return call(name, "forward", "TokenOutOfRange", about, [ids[place], vocab], ids, **bad)


def copied(case, source, folder):
    """A copy of a good folder, to be broken."""
    return shutil.copytree(case.dir / source, case.dir / folder)


def edit(path, changes):
    """Changes entries of a JSON file."""
    path.write_text(json.dumps(json.loads(path.read_text()) | changes, indent=2) + "\n")


def rename(path, names):
    """Gives tensors of a file other names; those with None go."""
    kept = {names.get(name, name): tensor for name, tensor in load_file(path).items()}
    rewrite(path, {name: tensor for name, tensor in kept.items() if name is not None})


def rewrite(path, tensors):
    """Writes a file of tensors anew."""
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path, metadata={"format": "pt"})


def python_stack(case, one):
    """The class of error that transformers or PEFT raise for this input, or a note that they accept it."""
    with warnings.catch_warnings(action="ignore"):
        try:
            model = GPT2LMHeadModel.from_pretrained(case.dir / one["model"])
            attempt(case, model, one)
        except Exception as error:  # whatever they raise is what is asked for
            return type(error).__name__
    finite = all(param.isfinite().all() for param in model.parameters())
    return "no error" if finite else "no error, weights not finite"


def attempt(case, model, one):
    """The action of an item."""
    if one["action"] == "load_adapter":
        PeftModel.from_pretrained(model, case.dir / one["adapter"])
    elif one["action"] == "load_model_and_tokenizer":
        AutoTokenizer.from_pretrained((case.dir / one["tokenizer"]).parent)
    elif one["action"] == "forward":
        model(torch.tensor(one["input_ids"], dtype=torch.long))
    elif one["action"] == "generate":
        model.generate(torch.tensor(one["input_ids"]), max_length=one["max_length"], do_sample=False, pad_token_id=0)
