"""Random GPT-2s of transformers and random adapters of PEFT.

Their usual initial values (small, with zero biases and a zero B) would hide mistakes: here every tensor matters.
"""

import copy
import json

import torch
from peft import LoraConfig, get_peft_model
from transformers import GPT2Config, GPT2ForSequenceClassification, GPT2LMHeadModel

from golden.exact_gpt2 import ExactGpt2

NO_DROPOUT = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}


def language_model(case, gain=1.0, embedding=0.35, **shape):
    """A GPT-2 that predicts the next token. `gain` is the size of the matrices, `embedding` that of wte."""
    config = GPT2Config(bos_token_id=None, eos_token_id=None, attn_implementation="eager", **NO_DROPOUT, **shape)
    return randomized(case, GPT2LMHeadModel(config), gain, embedding)


def score_model(case, **shape):
    """A GPT-2 with one score at each position. Id 0 is its padding."""
    config = GPT2Config(bos_token_id=None, eos_token_id=None, pad_token_id=0, num_labels=1, **NO_DROPOUT, **shape)
    return randomized(case, GPT2ForSequenceClassification(config), 1.0, 0.35)


def randomized(case, model, gain, embedding):
    """The model in eval mode with new values in all its parameters."""
    for name, param in model.named_parameters():
        param.data.copy_(initial(case, name, param.shape, gain, embedding))
    return model.eval()


def initial(case, name, shape, gain, embedding):
    """Random values for the parameter of this name."""
    if name.endswith("bias"):
        return case.normal(*shape, std=0.15)
    if ".ln_" in name:
        return case.normal(*shape, std=0.25, mean=1.0)
    if name.endswith(("wpe.weight", "score.weight")):
        return case.normal(*shape, std=0.25)
    if name.endswith("wte.weight"):
        return case.normal(*shape, std=embedding)
    return case.normal(*shape, std=gain * shape[0] ** -0.5)  # Conv1D: (in, out)


def save_model(case, model, folder):
    """Saves a model as transformers does, and returns the name of the folder."""
    model.save_pretrained(case.dir / folder)
    return folder


def with_adapter(case, model, spec, b_std=0.06):
    """A copy of the model with a random adapter. B is not zero, so that the adapter does something."""
    scoring = isinstance(model, GPT2ForSequenceClassification)
    task = "SEQ_CLS" if scoring else "CAUSAL_LM"
    options = {name: list(value) if isinstance(value, tuple) else value for name, value in spec.items()}
    config = LoraConfig(task_type=task, fan_in_fan_out=True, **options)
    adapted = get_peft_model(copy.deepcopy(model), config).eval()
    for name, param in adapted.named_parameters():
        if param.requires_grad:
            std = param.shape[1] ** -0.5 if "lora_A" in name else b_std if "lora_B" in name else 0.5
            param.data.copy_(case.normal(*param.shape, std=std))
    return adapted


def save_adapter(case, adapted, folder, spec):
    """Saves an adapter as PEFT does, without its README, and returns the name of the folder."""
    path = case.dir / folder
    adapted.save_pretrained(path)
    (path / "README.md").unlink()
    config = json.loads((path / "adapter_config.json").read_text())
    # PEFT keeps the targets in a set, whose order changes from run to run.
    config |= {"target_modules": list(spec["target_modules"]), "base_model_name_or_path": "model"}
    (path / "adapter_config.json").write_text(json.dumps(config, indent=2))
    return folder


def scale_of(spec):
    """The factor on B A x: lora_alpha / r, or lora_alpha / √r."""
    return spec["lora_alpha"] / (spec["r"] ** 0.5 if spec.get("use_rslora") else spec["r"])


def saved_key(name):
    """A trained parameter's key in PEFT's file."""
    return name.replace(".default.", ".").replace(".modules_to_save.", ".")


def trained(adapted):
    """The trained parameters under the keys of PEFT's file."""
    return {saved_key(name): param for name, param in adapted.named_parameters() if param.requires_grad}


def gradients(loss, params):
    """Gradient of the loss with respect to every one of these parameters, by name."""
    return dict(zip(params, torch.autograd.grad(loss, list(params.values()))))


def exact_model(case, folder, adapter=None, spec=None, dtype=torch.float64):
    """The same model for the recomputation, read from the saved files."""
    return ExactGpt2.load(case.dir / folder, adapter and case.dir / adapter, scale_of(spec) if spec else 0.0, dtype)
