"""GPT-2 with LoRA once more, in float64 and without any module of PyTorch.

Letters: B rows, T positions, V vocabulary, E width, H heads, D = E / H, r rank of an adapter. GPT-2 keeps its weights
as (in, out). Names are those of the checkpoint: `transformer.h.0.attn.c_attn.weight` and so on.
"""

import json
import math
from dataclasses import dataclass, field

import torch
from safetensors.torch import load_file


@dataclass
class Trace:
    """The intermediate results of a forward pass."""

    embeddings: torch.Tensor = None  # (B, T, E)
    block_out: list = field(default_factory=list)  # (B, T, E) for each block
    attn_probs: list = field(default_factory=list)  # (B, H, T, T) for each block
    final_hidden: torch.Tensor = None  # (B, T, E)


class ExactGpt2:
    """A configuration, the weights by name, and an adapter's tensors by their keys in PEFT's file."""

    def __init__(self, config, weights, adapter, scale):
        self.config, self.weights, self.adapter, self.scale = config, weights, adapter, scale

    @classmethod
    def load(cls, folder, adapter_folder=None, scale=0.0, dtype=torch.float64):
        """The model of a folder, with the adapter of another one if there is one."""
        config = json.loads((folder / "config.json").read_text())
        weights = load(folder / "model.safetensors", dtype)
        adapter = load(adapter_folder / "adapter_model.safetensors", dtype) if adapter_folder else {}
        return cls(config, weights, adapter, scale)

    def logits(self, ids):
        """(B, T) to (B, T, V): the output head is wte, transposed."""
        return self.forward(ids).final_hidden @ self.weights["transformer.wte.weight"].T

    def loss(self, ids, labels):
        """Mean of -log p(labels[t] | ids[..t]) over t ≥ 1 without the labels -100."""
        log_probs = self.logits(ids)[:, :-1].log_softmax(-1)  # (B, T-1, V)
        labels = labels[:, 1:]
        return -pick(log_probs, labels.clamp(min=0))[labels != -100].mean()

    def scores(self, ids):
        """(B, T) to (B, T): an adapter's own score head takes the place of the model's."""
        score = self.adapter.get("base_model.model.score.weight", self.weights["score.weight"])
        return (self.forward(ids).final_hidden @ score.T).squeeze(-1)

    def forward(self, ids):
        """All that is computed up to ln_f."""
        trace = Trace()
        positions = self.weights["transformer.wpe.weight"][: ids.shape[1]]
        x = trace.embeddings = self.weights["transformer.wte.weight"][ids] + positions
        for layer in range(self.config["n_layer"]):
            name = f"transformer.h.{layer}"
            attended, probs = self.attention(self.layer_norm(x, f"{name}.ln_1"), layer)
            x = x + attended
            x = x + self.mlp(self.layer_norm(x, f"{name}.ln_2"), f"{name}.mlp")
            trace.block_out.append(x)
            trace.attn_probs.append(probs)
        trace.final_hidden = self.layer_norm(x, "transformer.ln_f")
        return trace

    def attention(self, x, layer):
        """softmax(Q Kᵀ / √D + causal mask) V, projected; and the probabilities."""
        name = f"transformer.h.{layer}.attn"
        q, k, v = (self.heads(part) for part in self.linear(x, f"{name}.c_attn").chunk(3, dim=-1))  # (B, H, T, D)
        scale = q.shape[-1] ** -0.5
        if self.config["scale_attn_by_inverse_layer_idx"]:
            scale /= layer + 1
        future = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).triu(1)
        probs = (q @ k.mT * scale).masked_fill(future, -math.inf).softmax(-1)  # (B, H, T, T)
        merged = (probs @ v).transpose(1, 2).flatten(2)  # (B, T, E)
        return self.linear(merged, f"{name}.c_proj"), probs

    def heads(self, x):
        """(B, T, E) to (B, H, T, D)."""
        return x.unflatten(-1, (self.config["n_head"], -1)).transpose(1, 2)

    def mlp(self, x, name):
        """Out and back again, with a GELU in between."""
        gelu = GELUS[self.config["activation_function"]]
        return self.linear(gelu(self.linear(x, f"{name}.c_fc")), f"{name}.c_proj")

    def linear(self, x, name):
        """x W + b, and with an adapter + s (x Aᵀ) Bᵀ."""
        y = x @ self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"]
        key = f"base_model.model.{name}"
        if f"{key}.lora_A.weight" not in self.adapter:
            return y
        a, b = self.adapter[f"{key}.lora_A.weight"], self.adapter[f"{key}.lora_B.weight"]  # (r, in), (out, r)
        return y + self.scale * (x @ a.T) @ b.T

    def merged(self, name):
        """W + s (B A)ᵀ of one matrix."""
        key = f"base_model.model.{name.removesuffix('.weight')}"
        a, b = self.adapter[f"{key}.lora_A.weight"], self.adapter[f"{key}.lora_B.weight"]
        return self.weights[name] + self.scale * (b @ a).T

    def layer_norm(self, x, name):
        """Mean 0 and variance 1 over the width, then a gain and a bias."""
        centred = x - x.mean(-1, keepdim=True)
        variance = centred.square().mean(-1, keepdim=True)
        normal = centred / (variance + self.config["layer_norm_epsilon"]).sqrt()
        return normal * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"]

    def base(self):
        """The same model without its adapter."""
        return ExactGpt2(self.config, self.weights, {}, 0.0)


def load(path, dtype):
    """The tensors of a file in this precision, with gradients."""
    return {name: tensor.to(dtype).requires_grad_() for name, tensor in load_file(path).items()}


def gelu_exact(x):
    """x Φ(x), with the normal distribution's Φ."""
    return 0.5 * x * (1 + torch.erf(x / math.sqrt(2)))


def gelu_tanh(x):
    """The approximation that GPT-2 was trained with."""
    return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


GELUS = {"gelu": gelu_exact, "gelu_new": gelu_tanh}


def pick(values, ids):
    """The values (..., V) at these ids (...)."""
    return values.gather(-1, ids.unsqueeze(-1)).squeeze(-1)
