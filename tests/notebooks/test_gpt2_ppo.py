"""What PPO must show, with tolerances that no correct run leaves."""

import re

import pytest

from exercises import check_exercises
from reading import checked, number, numbers


@pytest.fixture
def lesson(executed):
    return executed("gpt2_ppo")


def test_by_hand_is_the_crates(lesson):
    assert number(lesson, "same-rewards", after="crate's: ") < 1e-6
    assert number(lesson, "same-advantages", after="crate's: ") < 1e-5


def test_nothing_has_moved_before_the_first_step(lesson):
    assert number(lesson, "one-round", after="start: ") < 1e-4
    assert number(lesson, "one-round", after="anywhere: ") == 0
    assert number(lesson, "ratio-is-one", after="from 1: ") < 1e-5


def test_dropout_makes_noise_of_the_ratio(lesson):
    ratios = numbers(checked(lesson, "dropout"))
    assert max(abs(ratio - 1) for ratio in ratios) > 0.01


def test_practice_raises_the_mark_on_held_out_questions(lesson):
    assert "finished" in checked(lesson, "training")
    before = number(lesson, "after", after="questions: before ")
    after = numbers(checked(lesson, "after").split("questions: before")[1])[1]
    assert after > before + 0.3, (before, after)
    assert 0.1 < number(lesson, "after", after="KL ") < 10


def test_it_wins_by_a_judge_that_was_not_trained_against(lesson):
    assert number(lesson, "wins", after="it wins ") > 60


def test_without_the_leash_the_mark_is_higher_and_the_distance_far_greater(lesson):
    kl = [float(found) for found in re.findall(r"KL ([\d.]+) nats", checked(lesson, "side-by-side"))]
    assert len(kl) == 2 and kl[1] > 2 * kl[0], kl
    lines = [numbers(line.split(": ")[1]) for line in checked(lesson, "verdicts").strip().splitlines()]
    (leashed, right, _), (free, fooled, _) = lines
    assert free > leashed, "the mark without the leash and with it"
    assert fooled < right, "what the checker passes, without the leash and with it"


def test_every_exercise_waits_for_an_answer_and_its_solution_is_right(lesson):
    check_exercises(lesson, at_least=3)
