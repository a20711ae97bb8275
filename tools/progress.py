"""Says what is being done: one line that moves on a terminal, plain lines now and then elsewhere."""

import shutil
import sys
import threading
import time

PLAIN_INTERVAL = 15.0  # seconds between plain lines of one step
TERMINAL_INTERVAL = 0.2
FIRST_ESTIMATE = 20.0  # seconds; before that nothing is known of the pace


def clock(seconds):
    """`12 s` or `3 min 05 s`."""
    seconds = int(seconds)
    return f"{seconds} s" if seconds < 60 else f"{seconds // 60} min {seconds % 60:02d} s"


class Step:
    """One numbered piece of work; several may run at once."""

    def __init__(self, board, number, title, weight):
        self.board, self.number, self.title, self.weight = board, number, title, weight
        self.detail = ""
        self.share = 0.0  # of the step that is done
        self.started = self.last_plain = time.monotonic()

    def say(self, detail):
        """What is happening now, in a few words."""
        self.detail = detail
        if not self.board.terminal and time.monotonic() - self.last_plain >= PLAIN_INTERVAL:
            self.last_plain = time.monotonic()
            self.board.line(self.text() + self.board.left())

    def done(self, share):
        """How much of the step is done, 0 to 1."""
        self.share = share

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
        self.share = 1.0
        self.board.remove(self)


def about(seconds):
    """`less than a minute` or `about 3 min`."""
    return "less than a minute" if seconds < 60 else f"about {round(seconds / 60)} min"


class Board:
    """All steps of a run. Steps may be used from several threads. A step's weight is the time that it takes beside others;
    those that lie on the way to the end have one, and from them comes the time that is left."""

    def __init__(self, total, weight=0, stream=sys.stderr):
        self.total, self.weight, self.stream = total, weight, stream
        self.started, self.steps = time.monotonic(), []
        self.terminal = stream.isatty()
        self.lock = threading.Lock()
        self.active = []
        self.stopped = threading.Event()
        if self.terminal:
            threading.Thread(target=self._tick, daemon=True).start()

    def step(self, number, title, weight=0):
        return Step(self, number, title, weight)

    def left(self):
        """` · about 3 min left`, once that can be told."""
        elapsed = time.monotonic() - self.started
        share = sum(step.weight * step.share for step in self.steps) / max(self.weight, 1)
        return f" · {about(elapsed / share - elapsed)} left" if elapsed > FIRST_ESTIMATE and 0.02 < share < 1 else ""

    def add(self, step):
        with self.lock:
            self.active.append(step)
            self.steps.append(step)
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
                text, left = "   ".join(step.text() for step in self.active), self.left()
                if text and not self.stopped.is_set():
                    width = shutil.get_terminal_size().columns - 1 - len(left)
                    self.stream.write("\r\x1b[K" + text[:width] + left)
                    self.stream.flush()
