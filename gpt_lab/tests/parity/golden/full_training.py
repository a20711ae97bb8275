"""`full_training`: every parameter of a small GPT trained for some steps, once with each of the two GELUs."""

import torch

from golden import exact_training, training
from golden.models import exact_model, language_model, save_model

ABOUT = "char-GPT style training of every parameter; exact and tanh GELU"
# Run, activation and which tensors weight decay applies to.
RUNS = [("gelu_exact", "gelu", "matrices"), ("gelu_tanh", "gelu_new", "all")]


def make(case):
    """Fills the folder."""
    shape = case.choose(vocab_size=[53, 39], n_positions=[20, 17], n_embd=[24, 18], n_head=[3, 2], n_layer=[2, 3])
    some = case.choose(
        steps=[15, 12], lr=[0.004, 0.002], min_lr=[0.0004, 0.0], warmup=[4, 2], decay_end=[12, 10], wd=[0.1, 0.03]
    )
    rows = case.choose(batch=[3, 2], length=[16, 14])
    ids = case.ids(some["steps"], rows["batch"], rows["length"], vocab=shape["vocab_size"])
    case.tensors("inputs", {"input_ids": ids})
    models = {name: language_model(case, embedding=0.15, activation_function=kind, **shape) for name, kind, _ in RUNS}
    hyper = case.json["hyper"] = hyperparameters(models[RUNS[0][0]], ids, some)
    case.json["runs"], logits, gaps = {}, {}, []
    for name, activation, decay_on in RUNS:
        model, first = models[name], f"{name}.first_logits"
        folder = save_model(case, model, f"model_{name}")
        logits[first] = model(ids[0]).logits
        gaps.append(compare_first(case, folder, logits[first], ids[0]))
        about = {"model": folder, "activation_function": activation, "weight_decay_on": decay_on}
        case.json["runs"][name] = about | run(case, name, model, folder, ids, hyper, decay_on)
    case.tensors("expected", logits)
    case.json["first_logits_gap_if_gelu_is_swapped"] = gaps


def hyperparameters(model, ids, some):
    """The settings of both runs."""
    params = dict(model.named_parameters())
    return training.hyperparameters(params, loss_on(model, ids), decays_in(params, "matrices"), **some)


def loss_on(model, ids):
    """The loss of a step by transformers."""
    return lambda step, _: model(ids[step], labels=ids[step]).loss


def exact_loss_on(exact, ids):
    """The same by our own model."""
    return lambda step, _: exact.loss(ids[step], ids[step])


def decays_in(params, which):
    """Weight decay on all tensors, or on those of two dimensions (embeddings too)."""
    return lambda name: which == "all" or params[name].dim() == 2


def compare_first(case, folder, logits, ids):
    """The logits before training; and how much further off they would be with the other GELU."""
    exact = exact_model(case, folder)
    case.compare("first_logits", logits, exact.logits(ids))
    exact.config["activation_function"] = {"gelu": "gelu_new", "gelu_new": "gelu"}[exact.config["activation_function"]]
    return (exact.logits(ids) - logits).abs().max().item()


def run(case, name, model, folder, ids, hyper, decay_on):
    """Losses, norms and checksums of one training."""
    params = dict(model.named_parameters())
    decays = decays_in(params, decay_on)
    losses, norms = training.train(params, loss_on(model, ids), hyper, decays)
    clipped = len(training.clipped_steps(norms, hyper["clip"]))
    case.note(f"{name}: loss {losses[0]:.3f} -> {losses[-1]:.3f}, clipped {clipped}/{hyper['steps']}")
    # Our own loop in both precisions: rounding adds up over the steps.
    for dtype in (torch.float64, torch.float32):
        exact = exact_model(case, folder, dtype=dtype)
        exact_losses, exact_norms = exact_training.train(exact.weights, exact_loss_on(exact, ids), hyper, decays)
        case.compare("loss", losses, exact_losses)
        case.compare("grad_norm", norms, exact_norms)
        compare_final(case, params, exact.weights)
    checksums = {key: checksum(tensor) for key, tensor in without_key_bias(params).items()}
    return {"loss_per_step": losses, "grad_norm_per_step": norms, "final_checksums": checksums}


def without_key_bias(params):
    """The tensors to be compared. The keys' third of c_attn.bias shifts all scores of a row alike, which softmax does
    not see: its gradient is zero, and AdamW makes real steps of the rounding noise there."""
    kept = {}
    for name, param in params.items():
        if name.endswith("attn.c_attn.bias"):
            query, _, value = param.chunk(3)
            kept |= {f"{name}[query]": query, f"{name}[value]": value}
        else:
            kept[name] = param
    return kept


def compare_final(case, params, weights):
    """The trained tensors and their checksums; and, for the manifest, how far the key bias drifted apart."""
    found, exact = without_key_bias(params), without_key_bias(weights)
    for name in found:
        case.compare("final_weight", found[name], exact[name])
        ours, theirs = checksum(found[name]), checksum(exact[name])
        case.compare("checksum_sum", ours["sum"], theirs["sum"])
        case.compare("checksum_sumsq", ours["sumsq"], theirs["sumsq"])
    drifts = [params[name] - weights[name] for name in params if name.endswith("attn.c_attn.bias")]
    drift = torch.stack(drifts).abs().max().item()
    case.note(f"key bias drifts by {drift:.1e} against {next(iter(weights.values())).dtype} (left out of the checks)")


def checksum(tensor):
    """Shape, sum and sum of squares, summed in float64."""
    wide = tensor.detach().double()
    return {"shape": list(wide.shape), "sum": wide.sum().item(), "sumsq": wide.square().sum().item()}
