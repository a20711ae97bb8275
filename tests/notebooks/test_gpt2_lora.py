"""The clumsy fine-tuning's key results, with tolerances that no correct run leaves."""

import re

import pytest

from exercises import check_exercises
from reading import checked, number, numbers


@pytest.fixture
def lesson(executed):
    return executed("gpt2_lora")


def test_windows_and_prompts_by_hand_are_the_crates(lesson):
    assert checked(lesson, "same-prompt").splitlines()[0].endswith("true")
    assert checked(lesson, "same-windows").strip().endswith("true")


def test_the_chapters_count(lesson):
    assert numbers(checked(lesson, "trainable"))[1:4] == pytest.approx([147_456, 124_587_264, 0.1184], abs=5e-4)


def test_the_base_does_not_answer(lesson):
    assert number(lesson, "base-rate", "base: ") < 20


def test_one_rate_of_the_sweep_collapses_and_the_others_learn(lesson):
    losses = [float(line.rsplit(" ", 1)[1]) for line in checked(lesson, "sweep").splitlines() if "last ten" in line]
    assert len(losses) == 4
    assert losses[3] > 5 and max(losses[:3]) < 3.5, losses


def test_the_collapsed_run_is_worse_than_doing_nothing(lesson):
    text = checked(lesson, "collapsed")
    last, best = (float(re.search(pattern, text)[1]) for pattern in (r", validation ([\d.]+) \(", r"best ([\d.]+) at step 0"))
    assert last > best + 0.5, text
    assert number(lesson, "collapsed-rate", "collapsed: ") < 5


def test_the_base_is_whole_behind_the_ruined_adapter(lesson):
    on, off = checked(lesson, "adapter-off").strip().splitlines()[:2]
    assert "Paris" in off and "Paris" not in on


def test_the_schedule_by_hand_is_the_crates(lesson):
    assert number(lesson, "same-schedule") < 1e-12


def test_gradients_tell_the_two_runs_apart(lesson):
    found = dict(re.findall(r"(collapsed|mended): .*?\(largest ([\d.]+)\)", checked(lesson, "side-by-side")))
    assert float(found["collapsed"]) > 4 * float(found["mended"]), found


def test_more_room_gives_more_answers(lesson):
    base, mended = number(lesson, "base-rate", "base: "), number(lesson, "mended-rate", "mended: ")
    roomy = number(lesson, "roomy-rate", "projections: ")
    assert base + 5 < mended < roomy, (base, mended, roomy)


def test_every_exercise_waits_for_an_answer_and_its_solution_is_right(lesson):
    check_exercises(lesson, at_least=3)
