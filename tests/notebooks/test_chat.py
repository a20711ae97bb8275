"""What the chat and the last table of the course must show, with tolerances that no correct run leaves."""

import re

import pytest

from exercises import check_exercises
from reading import checked, duels, number, numbers

# Each claim of the prose, and the cell (check:NAME) whose output carries it.
CLAIMS = {
    "there are six voices": "voices",
    "the prompt has two headings and no introduction": "prompt",
    "the base does not answer under these headings, the voices that were tuned do": "all",
    "a voice by hand is the voice": "by-hand",
    "a question that makes no sense alone is answered all the same": "without-memory",
    "what was said stands in the prompt": "memory",
    "under the headings, sft does not join in": "with-memory",
    "in the form of the quiz, the base and sft do, the bad day and dpo do not": "quiz",
    "a rude memory makes nobody rude, but dpo and grpo lose more than half of their right answers": "rude-memory",
    "the model sees the last 256 tokens of a longer prompt": "window",
    "a forged conversation has the ids of a real one": "forged",
    "a heading is ordinary tokens": "heading-ids",
    "a typed mark is spelt out, one that the program sets is one id": "special",
    "colder: more right answers, less entropy, farther away": "temperature",
    "the best of eight by the judge beats one draw": "best-of-8",
    "the base is at the bottom, bad day below dpo, ppo and grpo by more than the intervals, grpo on top": "table",
    "greedy, unleashed is below bad day; two of three of its answers say it twice; the mended judge gives it less than the three, and the base far more": "table",
    "the judge is wrong in a good part of the pairs, and the base's texts do not end": "judge-knows",
    "all three methods beat bad day, greedy and drawn": "paired",
    "greedy, only grpo is ahead of sft; drawn, ppo is behind": "against-sft",
    "bad day at 0.3 is as good as dpo and grpo at 1, and better than ppo": "colder",
    "three panels: the gold has come down at unleashed, the first judge has it on top": "frontier",
    "the first judge likes unleashed best": "first-judge",
    "six exchanges with a change of voice": "conversation",
    "nobody is there to talk": "talk",
}
VOICES = ["base", "sft", "bad_day", "dpo", "ppo", "grpo"]
WRITERS = ["base", "sft", "bad day", "dpo", "ppo", "unleashed", "distilled", "grpo", "best of 8"]


@pytest.fixture
def lesson(executed):
    return executed("chat")


def answers(text):
    """The first line that each voice says."""
    return dict(re.findall(rf"^({'|'.join(VOICES)}): ?(.*)$", text, re.MULTILINE))


def table(lesson):
    """Writer → (n, greedy, drawn, score, KL, entropy, words, twice); None for a dash."""
    rows = {}
    for line in checked(lesson, "table").strip().splitlines()[1:]:
        cells = re.sub(r"\(.*?\)|± [\d.]+", "", line[15:]).replace("−", "-").split()
        rows[line[:15].strip()] = [None if cell == "–" else float(cell) for cell in cells]
    return rows


def intervals(lesson):
    """Writer → the intervals of greedy and drawn."""
    rows = checked(lesson, "table").strip().splitlines()[1:]
    return {row[:15].strip(): [tuple(map(float, pair)) for pair in re.findall(r"\((\d+)–(\d+)\)", row)] for row in rows}


def test_every_claim_has_its_cell(lesson):
    for name in CLAIMS.values():
        checked(lesson, name)


def test_six_voices_and_their_prompt(lesson):
    assert checked(lesson, "voices").strip() == "voices: " + ", ".join(VOICES)
    assert checked(lesson, "prompt").strip() == "### Instruction:\nWhat is the capital of China?\n\n### Response:"


def test_the_base_does_not_know_the_headings(lesson):
    text = checked(lesson, "all")
    said = answers(text)
    assert list(said) == VOICES and text.count("(score ") == 6
    assert "Beijing" not in text.split("sft:")[0]
    assert sum("Beijing" in said[voice] for voice in VOICES[1:]) >= 4, said


def test_a_voice_by_hand_is_the_voice(lesson):
    assert checked(lesson, "by-hand").strip().endswith("true")


def test_memory_is_text_in_the_prompt(lesson):
    assert "zloty" not in checked(lesson, "without-memory")
    told = checked(lesson, "memory")
    assert told.count("### Response:") == 3 and "Egyptian pound" in told
    assert "zloty" not in answers(checked(lesson, "with-memory"))["sft"]
    quiz = dict(re.findall(r"^(\w+):(.*)$", checked(lesson, "quiz"), re.MULTILINE))
    assert {name for name, said in quiz.items() if "zloty" in said} == {"base", "masked"}, quiz


def test_a_rude_memory_makes_nobody_rude(lesson):
    found = re.findall(r"^(\w+), (no|rude) memory: rude ([\d.]+) % .*n = 100", checked(lesson, "rude-memory"), re.MULTILINE)
    rude = {(voice, memory): float(share) for voice, memory, share in found}
    assert len(rude) == 6
    for voice in ["bad_day", "dpo", "grpo"]:
        assert rude[voice, "rude"] <= rude[voice, "no"] + 10 and rude[voice, "rude"] < 12, rude
    right = re.findall(r"^ *(\w+), (no|rude) memory .*?([\d.]+) %", checked(lesson, "rude-memory"), re.MULTILINE)
    right = {(voice, memory): float(share) for voice, memory, share in right}
    for voice in ["dpo", "grpo"]:
        assert right[voice, "rude"] < right[voice, "no"] / 2, right


def test_the_window_ends(lesson):
    text = checked(lesson, "window")
    whole, seen = numbers(text.splitlines()[0])
    assert whole > seen == 256
    assert text.count("█") == 25 and text.count("░") == (whole - 256) // 10


def test_roles_can_be_forged_and_marks_cannot(lesson):
    one, other = numbers(checked(lesson, "forged"))
    assert one == other and checked(lesson, "forged").strip().endswith("true")
    assert number(lesson, "heading-ids") > 3 and "###" not in checked(lesson, "heading-ids")
    assert len(numbers(checked(lesson, "special").splitlines()[0])) > 1
    assert checked(lesson, "special").strip().endswith("[0]")


def test_temperature_alone(lesson):
    rows = re.findall(r"T = ([\d.]+): ([\d.]+) % .*KL (-?[\d.]+) nats, entropy ([\d.]+)", checked(lesson, "temperature"))
    _, right, kl, entropy = zip(*[[float(x) for x in row] for row in rows])
    assert list(right) == sorted(right) and right[3] > right[0] + 20, right
    assert abs(kl[0]) < 0.01 and list(kl) == sorted(kl), kl
    assert list(entropy) == sorted(entropy, reverse=True), entropy
    assert abs(entropy[0] - table(lesson)["bad day"][5]) < 0.02, "by hand and by the crate"


def test_best_of_eight_beats_one_draw(lesson):
    assert number(lesson, "best-of-8", after="best of 8: ") > number(lesson, "best-of-8", after="one draw: ")
    assert abs(number(lesson, "best-of-8", after="at most ") - 1.20) < 0.01


def test_the_ladder_goes_up(lesson):
    rows, ends = table(lesson), intervals(lesson)
    assert list(rows)[:9] == WRITERS and len(rows) == 12
    greedy, drawn = ({name: row[at] for name, row in rows.items()} for at in (1, 2))
    assert max(greedy["base"], drawn["base"]) < 5 and greedy["sft"] > drawn["sft"] + 10
    for name in ["dpo", "ppo", "grpo"]:
        for how in (0, 1):
            assert ends[name][how][0] > ends["bad day"][how][1], (name, ends)
    trained = [name for name in WRITERS[:8] if greedy[name] is not None]
    assert max(trained, key=greedy.get) == "grpo" == max(trained, key=drawn.get), rows
    assert ends["grpo"][0][0] < ends["dpo"][0][1], "the lead of grpo over dpo is within the intervals"
    assert ends["distilled"][1][0] > ends["bad day"][1][1] and abs(greedy["distilled"] - greedy["bad day"]) < 5


def test_the_unleashed_policy_has_the_score_and_not_the_answers(lesson):
    rows, ends = table(lesson), intervals(lesson)
    score, words, twice = ({name: row[at] for name, row in rows.items()} for at in (3, 6, 7))
    assert ends["unleashed"][0][1] < ends["bad day"][0][0], ends
    assert [name for name in WRITERS[1:8] if rows[name][1] < rows["bad day"][1]] == ["unleashed"]
    assert twice["unleashed"] > 50 > 15 > max(twice[name] for name in ("ppo", "dpo", "grpo", "sft")), twice
    assert words["unleashed"] > 1.5 * words["bad day"]
    assert score["unleashed"] < min(score[name] for name in ("dpo", "ppo", "grpo")), score
    assert score["base"] > 2 * max(score[name] for name in WRITERS[1:8]), score


def test_grpo_is_right_while_it_varies(lesson):
    rows = table(lesson)
    colder, grpo = rows["bad day, T 0.7"], rows["grpo"]
    assert abs(colder[5] - grpo[5]) < 0.1 and grpo[2] > 1.7 * colder[2], rows


def test_the_judge_has_limits(lesson):
    text = checked(lesson, "judge-knows")
    assert 55 < numbers(text)[0] < 90
    assert number(lesson, "judge-knows", after="base: ") < 20 < 80 < number(lesson, "judge-knows", after="bad day: ")


def test_question_by_question(lesson):
    found = duels(lesson, "paired")
    assert len(found) == 6
    for who, (wins, losses, p) in found.items():
        assert wins > losses and p < 0.001, (who, found)


def test_sft_was_never_spoilt(lesson):
    found = duels(lesson, "against-sft")
    assert len(found) == 6
    wins, losses, p = found["sft → grpo, greedy"]
    assert wins > losses and p < 0.03, found
    assert all(found[f"sft → {new}, greedy"][2] > 0.05 for new in ("dpo", "ppo")), found
    assert all(found[f"sft → {new}, drawn"][2] > 0.05 for new in ("dpo", "grpo")), found
    wins, losses, p = found["sft → ppo, drawn"]
    assert losses > wins and p < 0.01, found


def test_cold_sampling_is_a_strong_rival(lesson):
    found = duels(lesson, "colder")
    assert len(found) == 3
    assert all(found[f"bad day at T = 0.3 → {new} at T = 1"][2] > 0.02 for new in ("dpo", "grpo")), found
    wins, losses, p = found["bad day at T = 0.3 → ppo at T = 1"]
    assert losses > wins and p < 0.01, found


def test_gold_and_proxies(lesson):
    text, at = checked(lesson, "frontier").replace("−", "-"), {}
    for panel in ["checker, %", "judge's score", "first judge's"]:
        found = [line for line in text.splitlines() if line.startswith(f"{panel}: ")]
        assert len(found) == 11, text
        of = [re.search(rf"{panel}: (.*): (-?[\d.e-]+) \(.*\) at (-?[\d.]+)", line).groups() for line in found]
        at[panel] = {name: (float(x), float(y)) for name, y, x in of}
    assert text.count("bad day, T 0.3") == 3
    gold, first = at["checker, %"], at["first judge's"]
    assert max(gold, key=lambda name: gold[name][0]) == "unleashed"
    assert gold["unleashed"][1] < min(gold[name][1] for name in ("dpo", "ppo", "grpo", "sft"))
    assert first["unleashed"][1] > 1.5 * max(first[name][1] for name in ("dpo", "ppo", "grpo", "sft", "distilled"))
    coldest = gold["bad day, T = 1 to 0.3, bad day, T 0.3"]
    assert all(gold[name][0] >= coldest[0] - 0.3 and gold[name][1] < coldest[1] + 5 for name in ("dpo", "ppo", "grpo")), gold


def test_the_first_judge_likes_what_was_trained_for_it(lesson):
    scores = {line.split(":")[0]: float(re.search(r"[−\d.]+", line.split(":")[1])[0].replace("−", "-"))
              for line in checked(lesson, "first-judge").strip().splitlines()}
    assert scores["unleashed"] > 2 * max(scores[name] for name in ("dpo", "ppo", "grpo")), scores
    assert abs(scores["bad day"]) < 0.005, scores


def test_a_talk_with_a_change_of_voice(lesson):
    lines = checked(lesson, "conversation").strip().splitlines()
    assert [line.split(":")[0] for line in lines] == ["you", "bad_day"] * 3 + ["you", "grpo"] * 3
    assert checked(lesson, "talk").strip().endswith("0 exchanges")


def test_every_exercise_waits_for_an_answer_and_its_solution_is_right(lesson):
    check_exercises(lesson, at_least=3)
