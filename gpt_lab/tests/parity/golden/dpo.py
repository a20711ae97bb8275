"""`dpo`: log-probabilities of two answers under a policy (base and adapter) and a reference (base); the loss and its
gradients.
"""

import torch
from torch.nn.functional import logsigmoid

from golden.exact_gpt2 import pick
from golden.models import exact_model, gradients, language_model, save_adapter, save_model, scale_of
from golden.models import trained, with_adapter

ABOUT = "DPO: policy is base + LoRA, reference is the base"
SIDES = ("chosen", "rejected")


def make(case):
    """Fills the folder."""
    shape = case.choose(
        vocab_size=[67, 53],
        n_positions=[32, 29],
        n_embd=[32, 24],
        n_head=[2, 4],
        n_layer=[2, 3],
        layer_norm_epsilon=[0.002, 0.01],
    )
    spec = case.choose(r=[4, 2], lora_alpha=[12, 10], target_modules=[["c_attn", "c_proj"], ["c_attn"]])
    some = case.choose(beta=[0.1, 0.3], count=[4, 3], width=[16, 13])
    model = language_model(case, **shape)
    adapted = with_adapter(case, model, spec)
    folder, adapter = save_model(case, model, "model"), save_adapter(case, adapted, "adapter", spec)
    case.json |= {"model": folder, "adapter": adapter, "spec": spec, "scale": scale_of(spec)}
    case.json |= {"beta": some["beta"], "pad_id": 0}
    inputs = case.tensors("inputs", pairs(case, some["count"], some["width"], shape["vocab_size"]))
    logps = {f"policy_{side}": answer_logps(adapted, inputs, side) for side in SIDES}
    with adapted.disable_adapter():
        logps |= {f"reference_{side}": answer_logps(adapted, inputs, side) for side in SIDES}
    found = case.tensors("expected", losses(logps, some["beta"]))
    case.json["numbers"] = {name: tensor.tolist() for name, tensor in found.items()}
    grads = case.tensors("expected_grads", gradients(found["loss"], trained(adapted)))
    case.note(f"loss {found['loss'].item():.4f}, accuracy {found['accuracy'].item():.2f}")
    compare(case, spec, some["beta"], inputs, found, grads)


def pairs(case, count, width, vocab):
    """Two answers to each prompt, padded with 0 on the right; the lengths count the prompt."""
    prompts = case.lengths(count, 2, width // 3)
    inputs = {"prompt_lengths": prompts}
    start = case.ids(count, width, vocab=vocab)
    for side in SIDES:
        lengths = prompts + case.lengths(count, 1, width - width // 3)
        places = torch.arange(width)
        ids = torch.where(places < prompts[:, None], start, case.ids(count, width, vocab=vocab))
        inputs |= {f"{side}_ids": ids.masked_fill(places >= lengths[:, None], 0), f"{side}_lengths": lengths}
    return inputs


def answer_logps(model, inputs, side):
    """Σ log p(id[t] | before) over the answer's tokens, one sum a row."""
    ids = inputs[f"{side}_ids"]
    log_probs = pick(model(ids).logits[:, :-1].log_softmax(-1), ids[:, 1:])  # (n, T-1), of the tokens from 1 on
    places = torch.arange(1, ids.shape[1])
    answer = (places >= inputs["prompt_lengths"][:, None]) & (places < inputs[f"{side}_lengths"][:, None])
    return (log_probs * answer).sum(-1)


def losses(logps, beta):
    """Rewards, losses and accuracy from the log-probabilities, under the names of the expected tensors."""
    chosen, rejected = (beta * (logps[f"policy_{side}"] - logps[f"reference_{side}"]) for side in SIDES)
    per_pair = -logsigmoid(chosen - rejected)
    return {f"{name}_logps": sums for name, sums in logps.items()} | {
        "loss_per_pair": per_pair,
        "loss": per_pair.mean(),
        "chosen_rewards": chosen,
        "rejected_rewards": rejected,
        "accuracy": (chosen > rejected).float().mean(),
    }


def compare(case, spec, beta, inputs, found, grads):
    """Recomputes all of it in float64, token by token."""
    exact = exact_model(case, "model", "adapter", spec)
    logps = {f"policy_{side}": exact_logps(exact, inputs, side) for side in SIDES}
    logps |= {f"reference_{side}": exact_logps(exact.base(), inputs, side) for side in SIDES}
    chosen, rejected = (beta * (logps[f"policy_{side}"] - logps[f"reference_{side}"]) for side in SIDES)
    per_pair = torch.log1p(torch.exp(rejected - chosen))
    for name, sums in logps.items():
        case.compare("logps", found[f"{name}_logps"], sums)
    case.compare("implicit_rewards", found["chosen_rewards"], chosen)
    case.compare("implicit_rewards", found["rejected_rewards"], rejected)
    case.compare("loss", found["loss_per_pair"], per_pair)
    case.compare("loss", found["loss"], per_pair.mean())
    for name, grad in gradients(per_pair.mean(), exact.adapter).items():
        case.compare("grad", grads[name], grad)


def exact_logps(model, inputs, side):
    """As `answer_logps`, each row alone and without padding."""
    sums = []
    lengths = zip(inputs["prompt_lengths"].tolist(), inputs[f"{side}_lengths"].tolist())
    for ids, (prompt, length) in zip(inputs[f"{side}_ids"], lengths):
        log_probs = model.logits(ids[None, :length])[0].log_softmax(-1)
        sums.append(sum(log_probs[at - 1, ids[at]] for at in range(prompt, length)))
    return torch.stack(sums)
