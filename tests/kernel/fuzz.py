"""Random sessions of redefinitions, held against a model of what must be true.

    python tests/kernel/fuzz.py --sessions 200 --cells 30 --seed 1

A session is a list of cells, made one at a time: the generator reads the model to know what is defined. A cell keeps its text
and its effects, so that the minimiser can run a shorter list and have the model expect anew; cells that make no sense there are
left out. `fuzz_cells.py` makes the cells, `fuzz_model.py` says what must be true.
"""

import argparse
import re
import sys

from client import Lab, Late
from fuzz_cells import Generator
from fuzz_model import Invalid, Model, expect, reading

NEVER = r"evcxr_variable_store|\bctx::|src/lib\.rs|EvcxrUserCodeError|<end of input>|error: error:|__gpt_lab|gpt_lab_cell"


class Mismatch(Exception):
    """The kernel said something else than the model."""

    def __init__(self, kind, text):
        super().__init__(f"{kind}: {text}")
        self.kind = kind


class Host:
    """The kernel; `:clear` between sessions, a new one after a death."""

    def __init__(self, fresh=False):
        self.fresh, self.lab, self.spoiled = fresh, None, False

    def clear(self):
        if self.lab and (self.fresh or self.spoiled or self.lab.run(":clear").status != "ok"):
            self.stop()
        self.lab, self.spoiled = self.lab or Lab(), False

    def run(self, text):
        return self.lab.run(text)

    def stop(self):
        if self.lab:
            self.lab.stop(now=True)
            self.lab = None


def said(got):
    """All that the cell said in words, without colours."""
    parts = [got.stderr] + [f"{e['ename']}: {e['evalue']}\n" + "\n".join(e["traceback"]) for e in got.errors]
    return re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(parts))


def check(e, got):
    """Compares and returns the names announced as lost."""
    text = said(got)
    if "ProcessEnded" in text or "signal:" in text:
        raise Mismatch("process", "the process that runs the cells ended")
    if got.status != e.status:
        raise Mismatch("status", f"{got.status} instead of {e.status}")
    if e.status == "error" and not e.says and any(error["ename"].startswith("error[E") for error in got.errors):
        raise Mismatch("status", "it did not compile")
    lines = got.stdout.splitlines()
    if len(lines) != len(e.lines) or any(line not in allowed for line, allowed in zip(lines, e.lines)):
        raise Mismatch("value", f"stdout {lines} instead of {e.lines}")
    if e.result is not None and [r["data"].get("text/plain") for r in got.results] != [e.result]:
        raise Mismatch("value", f"result {[r['data'] for r in got.results]} instead of {e.result}")
    if missing := [s for s in e.says if not re.search(s, text)]:
        raise Mismatch("words", f"nothing like {missing}")
    if found := re.search(NEVER, text):
        raise Mismatch("words", f"generated code: {found[0]}")
    announced = set(re.findall(r"^\s*lost: `?(\w+)", text, re.MULTILINE))
    if e.must - announced:
        raise Mismatch("not announced", f"{sorted(e.must - announced)} must be announced as lost")
    if announced - e.must - e.may:
        raise Mismatch("lost", f"{sorted(announced - e.must - e.may)} must be kept")
    aside = {name for name in re.findall(r"^\s*set aside: (?!impl)\w+ (\w+)", text, re.MULTILINE) if e.after.usable(name)}
    if aside:
        raise Mismatch("set aside", f"{sorted(aside)} still compile")
    return announced


def settle(e, announced):
    """The state after the cell, where the kernel had a choice and said so."""
    for var, old in e.pending.items():
        if var in announced and var not in e.after.vars:
            e.after.gone[var] = "lost"
        elif var not in e.after.vars and e.after.gone.get(var) != "moved":
            e.after.vars[var] = old
    e.after.note()
    return e.after


def looks(state, is_cast):
    """What `reading` may print of a variable in this state."""
    text = state.value.debug()
    return {text} if state.type[0] != "any" else {f"Some({text})", "None"} if is_cast else {"Any { .. }"}


def probe(host, m, var, states, log):
    """Reads a variable that may be several things, and takes what it is."""
    alive = [s for s in states if s]
    if not alive:
        return
    # Through `downcast_ref` only what is a `Box<dyn Any>` in every state.
    same = len({s.type for s in alive}) == 1
    text = reading(var, alive[0].type if same else ("",))
    got = host.run(text)
    log.append((text, f"{[s.value.debug() if s else 'E0425' for s in states]}", got))
    line, right = got.stdout.strip("\n"), [s for s in alive if got.status == "ok" and got.stdout.strip("\n") in looks(s, same)]
    m.vars.pop(var, None)
    if right and len({s.type for s in right}) > 1:
        m.unclear.add(var)  # two states that look alike: not used again
    elif right:
        m.vars[var] = right[0]
        m.gone.pop(var, None)
    elif got.status == "ok" or None not in states or "E0425" not in said(got):
        raise Mismatch("value", f"{var} is {line or said(got)}")
    m.note()


def play(host, source):
    """Runs a session; `source` gives the next cell for a state, or None. Returns its cells, the log, and what went wrong."""
    host.clear()
    model, cells, log = Model(), [], []
    try:
        while cell := source(model):
            cells.append(cell)
            e = expect(model, cell)
            log.append((cell.text(), str(e), None))
            got = host.run(cell.text())
            log[-1] = (cell.text(), str(e), got)
            model = settle(e, check(e, got))
            for var, states in sorted(e.states.items()):
                probe(host, model, var, states, log)
    except (Late, Mismatch) as wrong:
        host.spoiled = True
        return cells, log, wrong if isinstance(wrong, Mismatch) else Mismatch("no reply", str(wrong))
    return cells, log, None


def random_cells(seed, count):
    generator, left = Generator(seed), iter(range(count))
    return lambda model: generator.next(model) if next(left, None) is not None else None


def given_cells(cells):
    """Those of the cells that make sense when their turn comes."""
    left = iter(cells)

    def following(model):
        for cell in left:
            try:
                expect(model, cell)
                return cell
            except (Invalid, KeyError):
                continue

    return following


def minimise(host, cells, log, wrong, trials=80):
    """Drops cells as long as a mismatch of the same kind stays."""
    size, at = max(1, len(cells) // 2), 0
    while size and trials:
        shorter = cells[:at] + cells[at + size :]
        trials -= 1
        ran, its_log, problem = play(host, given_cells(shorter))
        if problem and problem.kind == wrong.kind:
            cells, log, wrong = ran, its_log, problem
        else:
            at += size
        if at >= len(cells):
            size, at = size // 2, 0
    return log, wrong


def report(seed, log, wrong):
    lines = [f"seed {seed}: {wrong}"]
    for number, (text, expected, got) in enumerate(log, 1):
        lines += [f"--- {number} ---", text] + ([f"    // expected: {expected}"] if number == len(log) else [])
    return "\n".join(lines + [str(log[-1][2]), said(log[-1][2]) if log[-1][2] else ""])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sessions", type=int, default=200)
    parser.add_argument("--cells", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1, help="of the first session; the others follow")
    parser.add_argument("--fresh", action="store_true", help="a kernel for each session instead of :clear")
    parser.add_argument("--no-minimise", action="store_true")
    parser.add_argument("--show", action="store_true", help="print the cells")
    args = parser.parse_args()
    host = Host(args.fresh)
    try:
        failed = [seed for seed in range(args.seed, args.seed + args.sessions) if not session(host, seed, args)]
    finally:
        host.stop()
    print(f"{args.sessions} sessions, {len(failed)} wrong", *failed)
    return bool(failed)


def session(host, seed, args):
    """One session with its report; whether all was right."""
    cells, log, wrong = play(host, random_cells(seed, args.cells))
    if args.show:
        print("\n".join(f"--- {n} ---\n{text}\n    // {e}" for n, (text, e, _) in enumerate(log, 1)))
    if wrong:
        print(report(seed, log, wrong), flush=True)
    if wrong and not args.no_minimise:
        print("\n=== the same with fewer cells\n" + report(seed, *minimise(host, cells, log, wrong)), flush=True)
    print(f"seed {seed}: {'WRONG' if wrong else 'right'}, {len(cells)} cells", flush=True)
    return wrong is None


if __name__ == "__main__":
    sys.exit(main())
