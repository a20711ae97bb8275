"""What a case is: cells and requests in order, each with what must come of it. Data only; `check.py` runs it."""

from dataclasses import dataclass, field
from typing import Callable

# Words of generated code. No learner has written them, so none may read them.
NEVER = (
    r"evcxr_variable_store",
    r"\bctx\b",
    r"(?<!/)src/lib\.rs",  # a learner's own library has a folder in front
    r"sessions/\S*src/lib\.rs",
    r"EvcxrUserCodeError",
    r"evcxr_analysis_wrapper",
    r"<end of input>",
    r"error: error:",
    r"__gpt_lab",
    r"gpt_lab_cell",
)


@dataclass(frozen=True)
class Step:
    """One cell, request or deed. What is `None` or empty is not looked at."""

    code: str = ""
    kind: str = "cell"  # cell, request, act
    status: str | None = "ok"
    value: str | None = None  # text/plain of the one result
    stdout: str | None = None
    stderr: str | None = None
    error: str = ""  # stands in the error: a code or words
    line: int | None = None  # the error names this line of this cell
    place: tuple[int, int] | None = None  # … this line of the cell of that step, counted from 1
    says: tuple[str, ...] = ()  # regular expressions over all that the step showed
    never: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()  # variables that are said to be lost
    kept: tuple[str, ...] = ()  # variables that must not be said to be lost
    html: str = ""  # the result or a display has this HTML
    results: int | None = None
    displays: int | None = None
    last: bool = False  # the result comes after all text
    within: float | None = None  # seconds
    answers: tuple[str, ...] = ()  # to the questions of the cell
    stop: str = ""  # press stop when the cell has printed ("printed"), twice at once ("twice"), or at its question ("asked")
    options: dict = field(default_factory=dict)  # of the execute request
    content: dict = field(default_factory=dict)  # of another request
    reply: dict = field(default_factory=dict)  # must be part of the reply
    act: Callable | None = None  # called with the kernel and its folder
    timeout: float = 60


@dataclass(frozen=True)
class Case:
    id: str
    title: str
    steps: tuple[Step, ...]
    says: tuple[str, ...] = ()  # over the whole case
    never: tuple[str, ...] = ()
    shared: bool = False  # leaves nothing that another case of its file could meet
    files: dict = field(default_factory=dict)  # in the folder of the kernel
    env: dict = field(default_factory=dict)
    setup: Callable | None = None  # makes more of the environment from the folder
    gpt_lab: bool = False  # uses our library, so another kernel cannot run it
    ours: bool = False  # is about how our kernel is set up
    own_library: bool = False  # a learner's own src/lib.rs may be named
    network: bool = False
    slow: bool = False
    ends: bool = False  # the kernel is not asked to go on afterwards


def case(id, title, *steps, **options):
    """A case; steps may be plain code that has to go well."""
    return Case(id, title, tuple(cell(step) if isinstance(step, str) else step for step in steps), **options)


def cell(code, **expected):
    """A cell; it must fail if an error or a place is expected, and else go well."""
    if "status" not in expected and ("error" in expected or "line" in expected or "place" in expected):
        expected["status"] = "error"
    return Step(code, **{name: _tuple(name, value) for name, value in expected.items()})


def either(code, **expected):
    """A cell that may go well or fail, if only it says what is expected."""
    return cell(code, status=None, **expected)


def request(kind, content, **expected):
    """Any other request on the shell channel."""
    return Step(kind, kind="request", content=content, **{n: _tuple(n, v) for n, v in expected.items()})


def is_complete(code, status):
    return request("is_complete_request", {"code": code}, reply={"status": status}, within=1)


def completion(code, cursor=None, **expected):
    return request("complete_request", {"code": code, "cursor_pos": len(code) if cursor is None else cursor}, **expected)


def inspection(code, cursor=None, **expected):
    content = {"code": code, "cursor_pos": len(code) if cursor is None else cursor, "detail_level": 0}
    return request("inspect_request", content, **expected)


def act(what, function):
    """Something done to the kernel or its files; `what` says it in a failure."""
    return Step(what, kind="act", act=function)


def write(path, text):
    """A file of the case is changed from outside."""
    return act(f"write {path}", lambda lab, folder: (folder / path).write_text(text))


def _tuple(name, value):
    """One regular expression or name may be given without its tuple."""
    return (value,) if isinstance(value, str) and name in ("says", "never", "lost", "kept", "answers") else value


def crate(name, source):
    """The files of a small library without dependencies."""
    manifest = f'[package]\nname = "{name}"\nversion = "0.1.0"\nedition = "2021"\n\n[workspace]\n'
    return {f"{name}/Cargo.toml": manifest, f"{name}/src/lib.rs": source}
