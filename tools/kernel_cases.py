#!/usr/bin/env python3
"""Runs the cases of tests/kernel/cases on our kernel and prints them as a Markdown table.

    .venv/bin/python tools/kernel_cases.py                                      our kernel
    .venv/bin/python tools/kernel_cases.py --other target/kernel/examples/plain   and plain evcxr beside it (comes last)
    .venv/bin/python tools/kernel_cases.py --only 'A0[1-3]' --why               some of them, with the reasons below

Both kernels are held to the same checks: values, losses that are said, places of errors, no word of generated code. What only
ours can have (our library, its set-up) is marked "–" for the other one.
"""

import argparse
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests/kernel"))
from cases import ALL, Kernels, Wrong, run  # noqa: E402


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
    return parser.parse_args()


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
    reasons, count = [], {"kernel": [0, 0], "other": [0, 0]}
    print("| id | case | kernel | plain evcxr |\n|---|---|---|---|", flush=True)
    for case in chosen(args):
        row = []
        for name, kernels in (("kernel", ours), ("other", other)):
            if kernels is None or (name == "other" and (case.gpt_lab or case.ours)):
                row.append("–")
                continue
            word, why = outcome(case, kernels)
            row.append(word)
            count[name][0] += not why
            count[name][1] += 1
            if why:
                reasons.append(f"* {case.id}, {name}: {why}")
        print(f"| {case.id} | {title(case)} | {' | '.join(row)} |", flush=True)
    for kernels in filter(None, (ours, other)):
        kernels.close()
    print(f"\n{', '.join(f'{name}: {good} of {all_} pass' for name, (good, all_) in count.items() if all_)}")
    if args.why:
        print("\n" + "\n".join(reasons))


def title(case):
    """The title as a cell of a table."""
    return " ".join(case.title.split()).replace("|", "\\|")


if __name__ == "__main__":
    main()
