"""What the lesson on reward models says, held to its outputs, with tolerances that no correct run leaves.

CLAIMS: what the prose says -> the tag of the cell that carries it.
"""

import math
import re

import pytest

from exercises import check_exercises
from reading import bars, checked, number, numbers

CLAIMS = {
    "ties and over-long rows are counted; half of the held-out pairs are about new facts": "data",
    "there is a pair of each of six reasons, and one reason prefers what is said twice": "examples",
    "three if-statements judge about four in five of the unbiased pairs right": "three-ifs",
    "the chapter's pair: only with the second number as the preferred answer's do the losses fit": "by-hand",
    "the loss by hand is the crate's": "same-loss",
    "the last real token by hand is the crate's": "last-token",
    "the chapter's count of parameters": "report",
    "an untrained head costs ln 2": "before",
    "it learns to judge": "after",
    "surface is learnt fully, on_topic is harder, truth is the hardest, and the wrong reason is learnt": "by-reason",
    "the judge beats three ifs, but not by much": "above-ifs",
    "new facts are judged better than by a coin": "new-facts",
    "the writer's probability knows the truth, but no manners": "log-p",
    "three ifs and the writer's probability are better than the judge": "combined",
    "how sure it is, and how often right": "calibration",
    "the score after the end mark is lower for the wrong answer": "strip",
    "what the score knows of truth before the end mark and after it": "early",
    "what is said twice wins among six": "best-of-six",
    "a false sentence said twice beats a true one": "fooled",
    "only in the wrong reason the longer answer always wins": "longer",
    "mended, the judge is about as good on unbiased pairs, and contradicts the flaw more often": "second",
    "mended, it falls for what is said twice in the smaller part of the pairs": "second-fooled",
    "mended, it likes the plain true sentence best of the six": "second-best-of-six",
    "best of n by hand is the crate's": "best-of-by-hand",
    "best of n raises the score; what else it raises depends on the judge": "best-of-n",
    "two judges' winners, with the checker's verdict": "kept",
    "the likeliest answer, without a judge, is right more often than the best of 16": "greedy",
}
REASONS = ("truth", "on_topic", "to_the_point", "politeness", "answers_at_all", "says_it_twice")
SURFACE = ("to_the_point", "politeness", "answers_at_all")


@pytest.fixture
def lesson(executed):
    return executed("gpt2_reward_modeling")


def panel(lesson, name, panel, group):
    """The y values of a group in a panel of `show::frontier`, in their order."""
    points = [line.split(": ")[2] for line in checked(lesson, name).splitlines() if line.startswith(f"{panel}: {group},")]
    return [numbers(point)[0] for point in points]


def test_every_claim_has_its_cell(lesson):
    for claim, tag in CLAIMS.items():
        assert checked(lesson, tag).strip(), claim


def test_ties_are_counted(lesson):
    first, second, third = checked(lesson, "data").strip().splitlines()
    pairs, ties, over_long = numbers(first)
    assert pairs + ties == 12_000 and ties > 100 and over_long == 0
    held_out, new = numbers(second)
    assert held_out == 3000 and 1300 < new < 1700 and numbers(third) == [0]


def test_every_reason_is_shown_and_counted(lesson):
    cards = checked(lesson, "examples")
    for reason in REASONS:
        assert f"{reason}: " in cards and reason in checked(lesson, "reasons")
    assert cards.count("✓") == cards.count("✗") == len(REASONS)


def test_three_ifs_judge_four_in_five(lesson):
    assert 77 < number(lesson, "three-ifs", after="pairs: ") < 83
    found = bars(lesson, "three-ifs")
    assert all(found[reason][0] > 95 for reason in SURFACE)
    assert all(40 < found[reason][0] < 60 for reason in ("truth", "on_topic"))


def test_the_chapters_pair(lesson):
    """Preferred second: about 3.02 before and 0.98 after (the scores were printed with two digits)."""
    second = [float(line.rsplit(" ", 1)[1]) for line in checked(lesson, "by-hand").strip().splitlines()]
    assert second == pytest.approx([3.02, 0.98], abs=0.03)


def test_loss_last_token_and_best_of_by_hand_are_the_crates(lesson):
    assert number(lesson, "same-loss", after="difference: ") < 1e-6
    assert number(lesson, "last-token", after="crate: ") < 1e-5
    hand, crate = numbers(checked(lesson, "best-of-by-hand"))
    assert hand == pytest.approx(2 / 3, abs=1e-3) and crate == hand


def test_a_score_for_every_token(lesson):
    ids, hidden, scores = (numbers(found) for found in re.findall(r"\[([\d, ]+)\]", checked(lesson, "shapes").replace(", ", " ")))
    assert ids == scores == hidden[:2] and hidden[2] == 192


def test_the_chapters_count(lesson):
    assert numbers(checked(lesson, "report"))[-3:] == pytest.approx([38_400, 124_478_208, 0.031], abs=5e-4)


def test_an_untrained_head_knows_nothing(lesson):
    assert 30 < number(lesson, "before", after="right: ") < 70
    assert number(lesson, "before", after="loss ") == pytest.approx(math.log(2), abs=0.05)


def test_it_learns_to_judge(lesson):
    assert "finished" in checked(lesson, "training") and "finished" in checked(lesson, "second-training")
    assert number(lesson, "after", after="held out: ") > 88
    assert number(lesson, "after", after="loss ") < 0.4 and number(lesson, "after", after="margin ") > 1


def test_what_needs_knowledge_is_harder_than_what_is_on_the_surface(lesson):
    found = bars(lesson, "by-reason")
    assert list(found) == list(REASONS)
    assert all(found[reason][0] > 98 for reason in (*SURFACE, "says_it_twice")), found
    assert 60 < found["truth"][0] < found["on_topic"][0] < 97, found


def test_the_judge_beats_three_ifs_by_some_points(lesson):
    ifs, judge, paired = checked(lesson, "above-ifs").strip().splitlines()
    (ifs, judge), (wins, losses) = ([numbers(line)[0] for line in (ifs, judge)], numbers(paired)[:2])
    assert ifs + 5 < judge < ifs + 19 and wins > 2 * losses


def test_new_facts_are_more_than_a_coin(lesson):
    found = bars(lesson, "new-facts")
    assert found["truth, new facts"][1] > 52 and found["on_topic, new facts"][1] > 60, found
    assert found["truth, known facts"][0] > found["truth, new facts"][0], found


def test_the_body_knows_what_the_judge_does_not(lesson):
    likelier, judge = bars(lesson, "log-p"), bars(lesson, "by-reason")
    assert likelier["truth"][0] > 96 and likelier["truth"][1] > judge["truth"][2] + 5
    assert 35 < likelier["politeness"][0] < 65 and likelier["says_it_twice"][0] < 45
    alone = number(lesson, "combined", after="log p: ")
    combined = number(lesson, "combined", after="then log p: ")
    assert combined > number(lesson, "above-ifs", after="first judge ") and combined > alone


def test_what_is_said_twice_wins(lesson):
    assert checked(lesson, "best-of-six").splitlines()[0].count("capital of Japan") == 2
    found = bars(lesson, "fooled")
    assert found["true, said twice"][0] > 90 and found["false, said twice"][0] > 60, found
    assert found["false, said twice"][0] > found["false"][0] + 20, found


def test_the_data_taught_it(lesson):
    found = bars(lesson, "longer")
    assert found["says_it_twice"][0] == 100 and max(found[reason][0] for reason in REASONS[:5]) < 50
    assert number(lesson, "longer", after="all pairs: ") < 50


def test_the_mended_judge_is_as_good_and_contradicts_the_flaw(lesson):
    first, second = number(lesson, "second", after="first "), number(lesson, "second", after="second ")
    assert abs(first - second) < 4 and second > 85
    found = bars(lesson, "second")
    assert found["says_it_twice · second"][2] < found["says_it_twice · first"][1], found
    assert all(abs(found[f"{reason} · first"][0] - found[f"{reason} · second"][0]) < 6 for reason in REASONS[:5]), found


def test_what_is_said_twice_loses_most_of_the_time(lesson):
    found = bars(lesson, "second-fooled")
    assert len(found) == 6
    for trick in ("true, said twice", "false, said twice"):
        assert found[f"{trick} · second"][0] < 40 < 60 < found[f"{trick} · first"][0], found
    assert checked(lesson, "second-best-of-six").splitlines()[0] == "best: Tokyo is the capital of Japan."


def test_best_of_n_raises_the_score(lesson):
    for judge in ("first judge", "second judge"):
        scores = panel(lesson, "best-of-n", "score (in its std)", judge)
        assert len(scores) == 5 and scores == sorted(scores) and abs(scores[0]) < 0.05 and scores[-1] > 0.8, judge


    twice = [panel(lesson, "best-of-n", "says it twice", judge) for judge in ("first judge", "second judge")]
    assert twice[0][-1] > twice[0][0] + 0.1 and twice[0][-1] > twice[1][-1] + 0.08, twice


def test_the_share_of_right_answers_falls_behind_the_score(lesson):
    among = number(lesson, "writer", after="among the 16: ") / 100
    for judge in ("first judge", "second judge"):
        scores = panel(lesson, "best-of-n", "score (in its std)", judge)
        right = panel(lesson, "best-of-n", "right (checker)", judge)
        assert scores[4] > scores[2] + 0.1 and right[4] < right[2] + 0.08 and right[2] > right[0], judge
        assert right[4] < among - 0.25 and right[4] < number(lesson, "greedy", after="right ") / 100 - 0.15, judge
    cards = checked(lesson, "kept")
    assert cards.count("first: ") == cards.count("second: ") == 8


def test_it_is_about_as_sure_as_it_should_be(lesson):
    pairs, sure, right = numbers(checked(lesson, "calibration").splitlines()[0])
    assert pairs == 1000 and abs(sure - right) < 8


def test_most_of_the_verdict_is_there_before_the_end_mark(lesson):
    lines = checked(lesson, "strip").splitlines()
    better, worse = (numbers(line.rsplit('"', 1)[1])[0] for line in lines if line.startswith('"<|endoftext|>"'))
    assert better > worse
    early, late = number(lesson, "early", after="before the end mark: "), number(lesson, "early", after="after it: ")
    assert 55 < early < late + 3 and late == pytest.approx(bars(lesson, "by-reason")["truth"][0], abs=0.1)


def test_without_a_network_the_chapters_run_is_skipped(lesson):
    assert "skipped" in checked(lesson, "full")


def test_every_exercise_waits_for_an_answer_and_its_solution_is_right(lesson):
    check_exercises(lesson, at_least=4)
