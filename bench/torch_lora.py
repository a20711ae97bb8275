"""LoRA on GPT-2 with transformers and PEFT, as their documentation has it.

Reads a folder that `gpt_lab_bench lora init` wrote (model/, adapter/, batches.safetensors), trains the adapter on exactly those
batches and prints one JSON object: the loss of each step, the seconds each step took, the peak memory.

    python torch_lora.py FOLDER --steps 6 --lr 6e-4 --threads 2
"""
import argparse
import json
import pathlib
import time

import peft
import torch
import transformers
from safetensors.torch import load_file


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--lr", type=float, default=6e-4)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)

    base = transformers.GPT2LMHeadModel.from_pretrained(args.folder / "model", use_cache=False)
    model = peft.PeftModel.from_pretrained(base, args.folder / "adapter", is_trainable=True).train()
    batches = load_file(args.folder / "batches.safetensors")["input_ids"]
    params = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(params, lr=args.lr, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01)

    losses, seconds = [], []
    for step in range(args.steps):
        start = time.perf_counter()
        batch = batches[step % len(batches)]
        loss = model(batch, labels=batch).loss
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        seconds.append(time.perf_counter() - start)
    peak = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) / 1024
    versions = f"transformers {transformers.__version__} and PEFT {peft.__version__} on PyTorch {torch.__version__}"
    print(json.dumps({"losses": losses, "seconds": seconds, "peak_mib": peak, "versions": versions}))


if __name__ == "__main__":
    main()
