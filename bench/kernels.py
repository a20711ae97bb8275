"""Jupyter kernels for the cases: started as JupyterLab starts them, asked and timed over their own protocol."""
import contextlib
import os
import queue
import time

from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import KernelManager

from run import ROOT

NOTEBOOKS = ROOT / "notebooks"
# `make setup` installs our kernelspec in .venv; IPython's is that of .venv-bench.
SPECS = ROOT / ".venv" / "share" / "jupyter" / "kernels"
ANSWER = 1200  # seconds that a cell may take


@contextlib.contextmanager
def kernel(name, argv=None, **env):
    """A running kernel and its client: one that is installed, or one that this command line starts."""
    specs = KernelSpecManager()
    specs.kernel_dirs = [str(SPECS), *specs.kernel_dirs]
    manager = KernelManager(kernel_name=name, kernel_spec_manager=specs)
    if argv:
        manager._kernel_spec = KernelSpec(argv=[str(part) for part in argv], display_name=name, language="rust")
    manager.start_kernel(cwd=str(NOTEBOOKS), extra_arguments=[], env={**os.environ, **env})
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=120)
        yield client
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=False)


def run_cell(client, code, until_output=False):
    """Runs a cell; what it printed, once it is done (or as soon as it prints something)."""
    request, text = client.execute(code, allow_stdin=False), ""
    while True:
        try:
            message = client.get_iopub_msg(timeout=ANSWER)
        except queue.Empty:
            raise SystemExit(f"bench: a cell gave no sign for {ANSWER} s") from None
        if message["parent_header"].get("msg_id") != request:
            continue
        kind, content = message["msg_type"], message["content"]
        if kind == "error":
            raise SystemExit(f"bench: a cell failed: {content['evalue']}\n{code}")
        if kind == "stream" and content["name"] == "stdout":
            text += content["text"]
        if until_output and text or kind == "status" and content["execution_state"] == "idle":
            return text


def seconds_to_output(name, code, argv=None, **env):
    """From starting the kernel's process to the first text that the cell prints."""
    start = time.perf_counter()
    with kernel(name, argv, **env) as client:
        run_cell(client, code, until_output=True)
        return time.perf_counter() - start
