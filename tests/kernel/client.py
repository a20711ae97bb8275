"""A Jupyter client for tests: it keeps every message with its time and waits for events, never for time to pass."""

import os
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import zmq
from jupyter_client import KernelManager
from jupyter_client.kernelspec import KernelSpec

ROOT = Path(__file__).resolve().parent.parent.parent
NOTEBOOKS = ROOT / "notebooks"
STATE = ROOT / ".lab"
KERNEL = ROOT / "target/kernel/gpt_lab_kernel"
START_TIMEOUT = 120
CELL_TIMEOUT = 120


class Late(AssertionError):
    """What was waited for did not come; the message tells what did."""


@dataclass
class Cell:
    """All that one request brought."""

    code: str
    sent: float
    messages: list = field(default_factory=list)  # (seconds since sent, message) from iopub
    reply: dict | None = None
    replied: float = 0.0

    def of(self, kind):
        return [message["content"] for _, message in self.messages if message["header"]["msg_type"] == kind]

    def stream(self, name):
        return "".join(c["text"] for c in self.of("stream") if c["name"] == name)

    stdout = property(lambda self: self.stream("stdout"))
    stderr = property(lambda self: self.stream("stderr"))
    displays = property(lambda self: self.of("display_data"))
    updates = property(lambda self: self.of("update_display_data"))
    errors = property(lambda self: self.of("error"))
    results = property(lambda self: self.of("execute_result"))
    states = property(lambda self: [c["execution_state"] for c in self.of("status")])
    idle = property(lambda self: "idle" in self.states)
    done = property(lambda self: self.idle and self.reply is not None)
    status = property(lambda self: self.reply["status"] if self.reply else "no reply")

    def time_of(self, kind, nth=0):
        """Seconds from sending to the nth message of this kind."""
        return [at for at, message in self.messages if message["header"]["msg_type"] == kind][nth]

    def ok(self):
        """The cell itself, when it went well."""
        assert self.status == "ok", f"the cell failed:\n{self}"
        return self

    def __str__(self):
        lines = [f"--- cell ---\n{self.code}\n--- status {self.status}; states {self.states}"]
        for at, message in self.messages:
            kind, content = message["header"]["msg_type"], message["content"]
            if kind not in ("status", "execute_input"):
                lines.append(f"{at:7.2f} s {kind}: {str(content)[:400]}")
        return "\n".join(lines[:60])


class Lab:
    """A running kernel and the only client it has."""

    def __init__(self, argv=None, env=None, cwd=NOTEBOOKS):
        self.mark = f"GPT_LAB_TEST={uuid.uuid4().hex}"
        name, value = self.mark.split("=")
        self.env = {**os.environ, name: value, **(env or {})}
        self.cells = {}
        self.control_replies = {}
        self.input_requests = []
        self.manager = KernelManager(kernel_name="gpt_lab")
        if argv:
            self.manager._kernel_spec = KernelSpec(argv=argv, language="rust", interrupt_mode="message")
        self.manager.start_kernel(env=self.env, cwd=str(cwd))
        self._connect()

    def _connect(self):
        self.client = self.manager.client()
        self.client.start_channels()
        try:
            self.client.wait_for_ready(timeout=START_TIMEOUT)
        except RuntimeError:
            self.manager.shutdown_kernel(now=True)
            raise

    def start(self, code, **options):
        """Sends a cell; `wait` for it afterwards."""
        msg_id = self.client.execute(code, **options)
        self.cells[msg_id] = Cell(code, time.monotonic())
        return self.cells[msg_id]

    def run(self, code, timeout=CELL_TIMEOUT, **options):
        """Runs a cell to its end."""
        cell = self.start(code, **options)
        self.wait(lambda: cell.done, timeout, cell)
        return cell

    def request(self, msg_type, content=None, channel="shell", timeout=30):
        """Sends any request and returns the reply's content."""
        message = self.client.session.msg(msg_type, content or {})
        msg_id = message["header"]["msg_id"]
        cell = self.cells[msg_id] = Cell(msg_type, time.monotonic())
        getattr(self.client, f"{channel}_channel").send(message)
        self.wait(lambda: cell.reply is not None, timeout, cell)
        return cell.reply

    def answer(self, cell, text):
        """Waits for the cell's question, answers it, and returns what was asked."""
        self.wait(lambda: self.input_requests or cell.done, 60, cell)
        assert self.input_requests, f"the cell did not ask:\n{cell}"
        request = self.input_requests.pop(0)
        self.client.input(text)
        return request["content"]

    def interrupt(self, timeout=30):
        return self.request("interrupt_request", channel="control", timeout=timeout)

    def wait(self, condition, timeout=CELL_TIMEOUT, about=None):
        """Handles messages until the condition holds."""
        end = time.monotonic() + timeout
        while not condition():
            left = end - time.monotonic()
            if left <= 0:
                raise Late(f"waited {timeout} s\n{about if about is not None else ''}")
            self._handle(min(left, 1.0))

    def _handle(self, timeout):
        channels = {
            getattr(self.client, f"{name}_channel").socket: name for name in ("iopub", "shell", "control", "stdin")
        }
        poller = zmq.Poller()
        for socket in channels:
            poller.register(socket, zmq.POLLIN)
        for socket, _ in poller.poll(timeout * 1000):
            self._take(channels[socket])

    def _take(self, channel):
        now = time.monotonic()
        message = getattr(self.client, f"{channel}_channel").get_msg(timeout=0)
        if channel == "stdin":
            self.input_requests.append(message)
            return
        cell = self.cells.get(message["parent_header"].get("msg_id"))
        if cell is None:
            return
        if channel == "iopub":
            cell.messages.append((now - cell.sent, message))
        else:
            cell.reply, cell.replied = message["content"], now - cell.sent

    def processes(self):
        """Every living process that this kernel started, itself included, wherever it was moved to."""
        found = []
        for process in psutil.process_iter():
            try:
                name, value = self.mark.split("=")
                if process.status() != psutil.STATUS_ZOMBIE and process.environ().get(name) == value:
                    found.append(process)
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
        return [p for p in found if p.pid != os.getpid()]

    def relay(self):
        return psutil.Process(self.manager.provisioner.pid)

    def cell_process(self):
        """The process that runs the cells."""
        return next((p for p in self.processes() if "EVCXR_IS_RUNTIME" in environ(p)), None)

    def inner(self):
        """The evcxr_jupyter inside."""
        return next((p for p in self.processes() if cmdline(p)[1:2] == ["engine"]), None)

    def restart(self, now=False):
        self.client.stop_channels()
        self.manager.restart_kernel(now=now)
        self._connect()

    def stop(self, now=False):
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=now)


def environ(process):
    try:
        return process.environ()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return {}


def cmdline(process):
    try:
        return process.cmdline()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return []


def eventually(condition, timeout, what):
    """Waits for something that sends no message (a process that ends, a folder that goes)."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Late(f"after {timeout} s: {what() if callable(what) else what}")
        time.sleep(0.05)


def sessions():
    """The session directories that exist now, and their locks."""
    folder = STATE / "sessions"
    return {path.name for path in folder.iterdir()} if folder.exists() else set()
