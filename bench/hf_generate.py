"""Generation by transformers, from the folder that `gpt_lab_bench generate init` wrote. Prints one JSON object, as that program does.

    python hf_generate.py FOLDER --tokens 64 --threads 2 [--beams 3]
"""
import argparse
import json
import pathlib
import time

import torch
import transformers
from transformers import GPT2LMHeadModel


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--tokens", type=int, required=True)
    parser.add_argument("--beams", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)

    model = GPT2LMHeadModel.from_pretrained(args.folder).eval()
    prompt = torch.tensor([json.loads((args.folder / "prompt.json").read_text())])

    def timed(tokens):
        start = time.perf_counter()
        ids = model.generate(prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=tokens, do_sample=False,
                             num_beams=args.beams, eos_token_id=None, pad_token_id=0)
        return ids[0, prompt.shape[1]:].tolist(), time.perf_counter() - start

    _, first = timed(1)
    ids, all_ = timed(args.tokens)
    peak = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) / 1024
    print(json.dumps({"ids": ids, "first_seconds": first, "seconds": all_ - first, "peak_mib": peak,
                      "version": transformers.__version__}))


if __name__ == "__main__":
    main()
