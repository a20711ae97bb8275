"""What the chat must show, with tolerances that no correct run leaves."""

import pytest

from exercises import check_exercises
from reading import checked, numbers


@pytest.fixture
def lesson(executed):
    return executed("chat")


def test_there_are_four_voices(lesson):
    assert checked(lesson, "voices").strip() == "voices: base, sft, dpo, ppo"
    assert [line.split(":")[0] for line in checked(lesson, "all").splitlines() if "(score " in line] == ["base", "sft", "dpo", "ppo"]


def test_a_voice_by_hand_is_the_voice(lesson):
    assert checked(lesson, "by-hand").strip().endswith("true")


def test_two_examples_in_the_memory_make_the_base_answer(lesson):
    assert "Beijing" in checked(lesson, "base-with-memory")
    assert "Question: What is the capital of France?" in checked(lesson, "memory")


def test_taught_voices_answer_more_often_than_the_base(lesson):
    passed = {line.split(":")[0]: numbers(line.split("passes ")[1])[0] for line in checked(lesson, "best").splitlines() if "passes" in line}
    assert passed["base"] < 15 and min(passed["dpo"], passed["ppo"]) > passed["base"] + 10, passed


def test_every_exercise_waits_for_an_answer_and_its_solution_is_right(lesson):
    check_exercises(lesson, at_least=3)
