"""What GRPO must show, with tolerances that no correct run leaves."""

import pytest

from exercises import check_exercises
from reading import checked, duels, number, numbers, points

# The cell (its tag) that carries a claim of the text.
CLAIMS = {
    "naive": "a program that looks for the right name pays for a list; the checker does not",
    "hole": "the checker reads no sentence: false ones pass",
    "start": "the bad day knows its facts: greedily it passes far more often than drawn",
    "by-hand": "an advantage is the reward less the group's mean, by its standard deviation, and adds up to 0",
    "kinds": "some groups are of one mind and teach nothing",
    "pass-at-k": "a right answer is far more often among eight than alone, but hard questions stay",
    "reinforce": "at ratio 1 the slope is the advantage, whatever the token's probability",
    "unmoved": "before the first step the policy is the bad day",
    "training": "the run comes to its end",
    "rounds": "reward and KL rise, the entropy falls, most groups teach, next to nothing is capped",
    "exams": "both columns rise, the drawn one far more",
    "paired": "of the questions that were decided by far the most go to GRPO",
    "facts": "the gain on facts that it never practised is little smaller",
    "habits": "rude answers and questions back become rarer",
    "strangers": "few of the answers that pass never mention what was asked about, and no more than before",
    "temperature": "the bad day asked greedily passes about as often as GRPO drawn, or more often; greedily GRPO is ahead",
    "sft": "a part of the greedy gain undoes the bad day; greedy, GRPO is ahead of the model before it; drawn, about where it was",
    "kept": "most questions have a right answer among sixteen",
    "three": "distillation brings the drawn answers more than half of GRPO's gain, as far from the start",
    "duels": "GRPO is clearly ahead of the distilled model, drawn and greedily",
    "read": "both have written about as many answers; distillation learns from few of them",
    "different": "fewer different answers among eight",
    "after-kinds": "groups that are all wrong become rare, groups that are all right take their place",
    "pass-at-k-after": "one answer gains most, eight gain least, and the curves do not meet",
}


@pytest.fixture
def lesson(executed):
    return executed("gpt2_grpo")


def rounds(lesson, name):
    """The means of rounds 1–10, 21–30 and 51–60."""
    line = next(line for line in checked(lesson, "rounds").splitlines() if line.startswith(name))
    return [numbers(part)[0] for part in line.split(": ")[1:]]


@pytest.mark.parametrize("tag", CLAIMS)
def test_every_claim_has_its_output(lesson, tag):
    assert checked(lesson, tag).strip(), CLAIMS[tag]


def test_the_checker_refuses_what_the_naive_program_pays_for(lesson):
    found = {line[34:].strip(): (line[:4], line[8:34].strip()) for line in checked(lesson, "naive").splitlines()[1:]}
    assert found["Rome."] == ("pass", "right")
    assert found["The capital of Italy is Milan."] == ("fail", "does not name it")
    assert found["Look it up. It is Rome."] == ("pass", "rude")
    assert found["Is it Rome?"] == ("fail", "asks back")
    naive, check = found["Rome, Paris or Berlin."]
    assert naive == "pass" and check.startswith("names ") and check.endswith("as well")


def test_false_sentences_pass_the_checker(lesson):
    lines = checked(lesson, "hole").strip().splitlines()
    assert len(lines) == 2 and all(line.startswith("right: ") for line in lines)


def test_the_bad_day_knows_more_than_it_says(lesson):
    greedy, drawn = number(lesson, "start", "greedy: "), number(lesson, "start", "drawn:  ")
    assert 15 < drawn < 33, "about one case in five"
    assert greedy > drawn + 30


def test_advantages_by_hand_are_the_crates(lesson):
    rewards, advantages = (numbers(line) for line in checked(lesson, "by-hand").splitlines()[:2])
    assert len(rewards) == len(advantages) == 8 and 2 <= sum(rewards) <= 4
    assert abs(sum(advantages)) < 0.05
    assert all((advantage > 0) == (reward == 1) for reward, advantage in zip(rewards, advantages))
    assert max(advantages) >= -min(advantages) - 0.02, "the rarer the right answer, the more praise"
    assert number(lesson, "by-hand", after="crate's: ") < 1e-5


def test_some_groups_teach_nothing(lesson):
    wrong, mixed, right = (number(lesson, "kinds", name) for name in ("all wrong", "mixed", "all right"))
    assert wrong + mixed + right == pytest.approx(100, abs=0.2)
    assert wrong > 8 and 50 < mixed < 92 and right < 10


def test_a_right_one_among_eight(lesson):
    at = {k: number(lesson, "pass-at-k", f"pass@{k}: ") for k in (1, 2, 4, 8)}
    assert at[1] < at[2] < at[4] < at[8]
    assert at[8] > 2 * at[1]
    equally_hard = 100 * (1 - (1 - at[1] / 100) ** 8)
    assert at[8] < equally_hard, "hard questions"
    assert at[8] == pytest.approx(100 - number(lesson, "kinds", "all wrong"), abs=0.6)


def test_with_one_pass_it_is_reinforce(lesson):
    slopes = numbers(checked(lesson, "reinforce").splitlines()[0])
    assert slopes == [-0.15] * 3 + [0.15] * 3
    assert number(lesson, "reinforce", after="tokens: ") == 0.15
    assert all(capped < 0.05 for capped in rounds(lesson, "tokens capped"))


def test_nothing_has_moved_before_the_first_step(lesson):
    assert number(lesson, "unmoved", after="KL ") == 0
    assert number(lesson, "unmoved", after="entropy ") > 0.5


def test_the_curves_go_where_the_text_says(lesson):
    assert "60 iterations" in checked(lesson, "training") and "finished" in checked(lesson, "training")
    first, middle, last = rounds(lesson, "reward")
    assert last > first + 0.2 and middle - first > 0.5 * (last - first), "most of it in the first half"
    assert all(0.5 < share < 0.97 for share in rounds(lesson, "groups that teach"))
    first, _, last = rounds(lesson, "KL")
    assert last > first + 0.5
    first, middle, last = rounds(lesson, "entropy")
    assert last <= middle + 0.1 < first + 0.1 and first < number(lesson, "unmoved", after="entropy "), "early and fast"
    assert "GRPO: 60 iterations" in checked(lesson, "curves")


def test_both_exams_rise_and_the_drawn_one_far_more(lesson):
    gain = {how: number(lesson, "exams", f"GRPO, {how}") - number(lesson, "exams", f"bad day, {how}") for how in ("drawn", "greedy")}
    assert gain["drawn"] > 30 and gain["greedy"] > 5, gain
    for how in ("drawn", "greedy"):
        wins, losses, _p = duels(lesson, "paired")[how]
        assert wins > 2.5 * losses, how
    assert "n = 500" in checked(lesson, "exams")


def test_it_learnt_to_say_what_it_knows(lesson):
    gains = {}
    for line in checked(lesson, "facts").strip().splitlines():
        before, after = (numbers(side)[0] for side in line.split(":", 1)[1].split("→"))
        gains[line.split(":")[0].strip()] = after - before
    assert gains["new facts        drawn"] > 0.6 * gains["practised facts  drawn"], gains
    assert gains["new facts        greedy"] > 0.4 * gains["practised facts  greedy"], gains


def test_what_earns_nothing_becomes_rarer(lesson):
    before, after = checked(lesson, "habits").split("GRPO, drawn")
    for habit in ("rude: ", "asks back: "):
        old, new = (numbers(text.split(habit)[1])[0] for text in (before, after))
        assert new < 0.6 * old, habit


def test_the_hole_is_not_a_habit(lesson):
    before, after, greedy = (number(lesson, "strangers", name) for name in ("bad day, drawn", "GRPO, drawn", "GRPO, greedy"))
    assert after < 20 and greedy < 10
    line = {line.split("  ")[0].strip(): line for line in checked(lesson, "strangers").splitlines()[:3]}
    low, high = (numbers(line[name].split("(")[1].replace("–", " "))[:2] for name in ("bad day, drawn", "GRPO, drawn"))
    assert low[1] >= high[0], "the intervals overlap"


def test_a_lower_temperature_does_as_well_for_the_drawn_answers(lesson):
    at = {name: number(lesson, "temperature", f"{name}:") for name in ("bad day at temperature 0.5", "bad day, greedy", "GRPO, drawn", "GRPO, greedy")}
    assert -5 < at["bad day, greedy"] - at["GRPO, drawn"] < 15, at
    assert at["bad day, greedy"] > at["bad day at temperature 0.5"] > number(lesson, "start", "drawn:  ") + 15, at
    assert at["GRPO, greedy"] > at["bad day, greedy"] + 5, at
    before, after = numbers(checked(lesson, "temperature").split("token: ")[1])[:2]
    assert after < 0.7 * before, "sharper"
    assert 0.5 < number(lesson, "temperature", after="bad day: ") < 12


def test_a_part_of_it_undoes_the_bad_day(lesson):
    wins, losses, _p = duels(lesson, "sft")["GRPO against sft, greedy"]
    assert wins > 1.2 * losses, "ahead"
    wins, losses, _p = duels(lesson, "sft")["GRPO against sft, drawn"]
    assert 0.6 < wins / losses < 1.8, "about where it was"
    assert number(lesson, "sft", "sft, greedy: ") > number(lesson, "start", "greedy: "), "a part of the gain undoes it"


def test_best_of_n_distillation_comes_far_and_stays_behind(lesson):
    written, questions = numbers(checked(lesson, "kept"))
    assert written == 3200 and 130 < questions < 200
    start, grpo, distilled = number(lesson, "start", "drawn:  "), number(lesson, "exams", "GRPO, drawn"), number(lesson, "three", "distilled, drawn:  ")
    assert distilled - start > 0.5 * (grpo - start)
    assert abs(distilled - number(lesson, "temperature", "0.5: ")) < 12
    assert 0.3 < number(lesson, "three", after="bad day: ") / number(lesson, "temperature", after="bad day: ") < 2.5
    for how in ("drawn", "greedy"):
        wins, losses, _p = duels(lesson, "duels")[f"GRPO against distilled, {how}"]
        assert wins > 1.3 * losses, how


def test_the_answers_are_counted(lesson):
    text = checked(lesson, "read")
    grpo, mixed, written, learnt = (int(found) for found in numbers(text))
    assert (grpo, written) == (3840, 3200) and 1500 < mixed < grpo
    assert learnt == numbers(checked(lesson, "kept"))[1]


def test_variety_is_the_price(lesson):
    before, after = (numbers(side)[0] for side in checked(lesson, "different").split(":")[1].split("→"))
    assert after < before - 1
    assert number(lesson, "after-kinds", "all wrong") < number(lesson, "kinds", "all wrong")
    assert number(lesson, "after-kinds", "all right") > number(lesson, "kinds", "all right") + 10
    old, new = ([share for _k, share in points(lesson, "pass-at-k-after", who)] for who in ("bad day", "GRPO"))
    assert len(old) == len(new) == 8 and all(b > a for a, b in zip(old, new)), "the curves do not meet"
    assert new[0] - old[0] > new[7] - old[7] + 10, "one answer gains most"


def test_every_exercise_waits_for_an_answer_and_its_solution_is_right(lesson):
    check_exercises(lesson, at_least=3)
