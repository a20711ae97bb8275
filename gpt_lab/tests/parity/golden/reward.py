"""`reward`: a score at the last real token, the pairwise loss, and its gradients."""

import torch
from torch.nn.functional import logsigmoid

from golden.models import exact_model, gradients, save_adapter, save_model, scale_of, score_model
from golden.models import trained, with_adapter

ABOUT = "GPT2Model + bias-free score at the last real token; pairwise loss"


def make(case):
    """Fills the folder."""
    shape = case.choose(
        vocab_size=[71, 59], n_positions=[32, 27], n_embd=[32, 24], n_head=[4, 2], n_layer=[2, 3], n_inner=[84, 50]
    )
    spec = case.choose(r=[4, 2], lora_alpha=[16, 6], target_modules=[["c_attn"], ["c_fc", "c_attn"]])
    spec["modules_to_save"] = ["score"]
    rows = case.choose(count=[5, 4], width=[15, 12])
    model = score_model(case, **shape)
    adapted = with_adapter(case, model, spec)
    folder, adapter = save_model(case, model, "model"), save_adapter(case, adapted, "adapter", spec)
    case.json |= {"model": folder, "adapter": adapter, "spec": spec, "scale": scale_of(spec), "pad_id": 0}
    sides = {side: padded(case, vocab=shape["vocab_size"], **rows) for side in ("chosen", "rejected")}
    inputs = {f"{side}_{what}": tensor for side, both in sides.items() for what, tensor in both.items()}
    case.tensors("inputs", inputs)
    rewards = {side: rewards_of(adapted, **sides[side]) for side in sides}
    loss, accuracy = pairwise(rewards["chosen"], rewards["rejected"])
    expected = {f"{side}_rewards": rewards[side] for side in sides} | {"loss": loss, "accuracy": accuracy}
    case.tensors("expected", expected)
    grads = case.tensors("expected_grads", gradients(loss, trained(adapted)))
    case.json |= {name: tensor.tolist() for name, tensor in expected.items()}
    case.note(f"loss {loss.item():.4f}, accuracy {accuracy.item():.2f}")
    compare(case, spec, sides, expected, grads)


def padded(case, count, width, vocab):
    """Random ids, padded with 0 on the right. But 0 is a real token too, of row 1 even the last one: only the lengths
    are right."""
    lengths = case.lengths(count, 3, width)
    ids = case.ids(count, width, vocab=vocab)
    ids[torch.arange(width) >= lengths[:, None]] = 0
    ids[1, lengths[1] - 1] = 0
    return {"ids": ids, "lengths": lengths}


def rewards_of(adapted, ids, lengths):
    """The adapter's score head at the last real token, one reward a row."""
    model = adapted.base_model.model
    return last(model.score(model.transformer(ids).last_hidden_state).squeeze(-1), lengths)


def last(scores, lengths):
    """(n, T) to (n): the score at position length - 1."""
    return scores[torch.arange(len(scores)), lengths - 1]


def pairwise(chosen, rejected):
    """Mean of -log σ(chosen - rejected), and how often the chosen one gets more."""
    return -logsigmoid(chosen - rejected).mean(), (chosen > rejected).float().mean()


def compare(case, spec, sides, expected, grads):
    """Recomputes all of it in float64."""
    exact = exact_model(case, "model", "adapter", spec)
    rewards = {side: last(exact.scores(sides[side]["ids"]), sides[side]["lengths"]) for side in sides}
    loss = torch.log1p(torch.exp(rewards["rejected"] - rewards["chosen"])).mean()
    for side in sides:
        case.compare("rewards", expected[f"{side}_rewards"], rewards[side])
    case.compare("loss", expected["loss"], loss)
    for name, grad in gradients(loss, exact.adapter).items():
        case.compare("grad", grads[name], grad)
