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


def test_what_was_said_stands_in_the_prompt_and_helps(lesson):
    assert "Question: And of Egypt?" in checked(lesson, "memory")
    assert "zloty" in checked(lesson, "base-with-memory") and "zloty" not in checked(lesson, "without-memory")


def test_the_paper_ends(lesson):
    whole, seen = numbers(checked(lesson, "paper").splitlines()[0])
    assert whole > seen == 256


def test_taught_voices_are_ahead_of_the_one_they_began_with(lesson):
    passed = {line.split(": ")[0]: numbers(line.split("passes ")[1])[0] for line in checked(lesson, "best").splitlines() if ": the checker passes " in line}
    assert len(passed) == 8
    assert passed["dpo, drawn"] > passed["sft, drawn"] + 5, passed
    assert passed["ppo, drawn"] > passed["sft, drawn"] - 5, passed


def test_every_exercise_waits_for_an_answer_and_its_solution_is_right(lesson):
    check_exercises(lesson, at_least=3)
