"""What the second lesson must show with the model in the box, with tolerances that no correct run leaves."""

import pytest

from exercises import check_exercises
from reading import checked, number, numbers


@pytest.fixture
def lesson(executed):
    return executed("gpt2")


def test_the_chapters_question_has_the_chapters_ids(lesson):
    assert "[2061, 318, 262, 3139, 286, 2807, 30]" in checked(lesson, "chapter-tokens")


def test_english_is_shorter_in_tokens_than_chinese(lesson):
    english, chinese = (float(line.split(":")[1].split()[0]) for line in checked(lesson, "compression").splitlines())
    assert english > 3.5 and chinese < 2.0


def test_generating_by_hand_is_generating_by_the_crate(lesson):
    assert checked(lesson, "same-greedy").strip().endswith("true")


def test_the_fact_is_in_the_model(lesson):
    assert checked(lesson, "lens").splitlines()[-1].split("%")[0].split(": ")[1].startswith('" Par"')


def test_the_cache_pays(lesson):
    """No clock: positions, which are what the cache saves."""
    without, cached = numbers(checked(lesson, "cache-positions"))[:2]
    assert without > 50 * cached


def test_few_shot_answers_and_a_bare_question_does_not(lesson):
    bare = number(lesson, "bare", after="bare questions answered: ")
    few_shot = number(lesson, "few-shot", after="few-shot questions answered: ")
    assert bare <= 2 and few_shot >= 8
    assert number(lesson, "form-only", after="with the form alone: ") >= 8


def test_the_answer_is_likelier_after_examples(lesson):
    bare, form, few_shot = (float(line.split("=")[1]) for line in checked(lesson, "answer-probability").splitlines())
    assert min(form, few_shot) > 0.5 and few_shot > 20 * bare


def test_a_language_it_never_saw_surprises_it(lesson):
    english, chinese = numbers(checked(lesson, "surprise"))
    assert chinese > 1.5 * english


def test_every_exercise_waits_for_an_answer_and_its_solution_is_right(lesson):
    check_exercises(lesson, at_least=5)
