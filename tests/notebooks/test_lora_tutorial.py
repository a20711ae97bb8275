"""The third lesson's key results, with tolerances that no correct run leaves."""

import re

import pytest

from exercises import check_exercises
from reading import checked, number, numbers


@pytest.fixture
def lesson(executed):
    return executed("lora_tutorial")


def percents(lesson, name):
    """Every `… 12.3 % right` of a cell."""
    return [float(found) for found in re.findall(r"([\d.]+) % right", checked(lesson, name))]


def test_a_fresh_adapter_changes_nothing(lesson):
    """Apart from rounding: the library computes an adapted layer in another order than a plain one."""
    assert number(lesson, "nothing-at-first", after="gap ") < 1e-6
    assert number(lesson, "gpt", after="gap before training: ") < 1e-4


def test_with_b_at_zero_only_b_moves_and_with_both_at_zero_nothing_does(lesson):
    with_b_zero, both_zero = [numbers(line.split(":")[1]) for line in checked(lesson, "zero-gradients").splitlines()]
    assert with_b_zero[0] == 0 and with_b_zero[1] > 0.1
    assert both_zero == [0, 0]


def test_lora_by_hand_is_the_librarys(lesson):
    assert number(lesson, "same-output", after="gap ") < 1e-6
    gaps = re.findall(r"relative gap (\S+)", checked(lesson, "same-gradients"))
    assert len(gaps) == 2 and all(float(gap) < 1e-6 for gap in gaps)


def test_the_chapters_counts(lesson):
    assert numbers(checked(lesson, "report")) == pytest.approx([64, 130, 49.231], abs=5e-4)
    assert numbers(checked(lesson, "plan")) == pytest.approx([147_456, 124_587_264, 0.118], abs=5e-4)
    assert numbers(checked(lesson, "share"))[:2] == [12_288, 1_769_472]


def test_a_rank_that_is_too_small_gets_stuck(lesson):
    lines = [numbers(line.split(":")[1]) for line in checked(lesson, "ranks").splitlines() if "error " in line]
    first, last = lines[0][0], [line[1] for line in lines]
    assert last[0] > 0.1 * first and last[1] > 0.03 * first, last
    assert last[2] < 1e-3 * first and last[3] < 1e-3 * first, last


def test_the_base_knows_the_plain_moons_only(lesson):
    plain, mirrored, turned = percents(lesson, "pretrained")
    assert plain > 95 and mirrored < 90 and turned < 90


def test_the_base_is_changed_in_place_and_comes_back_bit_for_bit(lesson):
    assert number(lesson, "in-place", after="moved by ") > 0.01
    assert number(lesson, "disabled", after="disabled: gap ") == 0
    assert number(lesson, "disabled", after="after it: gap ") > 0.01
    assert number(lesson, "disabled", after="unloaded: gap ") == 0
    for name in ("frozen", "unmerge"):
        assert "bit for bit as before: true" in checked(lesson, name)


def test_only_the_active_adapter_gets_gradients(lesson):
    rows = [line for line in checked(lesson, "audit").splitlines() if line.startswith(("lin", "base_model"))]
    with_gradient = [row.split()[0] for row in rows if not row.rstrip().endswith("none")]
    assert len(rows) == 4 + 2 + 4
    assert len(with_gradient) == 4 and all(".turned." in name for name in with_gradient)


def test_each_adapter_has_its_own_skill(lesson):
    assert percents(lesson, "training")[0] > 93 and percents(lesson, "rank-one")[0] > 93
    assert percents(lesson, "stuck")[0] < 95
    assert percents(lesson, "second")[0] > 93
    table = numbers(checked(lesson, "switching"))[-9:]
    for own in range(3):
        row = table[3 * own : 3 * own + 3]
        assert row[own] == max(row) and row[own] > 93, table


def test_merging_agrees_and_subtracting_does_not_undo_it(lesson):
    assert number(lesson, "merge", after="gap ") < 1e-4
    assert number(lesson, "merge", after="trainable params: ") == 0
    assert number(lesson, "unmerge", after="gap ") == 0
    assert number(lesson, "subtract", after="gap ") > 0


def test_an_adapter_comes_back_from_its_files_and_belongs_to_its_base(lesson):
    assert "base_model.model.lin0.lora_A.weight [3, 2]" in checked(lesson, "files")
    assert "base_model.model.lin0.lora_B.weight [4, 3]" in checked(lesson, "files")
    same, other = percents(lesson, "loaded")
    assert same == percents(lesson, "training")[0] and other < same
    assert re.search(r"another shape: .*lora_B", checked(lesson, "loaded"))


def test_every_exercise_waits_for_an_answer_and_its_solution_is_right(lesson):
    check_exercises(lesson, at_least=5)
