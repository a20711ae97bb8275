"""A training loop once more, in any precision: schedule, accumulation, clipping and AdamW without torch.optim."""

import math

import torch


def learning_rate(step, hyper):
    """Linear warm-up to lr, then half a cosine down to min_lr; steps count from 0."""
    warmup, end, lr, min_lr = (hyper[name] for name in ("warmup", "decay_end", "lr", "min_lr"))
    if step < warmup:
        return lr * (step + 1) / (warmup + 1)
    if step >= end:
        return min_lr
    return min_lr + 0.5 * (1 + math.cos(math.pi * (step - warmup) / (end - warmup))) * (lr - min_lr)


def train(params, loss_of, hyper, decays):
    """Trains these tensors in place. `loss_of(step, micro)` is the loss of one small batch; `decays(name)` says whether
    weight decay applies. Returns the losses of the small batches, and the norm of each step's gradient before clipping.
    """
    names, tensors = list(params), list(params.values())
    first, second = ([torch.zeros_like(tensor) for tensor in tensors] for _ in range(2))
    losses, norms = [], []
    for step in range(hyper["steps"]):
        grads = [torch.zeros_like(tensor) for tensor in tensors]
        for micro in range(hyper["accum"]):
            loss = loss_of(step, micro)
            losses.append(loss.item())
            found = torch.autograd.grad(loss / hyper["accum"], tensors)
            grads = [sum_ + grad for sum_, grad in zip(grads, found)]
        norms.append(math.sqrt(sum(grad.square().sum().item() for grad in grads)))
        clip = min(1.0, hyper["clip"] / (norms[-1] + 1e-6))
        for at, name in enumerate(names):
            decay = hyper["wd"] if decays(name) else 0.0
            adamw(tensors[at], grads[at] * clip, first[at], second[at], step, hyper, decay)
    return losses, norms


@torch.no_grad()
def adamw(param, grad, first, second, step, hyper, decay):
    """p ← p (1 - lr · decay) - lr · m̂ / (√v̂ + eps), with the averages m of the gradient and v of its square."""
    lr, (beta1, beta2) = learning_rate(step, hyper), hyper["betas"]
    first.mul_(beta1).add_((1 - beta1) * grad)
    second.mul_(beta2).add_((1 - beta2) * grad.square())
    mean = first / (1 - beta1 ** (step + 1))
    root = (second / (1 - beta2 ** (step + 1))).sqrt()
    param.copy_(param * (1 - lr * decay) - lr * mean / (root + hyper["eps"]))
