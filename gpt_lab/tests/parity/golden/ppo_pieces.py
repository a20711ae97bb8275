"""`ppo_pieces`: KL-shaped rewards, advantages, whitening, the clipped losses of policy and value, their gradients."""

import torch

from golden import exact_ppo

ABOUT = "KL-shaped rewards, GAE, whitening, clipped policy and value losses"
PADDING = 7.5  # beyond the length; must have no effect
BY_TOKEN = ("kl", "rewards", "advantages", "returns", "whitened_advantages", "grad_new_logps", "grad_values_new")
NAMES = {"old": "old_logps", "ref": "ref_logps", "new": "new_logps", "v_old": "values_old", "v_new": "values_new"}


def make(case):
    """Fills the folder."""
    settings = case.choose(
        gamma=[0.97, 1.0, 0.9], lam=[0.9, 0.95], kl=[0.2, 0.05], clip=[0.2, 0.1], vclip=[0.25, 0.2], vf=[0.1, 0.5]
    )
    rows = case.choose(count=[6, 4], width=[9, 12])
    inputs = case.tensors("inputs", tensors(case, **rows))
    found = pieces(inputs, settings)
    case.json["settings"] = settings
    case.tensors("expected", found)
    case.json["numbers"] = {name: tensor.item() for name, tensor in found.items() if tensor.dim() == 0}
    fractions = (found["policy_clip_fraction"].item(), found["value_clip_fraction"].item())
    case.note(f"clipped {fractions[0]:.2f} of the policy's terms, {fractions[1]:.2f} of the values'")
    compare(case, inputs, settings, found)


def tensors(case, count, width):
    """Random log-probabilities, values, scores and lengths."""
    lengths = case.lengths(count, 2, width)
    mask = torch.arange(width) < lengths[:, None]
    old = -case.normal(count, width).abs() - 0.5
    v_old = case.normal(count, width, std=0.5)
    near = {
        "old_logps": old,
        "ref_logps": old + case.normal(count, width, std=0.3),
        "new_logps": old + case.normal(count, width, std=0.25),
        "values_old": v_old,
        "values_new": v_old + case.normal(count, width, std=0.3),
    }
    inputs = {name: tensor.masked_fill(~mask, PADDING) for name, tensor in near.items()}
    return inputs | {"scores": case.normal(count, std=1.5), "lengths": lengths, "mask": mask.long()}


def pieces(inputs, settings):
    """All results for whole tensors (n, T), float32, with gradients by autograd."""
    real = inputs["mask"].bool()
    found = shaped(inputs, real, settings)
    old, v_old = inputs["old_logps"], inputs["values_old"]
    new, v_new = (inputs[name].clone().requires_grad_() for name in ("new_logps", "values_new"))
    ratio = torch.where(real, new - old, 0.0).exp()
    free = -found["whitened_advantages"] * ratio
    clamped = -found["whitened_advantages"] * ratio.clamp(1 - settings["clip"], 1 + settings["clip"])
    near = torch.minimum(torch.maximum(v_new, v_old - settings["vclip"]), v_old + settings["vclip"])
    squares, near_squares = (v_new - found["returns"]) ** 2, (near - found["returns"]) ** 2
    policy_loss = torch.maximum(free, clamped)[real].mean()
    value_loss = 0.5 * torch.maximum(squares, near_squares)[real].mean()
    total_loss = policy_loss + settings["vf"] * value_loss
    grad_new, grad_values = torch.autograd.grad(total_loss, [new, v_new])
    return found | {
        "policy_loss": policy_loss,
        "value_loss": value_loss,
        "total_loss": total_loss,
        "grad_new_logps": grad_new,
        "grad_values_new": grad_values,
        "policy_clip_fraction": (clamped > free)[real].float().mean(),
        "value_clip_fraction": (near_squares > squares)[real].float().mean(),
        "approx_kl": 0.5 * ((new - old) ** 2)[real].mean(),
        "mean_kl": found["kl"].sum(1).mean(),
    }


def shaped(inputs, real, settings):
    """Rewards, advantages and returns, zero under the mask."""
    kl = (inputs["old_logps"] - inputs["ref_logps"]) * real
    values = inputs["values_old"] * real
    last = torch.arange(kl.shape[1]) == inputs["lengths"][:, None] - 1
    rewards = -settings["kl"] * kl + torch.where(last, inputs["scores"][:, None], 0.0)
    advantages = gae(rewards, values, settings["gamma"], settings["lam"]) * real
    chosen = advantages[real]
    whitened = (advantages - chosen.mean()) / (chosen.var() + 1e-8).sqrt() * real
    return {
        "kl": kl,
        "rewards": rewards,
        "advantages": advantages,
        "returns": advantages + values,
        "whitened_advantages": whitened,
    }


def gae(rewards, values, gamma, lam):
    """Advantages column by column; rewards and values beyond the end are zero."""
    later, columns = torch.zeros_like(rewards[:, 0]), []
    for at in reversed(range(rewards.shape[1])):
        value_after = values[:, at + 1] if at + 1 < rewards.shape[1] else torch.zeros_like(later)
        later = rewards[:, at] + gamma * value_after - values[:, at] + gamma * lam * later
        columns.append(later)
    return torch.stack(columns[::-1], 1)


def compare(case, inputs, settings, found):
    """Recomputes all of it in float64 from the real tokens alone: the padding has no part in it."""
    lengths = inputs["lengths"].tolist()
    rows = []
    for row, length in enumerate(lengths):
        rows.append({short: inputs[name][row, :length].tolist() for short, name in NAMES.items()})
    exact = exact_ppo.pieces(rows, inputs["scores"].tolist(), settings)
    for name, number in exact.items():
        case.compare(name, found[name], torch.tensor(number, dtype=torch.float64))
    for name in BY_TOKEN:
        padded = torch.zeros(found[name].shape, dtype=torch.float64)
        for row, length in enumerate(lengths):
            padded[row, :length] = torch.tensor(rows[row][name], dtype=torch.float64)
        case.compare(name, found[name], padded)
