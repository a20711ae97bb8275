"""What DPO must show, with tolerances that no correct run leaves and a broken one does."""

import math
import re

import pytest

from exercises import check_exercises
from reading import checked, duels, number, numbers, points

# What the prose says, and the cell (its tag) that carries it. Every cell has a test below.
CLAIMS = {
    "prompt": "the introduction is more than half of the tokens",
    "questions": "the exam is that of the other lessons",
    "exam-sft": "sft answers most questions greedily, fewer drawn",
    "bad-day": "bad day's training ends",
    "bad-day-data": "no row was dropped, so pairs and rows belong together",
    "exam-before": "bad day still knows, greedy, and fails most drawn answers",
    "same-log-prob": "a log-probability by hand is the crate's",
    "three-answers": "a small price of distance lets the policy follow the reward, a large one keeps it near",
    "best": "no random policy is better than the formula's, whose objective is β ln Z",
    "solved": "the rewards come back, with one second term for all answers",
    "same-loss": "the loss by hand is the crate's",
    "start": "at the start the loss is ln 2 and every pair is a draw",
    "first-try": "loss and accuracy get better without the extra term",
    "displacement": "the preferred answers become less likely than at the start",
    "sweep": "the long run at a small β is the farthest away",
    "training": "the cured run ends, and ranks the pairs",
    "cured": "the cure is about as good as a high price",
    "after": "with the extra term the preferred answers become likelier",
    "by-reason": "the implicit reward ranks the reasons that it was trained on",
    "exam-after": "drawn answers gain more than greedy ones, and both gain",
    "wins": "it wins question by question, drawn and greedy",
    "habits": "most of the gain is in answers that name the fact; what no pair speaks of stays",
    "scores": "the judge that was not asked agrees",
    "entropy": "the policy is sharper",
    "temperature": "a lower temperature alone brings bad day most of the way",
    "left": "temperature alone gives more than DPO does to drawn answers; about ten points are left in greedy ones",
    "kl": "the distance is told",
    "reference": "the reference has not moved",
}


@pytest.fixture
def lesson(executed):
    return executed("gpt2_dpo")


def test_every_claim_has_its_cell(lesson):
    for tag in CLAIMS:
        assert checked(lesson, tag).strip(), tag


def line(lesson, tag, begins):
    """The numbers of the line that begins so, without those of its beginning."""
    found = [text for text in checked(lesson, tag).splitlines() if text.startswith(begins)]
    assert len(found) == 1, f"{len(found)} lines begin with {begins!r} in check:{tag}"
    return numbers(found[0][len(begins):])


def test_the_introduction_is_more_than_half_of_the_tokens(lesson):
    short, long = numbers(checked(lesson, "prompt"))
    assert 0 < short < long / 2


def test_the_exam_is_that_of_the_other_lessons(lesson):
    of, different = numbers(checked(lesson, "questions"))
    assert of == 500 and 300 < different <= 500


def test_sft_answers_and_draws_worse(lesson):
    greedy, drawn = number(lesson, "exam-sft", "sft, greedy: "), number(lesson, "exam-sft", "sft, drawn: ")
    assert greedy > 65 and 40 < drawn < greedy - 8


def test_pairs_and_rows_belong_together(lesson):
    assert number(lesson, "bad-day-data", after="length: ") == 0
    worse, better = numbers(checked(lesson, "bad-day-data"))[-2:]
    assert worse > 10_000 and 0.1 < better / worse < 0.3


def test_bad_day_still_knows_but_seldom_says_it(lesson):
    assert "finished" in checked(lesson, "bad-day")
    share = {who: number(lesson, "exam-before", f"{who}: ") for who in ("sft, drawn", "bad day, greedy", "bad day, drawn")}
    assert share["bad day, greedy"] > 55
    assert share["bad day, drawn"] < 40 and share["bad day, drawn"] < share["sft, drawn"] - 20


def test_a_log_probability_by_hand_is_the_crates(lesson):
    assert number(lesson, "same-log-prob", after="crate's: ") < 1e-3


def test_the_loss_by_hand_is_the_crates(lesson):
    assert number(lesson, "same-loss", after="crate's: ") < 1e-6


def test_the_price_of_distance_on_three_answers(lesson):
    for beta in (4, 1, 0.25):
        weights = [p * math.exp(r / beta) for p, r in zip((0.6, 0.3, 0.1), (0, 1, 2))]
        z, *policy = line(lesson, "three-answers", f"β = {beta}: ")
        assert z == pytest.approx(sum(weights), abs=2e-3)
        assert policy == pytest.approx([weight / sum(weights) for weight in weights], abs=2e-3)


def test_no_random_policy_is_better(lesson):
    best, ln_z = line(lesson, "best", "π*: ")
    (other,) = line(lesson, "best", "best of 10,000 others: ")
    assert best == pytest.approx(ln_z, abs=2e-5) and best - 0.01 < other <= best


def test_the_rewards_come_back(lesson):
    for beta in (4, 1, 0.25):
        *first, second, off = line(lesson, "solved", f"β = {beta}: ")
        assert [term + second for term in first] == pytest.approx([0, 1, 2], abs=3e-3)
        assert off < 1e-9


def test_at_the_start_every_pair_is_a_draw(lesson):
    assert number(lesson, "start", after="loss ") == pytest.approx(math.log(2), abs=1e-4)
    assert number(lesson, "start", after="accuracy ") == 0


def test_by_loss_and_accuracy_the_first_try_is_well(lesson):
    assert number(lesson, "first-try", after="pairs: loss ") < 0.5
    assert number(lesson, "first-try", after="accuracy ") > 80


def test_the_preferred_answers_become_less_likely(lesson):
    preferred, other = points(lesson, "displacement", "preferred"), points(lesson, "displacement", "other")
    assert preferred[0] == other[0] == (0, 0) and preferred[-1][0] == 120
    assert preferred[-1][1] < -1
    assert all(low < high for (_, high), (_, low) in zip(preferred[1:], other[1:]))


def sweep(lesson, begins, tag="sweep"):
    """preferred, other, KL, drawn and greedy share of a line."""
    text = next(text for text in checked(lesson, tag).splitlines() if text.startswith(begins))[len(begins):]
    preferred, other = numbers(text)[:2]
    shares = [numbers(text.split(word, 1)[1])[0] for word in ("KL ", "drawn ", "greedy ")]
    return (preferred, other, *shares)


def test_a_small_price_goes_too_far(lesson):
    long, short, dear = (sweep(lesson, f"β {name} steps: ") for name in ("0.1, 120", "0.1, 40", "1, 120"))
    known = numbers(checked(lesson, "sweep").split("bad day: drawn ")[1].split("greedy ")[1])[0]
    for name, run in (("long", long), ("short", short)):
        assert run[0] < -1, f"{name}: preferred answers"
        assert run[2] > 10 and run[2] > 2 * dear[2], f"{name}: KL"
        assert run[4] < known - 5, f"{name}: greedy answers"
    assert dear[3] > max(long[3], short[3]) + 10 and dear[4] > max(long[4], short[4]) + 10


def test_with_the_extra_term_the_preferred_answers_rise(lesson):
    assert points(lesson, "after", "β 0.3, with the extra term")[-1][1] > 0
    assert points(lesson, "after", "β 0.1, without")[-1][1] < 0
    assert number(lesson, "training", after="pairs: loss ") < 0.6 and number(lesson, "training", after="accuracy ") > 75


def test_the_cure_is_as_good_as_a_high_price(lesson):
    cured, dear = sweep(lesson, "β 0.3, 200 steps, extra term: ", "cured"), sweep(lesson, "β 1, 120 steps: ")
    assert cured[2] < sweep(lesson, "β 0.1, 120 steps: ")[2] / 2
    assert abs(cured[3] - dear[3]) < 14, "intervals of 200 questions overlap"


def test_it_ranks_the_reasons_that_it_was_trained_on(lesson):
    for reason in ("truth", "on_topic", "to_the_point", "politeness", "answers_at_all"):
        assert number(lesson, "by-reason", f"{reason}: ") > 75, reason


def test_drawn_answers_gain_more_than_greedy_ones(lesson):
    share = {f"{who}, {how}": number(lesson, "exam-after", f"{who}, {how}: ") for who in ("bad day", "dpo") for how in ("greedy", "drawn")}
    assert share["dpo, drawn"] > share["bad day, drawn"] + 20
    assert share["dpo, greedy"] > share["bad day, greedy"] + 5
    gain = {how: share[f"dpo, {how}"] - share[f"bad day, {how}"] for how in ("greedy", "drawn")}
    assert gain["drawn"] > gain["greedy"] + 10


def test_it_wins_question_by_question(lesson):
    wins, losses, p = duels(lesson, "wins")["drawn"]
    assert wins > 3 * losses and p < 1e-6
    wins, losses, p = duels(lesson, "wins")["greedy"]
    assert wins > 2 * losses and p < 1e-3, "in greedy answers, too"


def fault(lesson, name, who):
    """A percentage of the bars of faults."""
    found = re.search(rf"^\s*{name}: {who} .*?([\d.]+) %", checked(lesson, "habits"), re.MULTILINE)
    assert found, f"no bar {name}: {who}"
    return float(found[1])


def test_most_of_the_gain_is_in_answers_that_name_the_fact(lesson):
    fell = {name: fault(lesson, name, "bad day") - fault(lesson, name, "dpo") for name in ("rude", "asks back", "misses")}
    assert fell["rude"] + fell["asks back"] > 2, "manners"
    assert fell["misses"] > 2 * (fell["rude"] + fell["asks back"])
    assert fault(lesson, "rude", "dpo") + fault(lesson, "asks back", "dpo") < 3


def test_what_no_pair_speaks_of_stays(lesson):
    before, after = (fault(lesson, "twice", who) for who in ("bad day", "dpo"))
    assert before > 1 and before / 3 < after < 3 * before
    assert 25 < number(lesson, "by-reason", "says_it_twice: ") < 75


def test_the_judge_that_was_not_asked_agrees(lesson):
    before, after = (numbers(checked(lesson, "scores").split(f"{who}: score ")[1])[:2] for who in ("bad day", "dpo"))
    assert before[0] == pytest.approx(0, abs=0.01)
    assert after[0] - after[1] > 0.2


def test_the_policy_is_sharper(lesson):
    before, after = (number(lesson, "entropy", after=f"{who}: entropy ") for who in ("bad day", "dpo"))
    assert 0 < after < before - 0.1


def test_temperature_alone_does_much(lesson):
    rows = [numbers(text) for text in checked(lesson, "temperature").splitlines() if text.startswith("T = ")]
    assert [row[0] for row in rows] == [0, 0.3, 0.5, 1]
    old, new = ([row[at] for row in rows] for at in (1, 5))  # share, interval, n of the one and of the other
    assert old[0] > old[-1] + 25, "bad day, greedy and at 1"
    assert all(n > o for n, o in zip(new[1:], old[1:])), "drawn, the policy lies above at each temperature"
    assert new[-1] - old[-1] > new[0] - old[0] + 10, "the lines draw near to each other"


def test_what_temperature_does_and_what_is_left(lesson):
    total, alone, left = (numbers(checked(lesson, "left").split(words)[1])[:2] for words in ("both drawn: ", "greedy: ", "both greedy: "))
    assert total[0] - total[1] > 20 and alone[0] - alone[1] > 25
    assert alone[0] > total[0] - 3, "temperature alone gives as much as DPO to drawn answers"
    assert 6 < left[0] < 16 and left[0] - left[1] > 2, "about ten points, the interval is far from zero"


def test_the_distance_is_told(lesson):
    kl = number(lesson, "kl", after="KL: ")
    assert 0.5 < kl < 15
    assert number(lesson, "kl", after="e to the KL: ") == pytest.approx(math.exp(kl), rel=0.02, abs=1)


def test_the_reference_has_not_moved(lesson):
    assert checked(lesson, "reference").strip().endswith("true")


def test_every_exercise_waits_for_an_answer_and_its_solution_is_right(lesson):
    check_exercises(lesson, at_least=3)
