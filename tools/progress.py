"""Says what is being done: one line that moves on a terminal, plain lines now and then elsewhere."""

import shutil
import sys
import threading
import time

PLAIN_INTERVAL = 15.0  # seconds between plain lines of one step
TERMINAL_INTERVAL = 0.2


def clock(seconds):
    """`12 s` or `3 min 05 s`."""
    seconds = int(seconds)
    return f"{seconds} s" if seconds < 60 else f"{seconds // 60} min {seconds % 60:02d} s"


class Step:
    """One numbered piece of work; several may run at once."""

    def __init__(self, board, number, title):
        self.board, self.number, self.title = board, number, title
        self.detail = ""
        self.started = self.last_plain = time.monotonic()

    def say(self, detail):
        """What is happening now, in a few words."""
        self.detail = detail
        if not self.board.terminal and time.monotonic() - self.last_plain >= PLAIN_INTERVAL:
            self.last_plain = time.monotonic()
            self.board.line(self.text())

    def text(self):
        parts = [self.title, clock(time.monotonic() - self.started)]
        if self.detail:
            parts.append(self.detail)
        return f"[{self.number}/{self.board.total}] " + " · ".join(parts)

    def __enter__(self):
        self.board.add(self)
        return self

    def __exit__(self, error_type, error, traceback):
        if error_type is not None:
            self.detail = "failed"
        elif self.detail != "nothing to do":
            self.detail = "done"
        self.board.remove(self)


class Board:
    """All steps of a run. Steps may be used from several threads."""

    def __init__(self, total, stream=sys.stderr):
        self.total, self.stream = total, stream
        self.terminal = stream.isatty()
        self.lock = threading.Lock()
        self.active = []
        self.stopped = threading.Event()
        if self.terminal:
            threading.Thread(target=self._tick, daemon=True).start()

    def step(self, number, title):
        return Step(self, number, title)

    def add(self, step):
        with self.lock:
            self.active.append(step)
        if not self.terminal:
            self.line(f"[{step.number}/{self.total}] {step.title} …")

    def remove(self, step):
        with self.lock:
            self.active.remove(step)
        self.line(step.text())

    def line(self, text):
        """A line that stays."""
        with self.lock:
            start = "\r\x1b[K" if self.terminal else ""
            self.stream.write(f"{start}{text}\n")
            self.stream.flush()

    def close(self):
        """Wipes the moving line."""
        self.stopped.set()
        if self.terminal:
            with self.lock:
                self.stream.write("\r\x1b[K")
                self.stream.flush()

    def _tick(self):
        while not self.stopped.wait(TERMINAL_INTERVAL):
            with self.lock:
                text = "   ".join(step.text() for step in self.active)
                if text and not self.stopped.is_set():
                    width = shutil.get_terminal_size().columns - 1
                    self.stream.write("\r\x1b[K" + text[:width])
                    self.stream.flush()
