#!/usr/bin/env python3
"""Runs the cases of tests/kernel/cases on our kernel and prints them as a Markdown table.

    .venv/bin/python tools/kernel_cases.py                                      our kernel
    .venv/bin/python tools/kernel_cases.py --other target/kernel/examples/plain   and plain evcxr beside it (comes last)
    .venv/bin/python tools/kernel_cases.py --only 'A0[1-3]' --why               some of them, with the reasons below
    .venv/bin/python tools/kernel_cases.py --table --network --slow             all of them, into tests/kernel/cases.md

Both kernels are held to the same checks: values, losses that are said, places of errors, no word of generated code. What only
ours can have (our library, its set-up) is marked "–" for the other one.
"""

import argparse
import re
import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent / "tests/kernel"
sys.path.insert(0, str(TESTS))
from cases import ALL, Kernels, Wrong, run  # noqa: E402
from cases.first_version import BEFORE, ELSEWHERE, PASSED  # noqa: E402

GROUPS = {
    "A": "what the language promises over several cells",
    "B": "values, displays and text",
    "C": "errors, and the places that they name",
    "D": "what front-ends ask",
    "E": "children, crates, folders, starts and ends",
    "F": "faults that cells met",
    "N": "what a learner is told",
    "S": "other cells of learners",
    "X": "crates and other faults that clients met",
    "G": "more faults that clients met",
}
HEAD = """\
# The cases of the kernel, then and now

Written by `tools/kernel_cases.py --table`; `cases/` has the cases and what the first version of the kernel did.
A row is a case, or several of a kind that the first version was not tried on; the last table is what other tests hold.
The first version passed {passed} of the {tried} cases that it was tried on; now {good} of {all} pass{rest}.
"""


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="regular expression over whole ids")
    parser.add_argument(
        "--other", nargs=argparse.REMAINDER, help="another kernel's command; the connection file is added at its end"
    )
    parser.add_argument("--other-only", action="store_true", help="do not run ours")
    parser.add_argument("--network", action="store_true", help="also what needs crates.io")
    parser.add_argument("--slow", action="store_true", help="also what takes minutes")
    parser.add_argument("--why", action="store_true", help="the first reason of each failure, below the table")
    parser.add_argument("--table", action="store_true", help="write tests/kernel/cases.md: each case then and now")
    args = parser.parse_args()
    if args.table and (args.only or args.other_only):
        parser.error("--table is about every case on our kernel: run it without --only and --other-only")
    return args


def chosen(args):
    """The cases to run, in their order."""
    for case in ALL:
        wanted = re.fullmatch(args.only, case.id) if args.only else True
        if wanted and (args.network or not case.network) and (args.slow or not case.slow):
            yield case


def outcome(case, kernels):
    """`passes`, or `fails` and why."""
    try:
        run(case, kernels)
    except Wrong as wrong:
        return "**fails**", wrong.reason
    except Exception as failure:  # a kernel that does not start
        return "**fails**", f"{type(failure).__name__}: {failure}".split("\n")[0]
    return "passes", ""


def command(words):
    """A kernel's command with the connection file where it takes it."""
    return words if any("{connection_file}" in word for word in words) else [*words, "--control_file", "{connection_file}"]


def main():
    args = options()
    ours = None if args.other_only else Kernels()
    other = Kernels(command(args.other)) if args.other else None
    reasons, now, count = [], {}, {"kernel": [0, 0], "other": [0, 0]}
    print("| id | case | kernel | plain evcxr |\n|---|---|---|---|", flush=True)
    for case in chosen(args):
        words = []
        for name, kernels in (("kernel", ours), ("other", other)):
            if kernels is None or (name == "other" and (case.gpt_lab or case.ours)):
                words.append("–")
                continue
            word, why = outcome(case, kernels)
            words.append(word)
            now |= {case.id: word} if name == "kernel" else {}
            count[name][0] += not why
            count[name][1] += 1
            if why:
                reasons.append(f"* {case.id}, {name}: {why}")
        print(f"| {case.id} | {title(case)} | {' | '.join(words)} |", flush=True)
    for kernels in filter(None, (ours, other)):
        kernels.close()
    print(f"\n{', '.join(f'{name}: {good} of {all_} pass' for name, (good, all_) in count.items() if all_)}")
    if args.why:
        print("\n" + "\n".join(reasons))
    if args.table:
        (TESTS / "cases.md").write_text("\n".join(page(now)) + "\n", encoding="utf-8")


def title(case):
    """The title as a cell of a table."""
    return cell(" ".join(case.title.split()))


def cell(text):
    return text.replace("|", "\\|")


def page(now):
    """The lines of `cases.md`; `now` has the outcomes of this run by id."""
    tried, good = list(BEFORE.values()), list(now.values()).count("passes")
    rest = f", {len(ALL) - len(now)} were not run" if len(now) < len(ALL) else ""
    yield HEAD.format(passed=tried.count(PASSED), tried=len(tried), good=good, all=len(ALL), rest=rest)
    for letter, about in GROUPS.items():
        yield f"## {letter}: {about}\n\n| id | case | first version | now | test |\n|---|---|---|---|---|"
        families = {}
        for case in sorted((case for case in ALL if case.id[0] == letter), key=place):
            families.setdefault(place(case)[0], []).append(case)
        for family in families.values():
            yield from rows(family, now)
        yield ""
    yield "## What other tests hold\n\n| what it is about | first version | test |\n|---|---|---|"
    for about, (before, test) in ELSEWHERE.items():
        yield f"| {cell(about)} | {cell(before)} | `{test}` |"


def place(case):
    """The number of a case and the letter behind it."""
    number, letter = re.fullmatch(r"[A-Z](\d+)([a-z]*)", case.id).groups()
    return int(number), letter


def rows(family, now):
    """A row for each case; several siblings that the first version was not tried on share one."""
    siblings = [case for case in family if case.id not in BEFORE and place(case)[1]]
    for case in family:
        if case not in siblings or len(siblings) == 1:
            yield row(case.id, title(case), BEFORE.get(case.id, "not tried"), state(case, now), case.id)
    if len(siblings) > 1:
        ids = ", ".join(case.id for case in siblings)
        yield row(ids, f"and {len(siblings)} siblings", "not tried", summed(siblings, now), "…")


def row(ids, about, before, after, test):
    return f"| {ids} | {about} | {cell(before)} | {after} | `test_cases.py::test_case[{test}]` |"


def state(case, now):
    """What this run brought, or why the case was not run."""
    why = ", ".join(name for name in ("network", "slow") if getattr(case, name))
    return now.get(case.id, f"not run ({why})")


def summed(siblings, now):
    """`all pass`, or which do what."""
    states = {}
    for case in siblings:
        states.setdefault(state(case, now), []).append(case.id)
    if list(states) == ["passes"]:
        return "all pass"
    return "; ".join(f"{word}: {', '.join(ids)}" for word, ids in states.items())


if __name__ == "__main__":
    main()
