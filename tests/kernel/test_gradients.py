"""Gradients across cells, on our kernel and on the plain evcxr_jupyter.

Where every cell links a candle of its own, tensor ids collide and gradients come out wrong without a word. The example
is five cells long; the right answers are 2·(ab)·b = 36 and 2·(ab)·a = 24.
"""

import shutil
import subprocess
import uuid

import pytest
from client import ROOT, STATE, Lab

PLAIN = ROOT / "target/kernel/examples/plain"
DEP = f':dep gpt_lab = {{ path = "{ROOT / "gpt_lab"}" }}'
PLACE = "gpt_lab::candle_core::{Device, Tensor, Var}"
CELLS = [
    f"use {PLACE};\nlet a = Var::new(&[2f32], &Device::Cpu)?;",
    "let b = Var::new(&[3f32], &Device::Cpu)?;",
    "let c = (a.as_tensor() * b.as_tensor())?;",
    "let d = c.sqr()?;",
    "let grads = d.backward()?;\n"
    'println!("{:?} {:?}", grads.get(&a).unwrap().to_vec1::<f32>()?, grads.get(&b).unwrap().to_vec1::<f32>()?);',
]
IDS = 'println!("{:?}", [a.as_tensor().id(), b.as_tensor().id(), c.id(), d.id()]);'


def plain_kernel():
    """The plain evcxr_jupyter from the same lock file; it builds candle for itself, which takes minutes."""
    build = ["cargo", "build", "--locked", "--profile", "kernel", "-p", "gpt_lab_assist", "--example", "plain"]
    subprocess.run([*build, "--target-dir", ROOT / "target"], cwd=ROOT, check=True, capture_output=True)
    folder = STATE / f"plain-{uuid.uuid4().hex[:8]}"
    folder.mkdir()
    env = {"JUPYTER_PATH": str(folder / "none"), "EVCXR_TMPDIR": str(folder)}
    return Lab(argv=[str(PLAIN), "--control_file", "{connection_file}"], env=env), folder


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("kernel", ["gpt_lab", pytest.param("plain", marks=pytest.mark.slow)])
def test_gradients_are_right_across_cells(kernel):
    lab, folder = (Lab(), None) if kernel == "gpt_lab" else plain_kernel()
    try:
        lab.run(DEP, timeout=900).ok()
        cells = [lab.run(code).ok() for code in CELLS]
        assert cells[-1].stdout.strip() == "[36.0] [24.0]", cells[-1]
        ids = lab.run(IDS).ok().stdout
        numbers = [part for part in ids.replace(")", "(").split("(") if part.isdigit()]
        assert len(set(numbers)) == 4, f"tensor ids collide: {ids}"
    finally:
        lab.stop(now=True)
        if folder:
            shutil.rmtree(folder)
