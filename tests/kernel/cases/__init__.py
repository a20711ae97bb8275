"""Cells and requests after public reports about notebooks of compiled languages, with what must come of them.

An id with a letter behind its number (`A02b`) is a sibling: the same kind with other content. A is language, B output,
C errors, D clients, E life of a session; F are faults that cells met, N what a learner is told, S other cells of learners,
X and G faults that clients met.
"""

from . import clients, errors, faults, found, language, learners, life, output, siblings
from .check import Kernels, Wrong, run
from .model import Case

ALL: tuple[Case, ...] = (
    *language.CASES,
    *output.CASES,
    *faults.CASES,
    *learners.CASES,
    *errors.CASES,
    *clients.CASES,
    *life.CASES,
    *found.CASES,
    *siblings.CASES,
)
assert len({case.id for case in ALL}) == len(ALL), "two cases have one id"

__all__ = ["ALL", "Case", "Kernels", "Wrong", "run"]
