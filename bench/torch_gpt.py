"""The chapter's GPT-2 in PyTorch, as a reader of the book would write it, with PyTorch's own fused attention.

Reads a folder that `gpt_lab_bench train init` wrote (config.json, model.safetensors, batches.safetensors), trains on exactly
those batches and prints one JSON object: the loss of each step and the seconds each step took.

    python torch_gpt.py FOLDER --steps 200 --lr 1e-3 --threads 2 [--compile]
"""
import argparse
import json
import pathlib
import time

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import nn


class Block(nn.Module):
    def __init__(self, n_embd, n_head, attn_bias):
        super().__init__()
        self.n_head = n_head
        self.ln_1 = nn.LayerNorm(n_embd)
        self.c_attn = nn.Linear(n_embd, 3 * n_embd, bias=attn_bias)
        self.attn_proj = nn.Linear(n_embd, n_embd)
        self.ln_2 = nn.LayerNorm(n_embd)
        self.c_fc = nn.Linear(n_embd, 4 * n_embd)
        self.mlp_proj = nn.Linear(4 * n_embd, n_embd)

    def forward(self, x):
        B, T, C = x.shape
        q, k, v = (t.view(B, T, self.n_head, C // self.n_head).transpose(1, 2)
                   for t in self.c_attn(self.ln_1(x)).split(C, dim=2))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.attn_proj(y.transpose(1, 2).reshape(B, T, C))
        return x + self.mlp_proj(F.gelu(self.c_fc(self.ln_2(x)), approximate="tanh"))


class Gpt(nn.Module):
    def __init__(self, config, weights):
        super().__init__()
        C, V = config["n_embd"], config["vocab_size"]
        bias = "transformer.h.0.attn.c_attn.bias" in weights
        self.wte = nn.Embedding(V, C)
        self.wpe = nn.Embedding(config["n_positions"], C)
        self.h = nn.ModuleList(Block(C, config["n_head"], bias) for _ in range(config["n_layer"]))
        self.ln_f = nn.LayerNorm(C)
        self.lm_head = nn.Linear(C, V, bias="lm_head.bias" in weights)
        if "lm_head.weight" not in weights:
            self.lm_head.weight = self.wte.weight
        self.load(weights)

    def load(self, weights):
        names = {"attn.c_attn": "c_attn", "attn.c_proj": "attn_proj", "mlp.c_fc": "c_fc", "mlp.c_proj": "mlp_proj"}
        own = dict(self.named_parameters())
        for name, value in weights.items():
            target = name.removeprefix("transformer.")
            for theirs, ours in names.items():
                if theirs in target:
                    target = target.replace(theirs, ours)
                    value = value.T if target.endswith("weight") else value  # Conv1D keeps (in, out)
            own[target].data.copy_(value)

    def forward(self, ids):
        x = self.wte(ids) + self.wpe(torch.arange(ids.shape[1]))
        for block in self.h:
            x = block(x)
        return self.lm_head(self.ln_f(x))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--compile", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)

    config = json.loads((args.folder / "config.json").read_text())
    model = Gpt(config, load_file(args.folder / "model.safetensors"))
    batches = load_file(args.folder / "batches.safetensors")
    inputs, targets = batches["inputs"].long(), batches["targets"].long()
    groups = [{"params": [p for p in model.parameters() if p.dim() >= 2], "weight_decay": 0.01},
              {"params": [p for p in model.parameters() if p.dim() < 2], "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=args.lr, betas=(0.9, 0.999), eps=1e-8)
    forward = torch.compile(model) if args.compile else model

    losses, seconds = [], []
    for step in range(args.steps):
        start = time.perf_counter()
        x, y = inputs[step % len(inputs)], targets[step % len(inputs)]
        loss = F.cross_entropy(forward(x).flatten(0, 1), y.flatten())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        seconds.append(time.perf_counter() - start)
    peak = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) / 1024
    print(json.dumps({"losses": losses, "seconds": seconds, "peak_mib": peak, "version": torch.__version__}))


if __name__ == "__main__":
    main()
