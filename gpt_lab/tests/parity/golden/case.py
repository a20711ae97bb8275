"""A case folder: the random numbers it is drawn from, the files in it, and the tolerance of every group of numbers."""

import hashlib
import json
import math
import struct

import numpy as np
import torch
from safetensors.torch import save_file


class Case:
    """One folder that is being filled. `json` becomes case.json."""

    def __init__(self, root, kind, variant, seed, about):
        self.kind, self.variant, self.dir = kind, variant, root / kind
        self.dir.mkdir(parents=True)
        self.json = {"case": kind, "variant": variant, "seed": seed, "about": about}
        self.tolerance, self.notes = {}, []
        # Each kind has random numbers of its own: to change one kind leaves the others as they are.
        digest = hashlib.sha256(f"{variant}/{seed}/{kind}".encode()).digest()
        self.rng = np.random.Generator(np.random.PCG64(int.from_bytes(digest, "big")))

    def choose(self, **choices):
        """One value for every name: the first for the variant `public`, otherwise any of them."""
        if self.variant == "public":
            return {name: values[0] for name, values in choices.items()}
        return {name: values[self.rng.integers(len(values))] for name, values in choices.items()}

    def normal(self, *shape, std=1.0, mean=0.0):
        """Normal random numbers, float32."""
        return torch.from_numpy(mean + std * self.rng.standard_normal(shape)).float()

    def ids(self, *shape, vocab, low=0):
        """Random token ids from `low` to `vocab` - 1."""
        return torch.from_numpy(self.rng.integers(low, vocab, shape))

    def lengths(self, count, low, high):
        """`count` lengths from `low` to `high`, among them both ends."""
        lengths = self.rng.integers(low, high + 1, count)
        lengths[:2] = high, low
        return torch.from_numpy(lengths)

    def tensors(self, name, tensors):
        """Writes `name`.safetensors and says so in case.json."""
        self.json[name] = f"{name}.safetensors"
        return self.write(self.json[name], tensors)

    def write(self, path, tensors):
        """Writes a file of tensors, and returns them."""
        save_file({name: tensor.detach().contiguous() for name, tensor in tensors.items()}, self.dir / path)
        return tensors

    def compare(self, group, found, exact):
        """Notes the gap between float32 results and their float64 recomputation in the tolerance of this group."""
        found, exact = (torch.as_tensor(numbers).detach().double() for numbers in (found, exact))
        if found.shape != exact.shape:
            raise ValueError(f"{self.kind}/{group}: {list(found.shape)} against {list(exact.shape)}")
        gap, scale = (found - exact).abs().max().item(), exact.abs().max().item()
        if not gap <= 1e-3 * max(scale, 1.0):
            raise ValueError(f"{self.kind}/{group}: float32 and float64 differ by {gap:.1e} of {scale:.1e}")
        old = self.tolerance.get(group, {"f32_f64": 0.0, "scale": 0.0})
        gap, scale = max(gap, old["f32_f64"]), max(scale, old["scale"])
        atol = round_up(max(20 * gap, 2e-6 * scale, 1e-6))
        self.tolerance[group] = {"f32_f64": gap, "scale": scale, "atol": atol}

    def note(self, text):
        """A line for the manifest, with the kind in front."""
        self.notes.append(f"{self.kind}: {text}")

    def finish(self):
        """Writes case.json."""
        files = sorted(self.dir.rglob("*.safetensors"))
        shapes = {str(path.relative_to(self.dir)): shapes_in(path) for path in files}
        write_json(self.dir / "case.json", self.json | {"tolerance": self.tolerance, "safetensors": shapes})


def round_up(number):
    """Rounded up to one digit."""
    digits = -math.floor(math.log10(number))
    # The inner rounding keeps 2e-6 from becoming 3e-6 because it is stored as 2.0000000000000003e-6.
    return round(math.ceil(round(number * 10**digits, 9)) / 10**digits, digits)


def shapes_in(path):
    """Dtype and shape of every tensor of a file."""
    data = path.read_bytes()
    try:
        header = json.loads(data[8 : 8 + struct.unpack("<Q", data[:8])[0]])
    except (struct.error, ValueError):
        return "unreadable on purpose"
    return {name: [about["dtype"], about["shape"]] for name, about in sorted(header.items()) if name != "__metadata__"}


def write_json(path, value):
    """Writes JSON to be read: short values, and lists of nothing but numbers or strings, stay on one line."""
    path.write_text(pretty(value) + "\n", encoding="utf-8")


def pretty(value, indent="\n"):
    """JSON of a value; `indent` is the line break and indentation of the enclosing value."""
    line = json.dumps(value, ensure_ascii=False)
    inner = indent + " "
    if len(line) < 80 or not isinstance(value, (dict, list)):
        return line
    if isinstance(value, dict):
        entries = [f"{json.dumps(key, ensure_ascii=False)}: {pretty(item, inner)}" for key, item in value.items()]
        return "{" + inner + f",{inner}".join(entries) + indent + "}"
    if not any(isinstance(item, (dict, list)) for item in value):
        return line
    return "[" + inner + f",{inner}".join(pretty(item, inner) for item in value) + indent + "]"
