"""Reads results out of executed notebooks.

A code cell whose metadata has the tag `check:NAME` prints the result NAME; a test asks for it by that name and compares with
a tolerance. So a notebook can be rewritten without its tests counting cells.
"""

import re

NUMBER = r"[-+−]?\d[\d_,]*\.?\d*(?:e[-+]?\d+)?"


def plain_text(cell):
    """All text that a cell shows: streams, results and displays."""
    parts, before = [], None
    for output in cell.get("outputs", []):
        if output.output_type == "stream" == before:
            parts[-1] += output.text  # a line may come in pieces
        elif output.output_type == "stream":
            parts.append(output.text)
        elif output.output_type in ("execute_result", "display_data"):
            parts.append(output.data.get("text/plain", ""))
        before = output.output_type
    return "\n".join(parts)


def checked(notebook, name):
    """The text that the cell tagged `check:NAME` shows."""
    found = [cell for cell in notebook.cells if f"check:{name}" in cell.metadata.get("tags", [])]
    assert len(found) == 1, f"{len(found)} cells have the tag check:{name}"
    return plain_text(found[0])


def numbers(text):
    """All numbers of a text, in order; a minus may be the typographic one."""
    return [float(re.sub(r"[_,]", "", number).replace("−", "-").rstrip(".")) for number in re.findall(NUMBER, text)]


def number(notebook, name, after=""):
    """The first number in the output of `check:NAME`, or the first one after some words."""
    text = checked(notebook, name)
    assert after in text, f"{after!r} is not in the output of check:{name}:\n{text}"
    found = numbers(text.split(after, 1)[1] if after else text)
    assert found, f"no number in the output of check:{name}:\n{text}"
    return found[0]


def bars(notebook, name):
    """The bars of `show::shares` in the output of `check:NAME`, in per cent: value, low, high by their words."""
    bar = re.compile(r"^ *(\S.*?) +█* *([\d.]+) % \((\d+)–(\d+) %", re.MULTILINE)
    return {found[1]: tuple(map(float, found.groups()[1:])) for found in bar.finditer(checked(notebook, name))}


def points(notebook, name, line):
    """The points of a line of `show::xy` in the output of `check:NAME`."""
    found = re.search(rf"^{re.escape(line)}: (.*)$", checked(notebook, name), re.MULTILINE)
    assert found, f"no line {line!r} in check:{name}"
    values = numbers(found[1])
    return list(zip(values[::2], values[1::2], strict=True))


def duels(notebook, name):
    """The lines `drawn: 244 wins, 11 losses, 245 draws (sign test: p = 1e-54)`: wins, losses and p by their words."""
    duel = re.compile(rf"^(.*?): +(\d+) wins, (\d+) losses, \d+ draws \(sign test: p = ({NUMBER})\)", re.MULTILINE)
    return {found[1]: (int(found[2]), int(found[3]), float(found[4])) for found in duel.finditer(checked(notebook, name))}
