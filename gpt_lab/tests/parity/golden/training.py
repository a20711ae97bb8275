"""PyTorch's own training loop, for the two kinds that train."""

import math
import statistics

import torch

from golden.exact_training import learning_rate


def train(params, loss_of, hyper, decays):
    """As `exact_training.train`, with torch.optim.AdamW and clip_grad_norm_."""
    groups = [
        {"params": [param for name, param in params.items() if decays(name)], "weight_decay": hyper["wd"]},
        {"params": [param for name, param in params.items() if not decays(name)], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    optimizer = torch.optim.AdamW(groups, lr=hyper["lr"], betas=tuple(hyper["betas"]), eps=hyper["eps"])
    losses, norms = [], []
    for step in range(hyper["steps"]):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, hyper)
        optimizer.zero_grad()
        for micro in range(hyper["accum"]):
            loss = loss_of(step, micro)
            losses.append(loss.item())
            (loss / hyper["accum"]).backward()
        norms.append(torch.nn.utils.clip_grad_norm_(params.values(), hyper["clip"]).item())
        optimizer.step()
    return losses, norms


def hyperparameters(params, loss_of, decays, **hyper):
    """The settings of a run. The limit of the norm is the median of a first training without one, so that some steps
    are clipped and some are not."""
    hyper = {"accum": 1, "betas": [0.9, 0.95], "eps": 1e-8, "clip": math.inf} | hyper
    start = [param.detach().clone() for param in params.values()]
    _, norms = train(params, loss_of, hyper, decays)
    for param, value in zip(params.values(), start):
        param.data.copy_(value)
    hyper["clip"] = round(statistics.median(norms), 2)
    return hyper | {"lr_per_step": [learning_rate(step, hyper) for step in range(hyper["steps"])]}


def clipped_steps(norms, clip):
    """The steps whose gradient is clipped."""
    if min(abs(norm - clip) for norm in norms) < 1e-4:
        raise ValueError("a gradient's norm is too close to the limit to say whether it is clipped")
    return [step for step, norm in enumerate(norms) if norm > clip]
