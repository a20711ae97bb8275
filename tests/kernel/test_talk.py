"""The talk at the end of the last lesson, as somebody at the keyboard has it: its own cells, answered through the box for input."""

import json

from client import NOTEBOOKS, Lab


def test_one_talks_to_two_voices(tmp_path):
    cells = json.loads((NOTEBOOKS / "chat.ipynb").read_text())["cells"]
    codes = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    lab = Lab(env={"GPT_LAB_LEARNT": str(tmp_path)})
    try:
        for code in codes[:2]:
            lab.run(code).ok()
        talk = lab.start(next(code for code in codes if "lab::input(" in code))
        lines = ["What is the capital of China?", "/ppo", "What is the capital of Japan?", "/nobody", "Is anybody there?", ""]
        asked = [lab.answer(talk, line)["prompt"] for line in lines]
        lab.wait(lambda: talk.done, 60, talk)
    finally:
        lab.stop()
    assert all("an empty line ends" in prompt for prompt in asked)
    said = talk.ok().stdout.splitlines()
    assert said[0].startswith("grpo:") and "(score " in said[0], said
    assert said[1].startswith("ppo:") and "(score " in said[1], said
    assert said[2].startswith("nobody:") and "base, sft, bad_day, dpo, ppo, grpo" in said[2], said
    assert said[-1] == "2 exchanges", said
