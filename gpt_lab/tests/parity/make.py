#!/usr/bin/env python3
"""Makes the golden cases: numbers of PyTorch, transformers and PEFT for the tests of gpt_lab. README.md says how.

The variant `public` has fixed shapes and hyper-parameters; any other name draws them. The seed draws all numbers.
"""

import argparse
import hashlib
import importlib
import importlib.metadata
import os
import platform
import sys
import warnings
from pathlib import Path

# Before the libraries are loaded: they must not ask a server about folders that are missing on purpose.
os.environ |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "CUDA_VISIBLE_DEVICES": ""}

import torch
import transformers

from golden.case import Case, write_json

KINDS = [
    "gpt2_forward",
    "gpt2_generate",
    "lora_forward",
    "lora_training",
    "full_training",
    "reward",
    "dpo",
    "ppo_pieces",
    "tokenizer",
    "bad_input",
]
PACKAGES = ["torch", "transformers", "peft", "tokenizers", "safetensors", "numpy"]


def main():
    """Makes every kind and the manifest."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="a folder that does not exist yet, or is empty")
    parser.add_argument("--seed", type=int, default=20)
    parser.add_argument("--variant", default="public", help="`public` has fixed shapes, another name draws them")
    args = parser.parse_args()
    if args.out.exists() and any(args.out.iterdir()):
        sys.exit(f"{args.out} is not empty")
    reproducible()
    cases = [made(args.out, kind, args.variant, args.seed) for kind in KINDS]
    files = {str(path.relative_to(args.out)): about(path) for path in sorted(args.out.rglob("*")) if path.is_file()}
    manifest = {
        "variant": args.variant,
        "seed": args.seed,
        "total_bytes": sum(file["bytes"] for file in files.values()),
        "versions": versions(),
        "notes": [note for case in cases for note in case.notes],
        "measured": {case.kind: case.tolerance for case in cases if case.tolerance},
        "files": files,
    }
    write_json(args.out / "manifest.json", manifest)
    print(f"{len(cases)} cases, {len(files)} files, {manifest['total_bytes']} bytes in {args.out}")


def reproducible():
    """One thread and no choice of algorithm: two runs on one machine write the same bytes."""
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(0)
    warnings.filterwarnings("ignore", category=FutureWarning)  # PEFT uses deprecated parts of transformers
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()


def made(out, kind, variant, seed):
    """One case, from the module of its name."""
    module = importlib.import_module(f"golden.{kind}")
    case = Case(out, kind, variant, seed, module.ABOUT)
    module.make(case)
    case.finish()
    return case


def about(path):
    """Size and hash of a file."""
    data = path.read_bytes()
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def versions():
    """Python and the packages; of torch's version without the build for a graphics card, which is not used."""
    found = {name: importlib.metadata.version(name).split("+")[0] for name in PACKAGES}
    return {"python": platform.python_version()} | found


if __name__ == "__main__":
    main()
