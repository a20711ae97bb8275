"""`lora_forward`: four adapters of PEFT, three on one base and one on its twin with a score head."""

import contextlib
import io

from golden.models import exact_model, gradients, language_model, save_adapter, save_model, scale_of, score_model
from golden.models import trained, with_adapter

ABOUT = "PEFT adapters on one base: outputs, merge, gradients, counts"


def make(case):
    """Fills the folder."""
    shape = case.choose(
        vocab_size=[89, 67, 101], n_positions=[40, 33], n_embd=[40, 30, 20], n_head=[5, 2], n_layer=[2, 3]
    )
    rows = case.choose(batch=[2, 3], length=[13, 11, 17])
    model, scoring = language_model(case, **shape), score_model(case, **shape)
    scoring.transformer.load_state_dict(model.transformer.state_dict())  # the same body
    case.json["model"] = save_model(case, model, "model")
    save_model(case, scoring, "model_score")
    ids = case.ids(rows["batch"], rows["length"], vocab=shape["vocab_size"])
    case.tensors("inputs", {"input_ids": ids})
    specs, adapters = specs_of_adapters(case), {}
    expected, grads, merged = {"base.logits": model(ids).logits}, {}, {}
    for name in "abc":
        adapted = with_adapter(case, model, specs[name])
        adapters[name] = about(case, adapted, name, specs[name])
        outputs(case, adapted, name, specs[name], ids, expected, grads)
        adapters[name]["merged_vs_unmerged_max_abs"] = merge(case, adapted, name, specs[name], ids, expected, merged)
    adapted = with_adapter(case, scoring, specs["d"])
    adapters["d"] = about(case, adapted, "d", specs["d"]) | {"model": "model_score"}
    scores(case, adapted, specs["d"], ids, expected)
    case.json["adapters"] = adapters
    for name, tensors in [("expected", expected), ("expected_grads", grads), ("expected_merged", merged)]:
        case.tensors(name, tensors)


def specs_of_adapters(case):
    """Settings of the four adapters: one target; several and dropout; rank-stabilised; with a score head."""
    some = case.choose(
        a=[(4, 32), (2, 8), (6, 10)],
        b=[(3, 7), (2, 16), (5, 5)],
        c=[(4, 6), (9, 5), (2, 3)],
        d=[(2, 16), (3, 12)],
        several=[["c_attn", "c_proj", "c_fc"], ["c_proj", "c_attn"], ["c_fc", "attn.c_proj"]],
        two=[["c_attn", "c_fc"], ["c_proj"]],
    )
    more = {
        "a": {"target_modules": ["c_attn"]},
        "b": {"target_modules": some["several"], "lora_dropout": 0.1},
        "c": {"target_modules": some["two"], "use_rslora": True},
        "d": {"target_modules": ["c_attn"], "modules_to_save": ["score"]},
    }
    return {name: {"r": some[name][0], "lora_alpha": some[name][1]} | more[name] for name in more}


def about(case, adapted, name, spec):
    """Saves the adapter; its folder, settings and numbers of parameters, with the line that PEFT prints."""
    folder = save_adapter(case, adapted, f"adapter_{name}", spec)
    trainable, every = adapted.get_nb_trainable_parameters()
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        adapted.print_trainable_parameters()
    parameters = {"trainable": trainable, "all": every, "printed": printed.getvalue().strip()}
    return {"dir": folder, "spec": spec, "scale": scale_of(spec), "parameters": parameters}


def outputs(case, adapted, name, spec, ids, expected, grads):
    """Logits, loss and gradients of one adapter, and once the logits without it."""
    out, exact = adapted(ids, labels=ids), exact_model(case, "model", f"adapter_{name}", spec)
    expected |= {f"{name}.logits": out.logits, f"{name}.loss": out.loss}
    case.compare("logits", out.logits, exact.logits(ids))
    case.compare("loss", out.loss, exact.loss(ids, ids))
    exact_grads = gradients(exact.loss(ids, ids), exact.adapter)
    for key, grad in gradients(out.loss, trained(adapted)).items():
        grads[f"{name}.{key}"] = grad
        case.compare("grad", grad, exact_grads[key])
    if name == "a":
        with adapted.disable_adapter():
            expected["a.disabled_logits"] = adapted(ids).logits
        case.compare("logits", expected["a.disabled_logits"], exact.base().logits(ids))
        case.compare("logits", expected["base.logits"], exact.base().logits(ids))


def merge(case, adapted, name, spec, ids, expected, merged):
    """Merges the adapter into the weights, and returns how far that moves the logits. Of b and c the first layer's
    weights will do."""
    exact = exact_model(case, "model", f"adapter_{name}", spec)
    adapted.merge_adapter()
    for key, weight in adapted.base_model.model.named_parameters():
        if key.endswith(".base_layer.weight") and (name == "a" or ".h.0." in key):
            key = key.replace(".base_layer", "")
            merged[f"{name}.{key}"] = weight
            case.compare("merged_weight", weight, exact.merged(key))
    logits = adapted(ids).logits
    case.compare("logits", logits, exact.logits(ids))
    if name == "a":
        expected["a.merged_logits"] = logits
    moved = (logits - expected[f"{name}.logits"]).abs().max().item()
    case.note(f"{name}: merged against unmerged {moved:.1e}")
    return moved


def scores(case, adapted, spec, ids, expected):
    """Scores at every position, with the adapter and its head and without both."""
    exact = exact_model(case, "model_score", "adapter_d", spec)
    body, head = adapted.base_model.model.transformer, adapted.base_model.model.score
    expected["d.scores"] = head(body(ids).last_hidden_state).squeeze(-1)
    with adapted.disable_adapter():
        expected["d.disabled_scores"] = head(body(ids).last_hidden_state).squeeze(-1)
    case.compare("scores", expected["d.scores"], exact.scores(ids))
    case.compare("scores", expected["d.disabled_scores"], exact.base().scores(ids))
