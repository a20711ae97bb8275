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


def test_the_mended_judge_is_looked_at_reason_by_reason(lesson):
    lines = checked(lesson, "mended-by-reason").strip().splitlines()
    assert [line.split(":")[0] for line in lines] == ["truth", "on_topic", "to_the_point", "politeness", "answers_at_all"]


def test_pairs_that_show_what_is_right_mend_it_for_good(lesson):
    found = {line.split(":")[0]: numbers(line.split(":", 1)[1]) for line in checked(lesson, "better").strip().splitlines()}
    (_, mended, third), on_topic = found["unbiased pairs"], found["on_topic"]
    assert third > mended and third > 82, found
    assert on_topic[2] > on_topic[1] + 8, found
    assert found["once, not twice"][2] > 70 and found["short and true, not beside the question"][2] > 80, found


def test_best_of_n_raises_the_mark_and_only_a_good_judge_finds_the_right_answers(lesson):
    text = checked(lesson, "best-of-n")
    right = {}
    for judge in ("first", "mended", "third"):
        found = [numbers(line.split("mean mark")[1]) for line in text.splitlines() if line.startswith(f"{judge} judge, best of ")]
        marks, right[judge] = zip(*found)
        assert len(marks) == 5 and list(marks) == sorted(marks) and marks[-1] > marks[0] + 1, judge
    assert right["mended"][-1] < number(lesson, "best-of-n", after="among the 16: ") - 25
    assert right["third"][-1] > right["mended"][-1] + 8, right
    assert max(right["third"]) > right["third"][0] + 5, right


def test_every_exercise_waits_for_an_answer_and_its_solution_is_right(lesson):
    check_exercises(lesson, at_least=4)
