"""The reward model's key results, with tolerances that no correct run leaves."""

import math

import pytest

from exercises import check_exercises
from reading import checked, number, numbers


@pytest.fixture
def lesson(executed):
    return executed("gpt2_reward_modeling")


def test_ties_are_counted(lesson):
    pairs, ties, over_long = numbers(checked(lesson, "data").splitlines()[0])
    assert pairs + ties == 3000 and ties > 50 and over_long == 0


def test_the_chapters_pair(lesson):
    """Preferred second: about 3.02 before and 0.98 after (the scores were printed with two digits)."""
    second = [float(line.rsplit(" ", 1)[1]) for line in checked(lesson, "by-hand").strip().splitlines()]
    assert second == pytest.approx([3.02, 0.98], abs=0.03)


def test_loss_and_last_token_by_hand_are_the_crates(lesson):
    assert number(lesson, "same-loss", after="difference: ") < 1e-6
    assert number(lesson, "last-token", after="crate: ") < 1e-5


def test_the_chapters_count(lesson):
    assert numbers(checked(lesson, "report"))[-3:] == pytest.approx([38_400, 124_478_208, 0.031], abs=5e-4)


def test_an_untrained_head_knows_nothing(lesson):
    assert 30 < number(lesson, "before", after="accuracy ") < 70
    assert number(lesson, "before", after="loss ") == pytest.approx(math.log(2), abs=0.05)


def test_it_learns_to_judge(lesson):
    assert "finished" in checked(lesson, "training")
    assert number(lesson, "after", after="accuracy ") > 80
    assert number(lesson, "after", after="margin ") > 0.5


def test_what_needs_knowledge_is_harder_than_what_is_on_the_surface(lesson):
    accuracy = {line.split(":")[0]: float(line.split(":")[1].split()[0]) for line in checked(lesson, "by-reason").splitlines() if " %" in line and ":" in line}
    surface = min(accuracy[name] for name in ("to_the_point", "politeness", "answers_at_all"))
    assert max(accuracy["truth"], accuracy["on_topic"]) < surface - 5, accuracy


def test_the_first_judge_has_learnt_that_longer_is_better_and_the_mended_one_less_so(lesson):
    once = number(lesson, "fooled", after="once, not twice: ")
    mended = number(lesson, "mended-tricks", after="once, not twice: ")
    assert once < 30 and mended > once + 20, (once, mended)


def test_the_mended_judge_is_right_on_unbiased_pairs(lesson):
    assert number(lesson, "mended", after="mended ") > 75


def test_every_exercise_waits_for_an_answer_and_its_solution_is_right(lesson):
    check_exercises(lesson, at_least=4)
