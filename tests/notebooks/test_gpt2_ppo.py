"""What the lesson on PPO says, held to its outputs, with tolerances that no correct run leaves."""

import re

import pytest

from exercises import check_exercises
from reading import checked, number, numbers

# A claim of the text, and the cell whose output carries it.
CLAIMS = {
    "greedy does better than drawn on a bad day": "exam-before",
    "what was drawn and paid gets likelier": "one-step",
    "a baseline leaves the progress and takes away spread": "baseline",
    "old draws, used without care, nearly give up an answer that was not among them": "reuse",
    "with ratio and cap they do not": "reuse-clipped",
    "the rewards of the three tokens are the crate's": "same-rewards",
    "the advantages of the three tokens are the crate's": "same-advantages",
    "lambda goes from the next surprise to all that was earned": "lambdas",
    "the ratio is 1 before the first step": "ratio-is-one",
    "dropout in the body makes dice of the ratio, in adapters only it does not": "dropout",
    "before the first step policy = reference, and the critic expects nothing": "one-round",
    "the score rises, the entropy falls, saying it twice stays rare": "panels",
    "PPO is better by a checker that it was not trained on": "exam-after",
    "two ways to measure the distance": "distance",
    "the judge is kinder to the questions of its training; what was gained is about the same": "kinder",
    "manners explain a part of the wins only": "habits",
    "bad day, asked greedily, beats PPO drawn; at the same temperature PPO is better": "temperature",
    "something is left that no temperature brings": "not-only-sharper",
    "against the first judge the score rises, and so do doubled answers": "path",
    "section 6 has about as many right answers with a shorter way": "frontier",
    "the unleashed policy says it twice": "unleashed-exam",
}


@pytest.fixture
def lesson(executed):
    return executed("gpt2_ppo")


def lines(lesson, name):
    """The lines of a cell as (words before the colon, the numbers behind it)."""
    text = checked(lesson, name).replace("−", "-").replace("–", " ")
    return [(line.split(":")[0].strip(), numbers(line.split(":", 1)[1])) for line in text.splitlines() if ":" in line]


def shares(lesson, name):
    """All shares of a cell, in percent."""
    return [float(found) for found in re.findall(r"(\d+\.\d) % \(", checked(lesson, name))]


def p_values(lesson, name):
    return [float(found) for found in re.findall(r"p = ([\d.e-]+)\)", checked(lesson, name))]


def test_every_claim_has_its_cell(lesson):
    for tag in CLAIMS.values():
        assert checked(lesson, tag).strip(), tag


def test_the_questions(lesson):
    assert numbers(checked(lesson, "data")) == [7200, 500]


def test_greedy_does_better_than_drawn_on_a_bad_day(lesson):
    greedy, drawn = shares(lesson, "exam-before")
    assert greedy > drawn + 30 and 8 < drawn < 35 and 60 < greedy < 85


def test_what_was_drawn_and_paid_gets_likelier(lesson):
    assert numbers(checked(lesson, "one-step").split("[")[1]) == [0.299, 0.299, 0.403]


def test_a_baseline_leaves_the_progress_and_takes_away_spread(lesson):
    (_, [_, early, spread, _, late]), (_, [_, calm_early, calm_spread, _, calm_late]) = lines(lesson, "baseline")
    assert calm_spread < 0.75 * spread
    assert abs(calm_early - early) < 0.05 and abs(calm_late - late) < 0.03 and late > 0.85


def test_old_draws_overshoot_without_care_and_not_with_it(lesson):
    best, ratio, unlucky, of, given_up = numbers(checked(lesson, "reuse"))
    assert best > 0.8 and ratio > 2.5 and 0 < unlucky < 25 and of == 200
    assert given_up < 0.2
    calm_best, calm_ratio, same, _, kept = numbers(checked(lesson, "reuse-clipped"))
    assert same == unlucky and 0.28 < kept < 0.36
    assert 0.35 < calm_best < best and calm_ratio < 2


def test_by_hand_is_the_crates(lesson):
    assert numbers(checked(lesson, "rewards-by-hand")) == [-0.05, -0.1, 2.05]
    assert number(lesson, "same-rewards", after="crate's: ") < 1e-6
    assert number(lesson, "same-advantages", after="crate's: ") < 1e-5
    (_, next_only), (_, between), (_, all_of_it) = [(head, found[-3:]) for head, found in lines(lesson, "lambdas")]
    assert next_only == [0.95, 0.2, 0.25] and all_of_it == [1.4, 0.45, 0.25]
    assert next_only[0] < between[0] < all_of_it[0]


def test_nothing_has_moved_before_the_first_step(lesson):
    assert number(lesson, "ratio-is-one", after="from 1: ") < 1e-5
    assert number(lesson, "one-round", after="start: ") < 1e-4
    assert number(lesson, "one-round", after="anywhere: ") == 0


def test_dropout_makes_dice_of_the_ratio_unless_it_is_in_adapters_only(lesson):
    assert shares(lesson, "dropout")[0] > 15
    assert int(re.search(r"n = (\d+)", checked(lesson, "dropout"))[1]) >= 50
    assert number(lesson, "dropout", after="only: largest distance from 1: ") < 1e-6


def test_practice_raises_the_score_and_lowers_the_entropy(lesson):
    assert "finished" in checked(lesson, "training")
    found = {name: values[2::3] for name, values in lines(lesson, "panels")}  # rounds 1 5 x, rounds 36 40 y
    first, last = ({name: values[at] for name, values in found.items()} for at in (0, 1))
    score, entropy, twice = "score", "entropy, nats a token", "share that says it twice"
    assert last[score] > first[score] + 0.3
    assert last[entropy] < 0.9 * first[entropy]
    assert last[twice] < 0.2
    assert last["tokens an answer"] < 32


def test_ppo_is_better_by_a_checker_that_it_was_not_trained_on(lesson):
    greedy, drawn = shares(lesson, "exam-before")
    greedy_after, drawn_after = shares(lesson, "exam-after")
    assert drawn_after > drawn + 20 and greedy_after > greedy + 3
    by_greedy, by_drawn = p_values(lesson, "exam-after")
    assert by_greedy < 0.01 and by_drawn < 1e-10


def test_two_ways_to_measure_the_distance(lesson):
    estimated, exact = number(lesson, "distance", after="answers: KL "), number(lesson, "distance", after="exactly: KL ")
    assert 0.3 < estimated < 5 and 0.3 < exact < 5


def test_the_judge_is_kinder_to_questions_that_it_was_trained_on(lesson):
    known, new, known_after, new_after = [values[0] for _, values in lines(lesson, "kinder")]
    assert abs(known) < 0.01, "the unit was taken from these answers"
    assert new < known - 0.1 and new_after < known_after - 0.1
    assert known_after > known + 0.3 and abs((new_after - new) - (known_after - known)) < 0.2, "gained"


def test_manners_explain_a_part_of_the_wins_only(lesson):
    bad_manners, _, good_manners, twice = shares(lesson, "habits")
    gain = shares(lesson, "exam-after")[1] - shares(lesson, "exam-before")[1]
    assert 0 < bad_manners - good_manners < 0.7 * gain
    assert twice < 20


def test_a_part_of_the_gain_is_temperature_and_a_part_is_not(lesson):
    text = checked(lesson, "temperature")
    drawn, cold, greedy, ppo_drawn, ppo_cold, ppo_greedy = [float(found) for found in re.findall(r"(\d+\.\d) %", text)]
    assert greedy > ppo_drawn and cold > drawn + 10
    assert ppo_drawn > drawn and ppo_cold > cold and ppo_greedy > greedy
    assert ppo_greedy - greedy < 0.6 * (ppo_drawn - drawn), "sharpening is the larger part"
    assert number(lesson, "not-only-sharper", after="bad day: ") > 3
    assert p_values(lesson, "not-only-sharper")[0] < 0.01


def test_against_the_first_judge_score_and_doubled_answers_rise(lesson):
    assert "40 rounds" in checked(lesson, "unleashed")
    text = checked(lesson, "path").replace("−", "-")
    kl, score = ([float(found) for found in re.findall(words + r"(-?\d+\.\d+)", text)] for words in ("KL ", "score "))
    right, twice = shares(lesson, "path")[::2], shares(lesson, "path")[1::2]
    assert len(kl) == len(score) == len(right) == len(twice) == 5
    assert kl[0] == 0 and kl[4] > 3
    assert score[4] > score[0] + 0.5
    assert twice[0] < 15 and twice[4] > 40 and max(twice) > 50
    assert right[4] > right[0] + 5, "this judge knows facts, too"


def test_section_6_has_as_many_right_answers_with_a_shorter_way(lesson):
    text = checked(lesson, "path")
    free_kl, free_right = float(re.findall(r"KL (\d+\.\d)", text)[4]), shares(lesson, "path")[8]
    right, twice = shares(lesson, "frontier")
    assert abs(right - free_right) < 15 and twice < 20
    assert number(lesson, "frontier", after="KL ") < 0.6 * free_kl


def test_the_unleashed_policy_says_it_twice(lesson):
    _, greedy_twice, _, drawn_twice = shares(lesson, "unleashed-exam")
    assert greedy_twice > 50 and drawn_twice > 45
    assert shares(lesson, "unleashed-exam")[0] < shares(lesson, "exam-before")[0] - 5, "fewer right than on the bad day"
    words = [float(found) for found in re.findall(r"([\d.]+) words", checked(lesson, "unleashed-exam"))]
    ppo = float(re.findall(r"([\d.]+) words", checked(lesson, "habits"))[1])
    assert min(words) > ppo + 2


def test_every_exercise_waits_for_an_answer_and_its_solution_is_right(lesson):
    check_exercises(lesson, at_least=4)
