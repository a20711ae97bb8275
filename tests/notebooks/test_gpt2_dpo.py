"""What DPO must show, with tolerances that no correct run leaves."""

import math

import pytest

from exercises import check_exercises
from reading import checked, number


@pytest.fixture
def lesson(executed):
    return executed("gpt2_dpo")


def test_a_log_probability_by_hand_is_the_crates(lesson):
    assert number(lesson, "same-log-prob", after="crate's: ") < 1e-3


def test_at_the_start_every_pair_is_a_draw(lesson):
    assert number(lesson, "start", after="loss ") == pytest.approx(math.log(2), abs=1e-4)
    assert number(lesson, "start", after="accuracy ") == 0


def test_it_learns_to_prefer(lesson):
    assert "finished" in checked(lesson, "training")
    assert number(lesson, "after", after="loss ") < 0.6
    assert number(lesson, "after", after="accuracy ") > 75
    assert number(lesson, "after", after="margin ") > 0.3


def test_bad_habits_become_rarer(lesson):
    for habit in ("rude, %: ", "asks back, %: "):
        before = number(lesson, "habits", after=f"{habit}before ")
        after = float(checked(lesson, "habits").split(f"{habit}before ")[1].split("after ")[1].split()[0])
        assert after < before, habit


def test_the_judge_that_was_not_asked_agrees(lesson):
    before, after = (number(lesson, "marks", after=f"{when}: mean mark ") for when in ("before", "after"))
    assert after > before + 0.5


def test_it_wins_by_a_judge_that_was_not_trained(lesson):
    assert number(lesson, "wins", after="it wins ") > 60


def test_the_distance_is_told(lesson):
    assert 0.1 < number(lesson, "kl", after="KL: ") < 100


def test_the_reference_has_not_moved(lesson):
    assert checked(lesson, "reference").strip().endswith("true")


def test_every_exercise_waits_for_an_answer_and_its_solution_is_right(lesson):
    check_exercises(lesson, at_least=3)
