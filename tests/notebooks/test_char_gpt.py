"""The first lesson's key results, with tolerances that no correct run leaves."""

import math
import re

import pytest

from exercises import check_exercises
from reading import checked, number, numbers

LN_V = math.log(98)


@pytest.fixture
def lesson(executed):
    return executed("char_gpt")


def test_knowing_nothing_costs_ln_v(lesson):
    assert number(lesson, "knowing-nothing", after="ln 98 = ") == pytest.approx(LN_V, abs=5e-4)
    assert 2.0 < number(lesson, "bigram") < 2.9


def test_attention_by_hand_is_the_crates(lesson):
    assert number(lesson, "same-attention") < 1e-5
    assert number(lesson, "same-logits", after="logits: ") < 1e-5
    assert number(lesson, "same-gradients") < 1e-5


def test_scores_grow_with_the_root_of_the_head_size(lesson):
    assert number(lesson, "score-deviation", after="before: ") == pytest.approx(4.0, abs=0.15)
    assert number(lesson, "score-deviation", after="after: ") == pytest.approx(1.0, abs=0.04)


def test_an_untrained_model_knows_nothing(lesson):
    assert number(lesson, "untrained-loss") == pytest.approx(LN_V, abs=0.1)


def test_parameters(lesson):
    assert numbers(checked(lesson, "parameters")) == [825_186, 2_408_290]


def test_the_lessons_own_model_learns(lesson):
    losses = numbers(checked(lesson, "first-steps"))[1::2]
    assert losses == sorted(losses, reverse=True) and losses[-1] < 3.6


def test_training_beats_the_bigram_model_by_far(lesson):
    text = checked(lesson, "training")
    assert "finished" in text
    assert number(lesson, "training", after="(best ") < 1.9


def test_overfitting_is_seen(lesson):
    """The training loss ends far below the validation loss, which ends above its best."""
    text = checked(lesson, "overfitting")
    patterns = (r"; loss of the last step ([\d.]+)", r"validation ([\d.]+) \(", r"best ([\d.]+) at")
    train, last, best = (float(re.search(pattern, text)[1]) for pattern in patterns)
    assert train < best - 0.5 and last > best + 0.1, text


def test_every_exercise_waits_for_an_answer_and_its_solution_is_right(lesson):
    check_exercises(lesson, at_least=5)
