"""The careful fine-tuning's key results, with tolerances that no correct run leaves."""

import pytest

from exercises import check_exercises
from reading import checked, number, numbers


@pytest.fixture
def lesson(executed):
    return executed("gpt2_lora_optimum")


def test_a_row_by_hand_is_the_crates(lesson):
    assert checked(lesson, "same-row").strip().endswith("true")


def test_a_small_part_of_the_tokens_is_learnt_from(lesson):
    assert 8 < number(lesson, "rows", after="learnt from: ") < 30


def test_the_same_model_has_two_losses(lesson):
    on_answers, on_all = numbers(checked(lesson, "two-losses"))
    assert abs(on_answers - on_all) > 0.1


def test_the_base_does_not_answer_and_the_tuned_model_does(lesson):
    assert number(lesson, "base-rate", after="base: ") < 20
    assert number(lesson, "masked-rate", after="mask on: ") > 75


def test_most_of_what_it_tells_it_has_known_before(lesson):
    assert number(lesson, "new-facts", after="told: ") > 55


def test_without_the_mask_it_learns_too(lesson):
    assert number(lesson, "unmasked-rate", after="mask off: ") > 60


def test_one_switch_turns_the_answer_off(lesson):
    on, off = checked(lesson, "switch").strip().splitlines()
    assert "Beijing" in on and "Beijing" not in off


def test_the_adapter_comes_back_from_its_files(lesson):
    text = checked(lesson, "saved")
    assert "adapter_config.json" in text and "adapter_model.safetensors" in text
    assert checked(lesson, "loaded").strip().endswith("true")


def test_every_exercise_waits_for_an_answer_and_its_solution_is_right(lesson):
    check_exercises(lesson, at_least=2)
