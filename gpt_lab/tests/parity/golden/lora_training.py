"""`lora_training`: an adapter trained for some steps, with accumulation, a schedule, clipping and masked labels."""

import torch

from golden import exact_training, training
from golden.models import exact_model, language_model, save_adapter, save_model, trained, with_adapter

ABOUT = "AdamW on LoRA parameters only, schedule, clipping, accumulation, masked labels"


def make(case):
    """Fills the folder."""
    shape = case.choose(vocab_size=[61, 47], n_positions=[24, 31], n_embd=[32, 24], n_head=[4, 2], n_layer=[2, 3])
    spec = case.choose(r=[4, 3], lora_alpha=[16, 9], target_modules=[["c_attn"], ["c_attn", "c_proj"]])
    some = case.choose(
        steps=[25, 18],
        accum=[2, 3],
        lr=[0.02, 0.01],
        min_lr=[0.002, 0.0],
        warmup=[5, 3],
        decay_end=[20, 15],
        wd=[0.1, 0.02],
    )
    rows = case.choose(batch=[2, 3], length=[14, 11])
    model = language_model(case, **shape)
    adapted = with_adapter(case, model, spec, b_std=0.02)
    case.json |= {"model": save_model(case, model, "model"), "spec": spec}
    case.json["adapter_init"] = save_adapter(case, adapted, "adapter_init", spec)
    batches = masked(case, some["steps"] * some["accum"], shape["vocab_size"], **rows)
    inputs = case.tensors("inputs", batches)

    def batch(step, micro):
        row = step * some["accum"] + micro
        return inputs["input_ids"][row], inputs["labels"][row]

    train(case, adapted, spec, batch, some)


def train(case, adapted, spec, batch, some):
    """Trains the adapter as PyTorch does, and compares."""
    params = trained(adapted)

    def loss_of(step, micro):
        ids, labels = batch(step, micro)
        return adapted(ids, labels=labels).loss

    hyper = training.hyperparameters(params, loss_of, always, **some)
    losses, norms = training.train(params, loss_of, hyper, always)
    clipped = training.clipped_steps(norms, hyper["clip"])
    case.json |= {"hyper": hyper, "weight_decay_on": "all adapter tensors", "steps_clipped": clipped}
    case.json |= {"loss_per_micro_batch": losses, "grad_norm_per_step": norms}
    case.tensors("expected", {"loss": torch.tensor(losses), "grad_norm": torch.tensor(norms)})
    case.tensors("expected_adapter", params)
    case.note(f"clipped {len(clipped)}/{hyper['steps']} steps, loss {losses[0]:.3f} -> {losses[-1]:.3f}")
    compare(case, spec, batch, hyper, losses, norms, params)


def always(_):
    """Weight decay on every tensor of the adapter."""
    return True


def masked(case, count, vocab, batch, length):
    """Random ids, and labels of which about a third is -100; at least the last of each row counts."""
    ids = case.ids(count, batch, length, vocab=vocab)
    hidden = torch.from_numpy(case.rng.random((count, batch, length)) < 0.3)
    hidden[..., -1] = False
    return {"input_ids": ids, "labels": ids.masked_fill(hidden, -100)}


def exact_loss_on(exact, batch):
    """The loss of one small batch by our own model."""
    return lambda step, micro: exact.loss(*batch(step, micro))


def compare(case, spec, batch, hyper, losses, norms, params):
    """The same training with our own model and AdamW, in both precisions: rounding adds up over the steps."""
    for dtype in (torch.float64, torch.float32):
        exact = exact_model(case, "model", "adapter_init", spec, dtype)
        exact_losses, exact_norms = exact_training.train(exact.adapter, exact_loss_on(exact, batch), hyper, always)
        case.compare("loss", losses, exact_losses)
        case.compare("grad_norm", norms, exact_norms)
        for name, param in params.items():
            case.compare("final_adapter", param, exact.adapter[name])
