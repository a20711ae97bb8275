"""`gpt2_forward`: logits, loss, everything on the way, and every gradient, from two layouts of one checkpoint."""

import torch
from safetensors.torch import load_file

from golden.models import exact_model, gradients, language_model, save_model

ABOUT = "GPT2LMHeadModel forward, LM loss and full backward; two checkpoint layouts"


def make(case):
    """Fills the folder."""
    shape = case.choose(
        vocab_size=[97, 71, 113],
        n_positions=[48, 37, 40],
        n_embd=[40, 36, 24],
        n_head=[4, 2],
        n_layer=[3, 2, 4],
        activation_function=["gelu_new", "gelu"],
        scale_attn_by_inverse_layer_idx=[False, True],
    )
    rows = case.choose(batch=[2, 3, 1], length=[17, 23, 30])
    model = language_model(case, **shape)
    case.json["models"] = {"hf": save_model(case, model, "model_hf"), "bare": save_bare(case, shape)}
    ids = case.ids(rows["batch"], rows["length"], vocab=shape["vocab_size"])
    case.tensors("inputs", {"input_ids": ids})
    found = case.tensors("expected", outputs(model, ids))
    params = dict(model.named_parameters())
    grads = case.tensors("expected_grads", gradients(found["loss"], params))
    case.json["loss"] = found["loss"].item()
    case.json["ignore_tensors"] = [f"h.{layer}.attn.bias" for layer in range(shape["n_layer"])]
    case.json["parameter_count"] = sum(param.numel() for param in params.values())
    compare(case, found, grads, ids)


def outputs(model, ids):
    """Results of transformers. Hooks, because its hidden states have the last block's output only after ln_f."""
    blocks = []
    hooks = [block.register_forward_hook(lambda _, __, out: blocks.append(out)) for block in model.transformer.h]
    out = model(ids, labels=ids, output_hidden_states=True, output_attentions=True)
    for hook in hooks:
        hook.remove()
    blocks = [block[0] if isinstance(block, tuple) else block for block in blocks]
    return {
        "logits": out.logits,
        "loss": out.loss,
        "embeddings": out.hidden_states[0],
        "block_out.0": blocks[0],
        "block_out.1": blocks[1],
        "final_hidden": out.hidden_states[-1],
        "attn_probs.0": out.attentions[0],
    }


def save_bare(case, shape):
    """The layout of the first GPT-2 files: names without `transformer.`, and the causal masks among the tensors."""
    hf, bare = case.dir / "model_hf", case.dir / "model_bare"
    bare.mkdir()
    (bare / "config.json").write_bytes((hf / "config.json").read_bytes())
    named = load_file(hf / "model.safetensors")
    tensors = {name.removeprefix("transformer."): tensor for name, tensor in named.items()}
    mask = torch.ones(1, 1, shape["n_positions"], shape["n_positions"]).tril()
    masks = {f"h.{layer}.attn.bias": mask.clone() for layer in range(shape["n_layer"])}
    case.write("model_bare/model.safetensors", tensors | masks)
    return "model_bare"


def compare(case, found, grads, ids):
    """Recomputes all of it in float64."""
    exact = exact_model(case, "model_hf")
    trace, loss = exact.forward(ids), exact.loss(ids, ids)
    case.compare("logits", found["logits"], exact.logits(ids))
    case.compare("loss", found["loss"], loss)
    case.compare("embeddings", found["embeddings"], trace.embeddings)
    case.compare("block_out", found["block_out.0"], trace.block_out[0])
    case.compare("block_out", found["block_out.1"], trace.block_out[1])
    case.compare("final_hidden", found["final_hidden"], trace.final_hidden)
    case.compare("attn_probs", found["attn_probs.0"], trace.attn_probs[0])
    for name, grad in gradients(loss, exact.weights).items():
        case.compare("grad", grads[name], grad)
