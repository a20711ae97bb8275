#!/usr/bin/env python3
"""Runs learners' mistakes on the installed kernel and writes what a learner sees into tests/kernel/messages.md.

The file is read by people: is each message short, at the right place, in words that help? `tests/kernel/test_messages.py`
runs the mistakes again, compares, and holds each message to the rules in `faults`. After a change of the kernel or of rustc:

    .venv/bin/python tools/kernel_messages.py                     all of them, into the file
    .venv/bin/python tools/kernel_messages.py moved-here          this one; the others stay as they are in the file
    .venv/bin/python tools/kernel_messages.py --print moved-here  on the terminal; the file stays

Every mistake gets a kernel of its own, so that cells have the same numbers each time and no mistake disturbs another.
It ends with the rules that are broken, and with status 1 if there are any.
"""

import argparse
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "kernel"))

from client import Lab  # noqa: E402
from mistakes import MISTAKES, SECTIONS  # noqa: E402

MESSAGES = ROOT / "tests" / "kernel" / "messages.md"
LONGEST = 12  # lines
# What no learner has written and none should read.
GENERATED = [
    r"(?i)evcxr", r"\bctx\b", r"src/lib\.rs", r"<end of input>", r"error: error:", r"__gpt_lab", r"gpt_lab_cell",
    r"run_user_code", r"stack backtrace", r"RUST_BACKTRACE", r"/rustc/", r"For more information about this error",
]
HEAD = """\
# What learners read when something goes wrong

Written by `tools/kernel_messages.py` with rustc {rustc}; the mistakes are in `mistakes.py`, the rules in the tool. After a
change, read the difference as a learner would: does it say what is wrong, where, and what to do?
"""


@dataclass
class Outcome:
    """What a mistake brought."""

    count: int  # of the cell with the mistake
    status: str
    output: str  # all that is shown below the cell
    said: str  # the part of it that is neither result nor picture: errors, or else the streams
    alive: bool  # the kernel works afterwards


def rustc_version():
    """`1.95.0`: messages are its words, so another one may have others."""
    return subprocess.run(["rustc", "--version"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()[1]


def run(mistake):
    """The mistake in a fresh kernel."""
    lab = Lab(env=dict(mistake.env))
    try:
        for code in mistake.before:
            lab.run(code).ok()
        cell = lab.run(mistake.cell)
        after = lab.run("40 + 2")
        alive = [result["data"]["text/plain"] for result in after.results] == ["42"]
        errors = [line for error in cell.errors for line in error["traceback"]]
        said = errors or [cell.stdout, cell.stderr]
        return Outcome(cell.reply["execution_count"], cell.status, plain(shown(cell)), plain(said), alive)
    finally:
        lab.stop(now=True)


def shown(cell):
    """Everything below the cell. Streams come first: their order among the rest is not certain."""
    parts = [cell.stdout.rstrip("\n"), cell.stderr.rstrip("\n")]
    for content in cell.displays + cell.results:
        kinds = [kind for kind in content["data"] if kind != "text/plain"]
        parts += [f"[a picture: {', '.join(sorted(kinds))}]"] if kinds and len(content["data"].get("text/plain", "")) > 200 else [content["data"]["text/plain"]]
    return [part for part in parts if part] + [line for error in cell.errors for line in error["traceback"]]


def plain(parts):
    """Text without colours and without what differs between machines and runs."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(parts)).replace("\r", "")
    text = text.replace(str(ROOT), "(lab)").replace(str(Path.home()), "~")
    text = re.sub(r"0x[0-9a-f]{6,}", "0x…", text)
    text = re.sub(r"(thread '[^']*') \(\d+\)", r"\1", text)
    text = re.sub(r"· \d+ s\b", "· … s", text)
    text = re.sub(r"after \d+ ms", "after … ms", text)
    return "\n".join(line.rstrip() for line in text.split("\n")).strip("\n")


def faults(mistake, outcome):
    """The rules that the message breaks, in words."""
    found = [f"{word!r} is said" for word in (*GENERATED, *mistake.never) if re.search(word, outcome.output)]
    found += [f"{text!r} is not said" for text in mistake.says if not re.search(text, outcome.output, re.MULTILINE)]
    if mistake.ends != "either" and outcome.status != mistake.ends:
        found.append(f"ends with {outcome.status!r}, not {mistake.ends!r}")
    if not outcome.output and not mistake.varies:
        found.append("nothing is said at all")
    if not outcome.alive:
        found.append("the next cell does not work")
    if not mistake.varies and len(outcome.said.splitlines()) > LONGEST:
        found.append(f"{len(outcome.said.splitlines())} lines, more than {LONGEST}")
    if outcome.status == "error":
        return found + head_faults(mistake, outcome.said) + place_faults(mistake, outcome)
    if mistake.ends == "ok" and mistake.line and not re.search(rf"\bline {mistake.line}\b", outcome.said):
        found.append(f"line {mistake.line} is not named")
    return found


def head_faults(mistake, said):
    """What the message begins with."""
    first = said.split("\n")[0]
    if mistake.head is None:
        return [] if re.match(r"\S[^\n]*: \S", first) else [f"begins with {first!r}, not with a name and a message"]
    pattern = {"error": r"error(\[[a-z_:]+\])?", "panic": "panic"}.get(mistake.head)
    if pattern is None:
        pattern = rf"error\[({mistake.head})\]" if re.match(r"E\d{4}", mistake.head) else rf"([\w:]+::)?({mistake.head})"
    return [] if re.match(rf"{pattern}: \S", first) else [f"begins with {first!r}, not with {mistake.head}"]


def place_faults(mistake, outcome):
    """Where the message points: the first place that it names, the line that it quotes, the characters above the carets."""
    if mistake.line is None:
        return []
    own = f"cell {outcome.count}, line {mistake.line}"
    wanted = mistake.origin or own
    places = re.findall(r"cell \d+, line \d+", outcome.said)
    found = []
    if not places or places[0] != wanted:
        found.append(f"points at {places[0] if places else 'no line'}, not at {wanted}")
    if own not in places and places and mistake.origin:
        found.append(f"does not name {own}, which called")
    source = mistake.cell.split("\n")[mistake.line - 1].strip()
    if source not in outcome.said:
        found.append(f"does not quote {source!r}")
    if mistake.at is not None and mistake.at not in marked(outcome.said, source):
        found.append(f"marks {marked(outcome.said, source)}, not {mistake.at!r}")
    return found


def marked(said, source):
    """What stands above carets, for each place where this line is quoted."""
    found, quoted = [], None
    for line in said.split("\n"):
        if re.fullmatch(r"[\s|│·]*[\^\-~][\^\-~\s]*.*", line) and quoted is not None and "-->" not in line:
            found += [quoted[run.start():run.end()] for run in re.finditer(r"\^+", line)]
        elif re.search(re.escape(source) + r"\s*$", line):
            quoted = line
        elif not re.match(r"[\s|│·]+", line):
            quoted = None
    return found


def section(mistake, outcome):
    """The mistake as it stands in the file."""
    parts = [f"### {mistake.id}: {mistake.title}\n"]
    parts += [f"```rust\n{code}\n```\n" for code in mistake.before]
    if mistake.before:
        parts.append("and then\n")
    shown_here = outcome.output or "(nothing)"
    if mistake.varies:
        shown_here = "(another program speaks here, differently on each machine)"
    return "\n".join([*parts, f"```rust\n{mistake.cell}\n```\n", f"```text\n{shown_here}\n```\n"])


def sections(text):
    """The file's parts by id."""
    parts = re.split(r"^(?=## |### )", text, flags=re.MULTILINE)
    return {part[4:].split(":", 1)[0]: part.rstrip("\n") + "\n" for part in parts if part.startswith("### ")}


def page(parts, rustc):
    """The whole file."""
    lines = [HEAD.format(rustc=rustc)]
    for title, mistakes in SECTIONS.items():
        lines.append(f"## {title}\n")
        lines += [parts[mistake.id] for mistake in mistakes if mistake.id in parts]
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("ids", nargs="*", help="these mistakes only")
    parser.add_argument("--print", action="store_true", dest="only_print", help="do not write the file")
    options = parser.parse_args()
    unknown = [name for name in options.ids if name not in MISTAKES]
    if unknown:
        parser.error(f"there is no mistake {', '.join(unknown)}; they are in tests/kernel/mistakes.py")
    known = sections(MESSAGES.read_text(encoding="utf-8")) if options.ids and MESSAGES.exists() else {}
    broken = {}
    for name in options.ids or MISTAKES:
        outcome = run(MISTAKES[name])
        known[name] = section(MISTAKES[name], outcome)
        broken[name] = faults(MISTAKES[name], outcome)
        print(known[name] if options.only_print else f"{name}: {'; '.join(broken[name]) or 'good'}", flush=True)
    if not options.only_print:
        MESSAGES.write_text(page(known, rustc_version()), encoding="utf-8")
    broken = {name: rules for name, rules in broken.items() if rules}
    print(f"\n{len(broken)} of {len(options.ids or MISTAKES)} mistakes break a rule")
    for name, rules in broken.items():
        print(f"  {name}: {'; '.join(rules)}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
