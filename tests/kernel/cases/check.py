"""Runs a case on a kernel and says what is not as it should be."""

import re
import shutil
import tempfile
from pathlib import Path

from client import Lab

from .model import NEVER

COLOURS = re.compile(r"\x1b\[[0-9;]*m")


class Wrong(AssertionError):
    """A case that did not go as it should, with all that it showed; `reason` is the first line of it."""

    def __init__(self, case, reason, shown):
        self.reason = reason.split("\n")[0]
        super().__init__(f"{case.id} {case.title}\n{reason}\n\n{shown}")


def run(case, kernels):
    """Runs one case; raises `Wrong`, with every output of the case."""
    __tracebackhide__ = True
    lab, folder = kernels.take(case)
    done, wrong, number = [], "", 0
    try:
        for number, step in enumerate(case.steps, 1):
            done.append(_step(step, lab, folder))
            _expect(step, done)
        number += 1
        _after(case, done, lab)
    except AssertionError as failure:
        wrong = f"step {number}: {failure}"
    finally:
        kernels.give_back(lab, spoiled=bool(wrong) or case.ends)
    if wrong:
        raise Wrong(case, wrong, "\n".join(_shown(*each) for each in enumerate(zip(case.steps, done), 1)))


def _shown(number, pair):
    step, cell = pair
    if cell is None:
        return f"=== step {number}: {step.code}"
    status = (
        "" if step.kind == "request" else f"--- {cell.status}, {len(cell.results)} results, {len(cell.displays)} displays\n"
    )
    return f"=== step {number}\n{step.code} {step.content or ''}\n{status}{everything(cell)}"


def _step(step, lab, folder):
    """Does what the step says; the cell, or None for a deed."""
    if step.act:
        step.act(lab, folder)
        return None
    if step.kind == "request":
        lab.request(step.code, dict(step.content), timeout=step.timeout)
        asked = list(lab.cells.values())[-1]
        lab.wait(lambda: asked.idle, 10, asked)
        return asked
    lab.input_requests.clear()
    cell = lab.start(step.code.replace("@folder@", str(folder)), **step.options)
    if step.stop:
        lab.wait(lambda: cell.done or (lab.input_requests if step.stop == "asked" else cell.stdout), step.timeout, cell)
        for _ in range(2 if step.stop == "twice" else 1):
            lab.client.control_channel.send(lab.client.session.msg("interrupt_request", {}))
    for answer in step.answers:
        lab.answer(cell, answer)
    lab.wait(lambda: cell.done, step.timeout, cell)
    return cell


def _expect(step, done):
    """Holds what the step showed against what it should have shown."""
    cell = done[-1]
    if cell is None:
        return
    text, errors = everything(cell), error_text(cell)
    if step.kind == "cell":
        assert step.status in (None, cell.status), f"the status should be {step.status}, is {cell.status}"
    for name, wanted in step.reply.items():
        assert cell.reply.get(name) == wanted, f"{name} of {step.content} should be {wanted!r}: {cell.reply}"
    assert step.within is None or cell.replied <= step.within, f"took {cell.replied:.2f} s, more than {step.within}"
    _values(step, cell)
    for name in ("stdout", "stderr"):
        wanted, got = getattr(step, name), getattr(cell, name)
        assert wanted is None or got == wanted, f"{name} should be {wanted!r}, is {got[:2000]!r}"
    assert step.error in errors, f"the error should have {step.error!r}"
    if step.line:
        _place(errors, cell, step.line)
    if step.place:
        _place(errors, done[step.place[0] - 1], step.place[1])
    for name in step.lost:
        assert _lost(name, text), f"should say that {name} is lost"
    for name in step.kept:
        assert not _lost(name, text), f"should not say that {name} is lost"
    _words(step.says, step.never, text)


def _values(step, cell):
    """Results and displays of a cell."""
    if step.value is not None:
        results = [result["data"].get("text/plain") for result in cell.results]
        assert results == [step.value], f"the result should be {step.value!r}, is {results}"
    if step.last:
        kinds = [message["header"]["msg_type"] for _, message in cell.messages]
        assert kinds[-2:-1] == ["execute_result"], f"the result should come last: {kinds}"
    if step.html:
        pages = [shown["data"].get("text/html", "") for shown in cell.results + cell.displays]
        assert any(step.html in page for page in pages), f"should show {step.html!r}"
    for name in ("results", "displays"):
        wanted, got = getattr(step, name), len(getattr(cell, name))
        assert wanted in (None, got), f"{wanted} {name} expected, {got} came"


def _place(errors, cell, line):
    """Our kernel counts cells as the notebook does; plain evcxr counts its own way, so for it the line is enough."""
    ours = rf"cell {cell.reply.get('execution_count')}, line {line}\b"
    assert re.search(rf"{ours}|command_\d+:{line}:", errors), f"the error should name {ours}"


def _lost(name, text):
    return re.search(rf"lost: {re.escape(name)}\b|variable {re.escape(name)} was redefined, so was lost", text)


def _words(says, never, text):
    for pattern in says:
        assert re.search(pattern, text), f"should say /{pattern}/"
    for pattern in never:
        assert not re.search(pattern, text), f"should not say /{pattern}/"


def _after(case, done, lab):
    """What holds for every case: no word of generated code, and the kernel goes on."""
    never = [pattern for pattern in NEVER if not (case.own_library and "lib" in pattern)]
    _words(case.says, (*case.never, *never), "\n".join(everything(cell) for cell in done if cell is not None))
    if not case.ends:
        plain = lab.run("40 + 2", timeout=60)
        values = [result["data"].get("text/plain") for result in plain.results]
        assert values == ["42"], f"a plain cell should work afterwards:\n{plain}"


def error_text(cell):
    """The errors of a cell, without colours."""
    parts = ["\n".join([error["ename"], error["evalue"], *error["traceback"]]) for error in cell.errors]
    return COLOURS.sub("", "\n".join(parts))


def everything(cell):
    """All text that a step showed, in its order, without colours; of another request, its reply."""
    cells = any(message["header"]["msg_type"] == "execute_input" for _, message in cell.messages)
    parts = [] if cells or "payload" in (cell.reply or {}) else [str(cell.reply)]
    for _, message in cell.messages:
        content = message["content"]
        if message["header"]["msg_type"] == "stream":
            parts.append(content["text"])
        else:
            parts += [f"{value}\n" for value in content.get("data", {}).values()]
    return COLOURS.sub("", "".join(parts)) + error_text(cell)


class Kernels:
    """Kernels for cases: one for those of a file that share, one of its own for each other."""

    def __init__(self, argv=None):
        self.argv = argv
        self.shared = {}
        self.folders = {}

    def take(self, case):
        """A kernel and the folder that it runs in."""
        group = case.id.rstrip("0123456789abcdefghijklmnopqrstuvwxyz")
        lab = self.shared.get(group) if case.shared else None
        if lab is None:
            lab = self._start(case)
            if case.shared:
                self.shared[group] = lab
        return lab, self.folders[lab]

    def _start(self, case):
        folder = Path(tempfile.mkdtemp(prefix="case "))
        for path, text in case.files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text)
        env = {**case.env, **(case.setup(folder) if case.setup else {})}
        lab = Lab(argv=self.argv, env=env, cwd=folder)
        self.folders[lab] = folder
        return lab

    def give_back(self, lab, spoiled):
        """A shared kernel goes on, unless this case spoiled it."""
        if lab in self.shared.values() and not spoiled:
            return
        self.shared = {group: kept for group, kept in self.shared.items() if kept is not lab}
        if lab.manager.is_alive():
            lab.stop(now=spoiled)
        shutil.rmtree(self.folders.pop(lab), ignore_errors=True)

    def close(self):
        for lab in list(self.folders):
            self.give_back(lab, spoiled=True)
