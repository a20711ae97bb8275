"""What learners read when something goes wrong: the rules hold, and the words are those that stand in messages.md."""

import functools
import re
import sys

import pytest
from client import ROOT

sys.path.insert(0, str(ROOT / "tools"))

import kernel_messages as messages  # noqa: E402
from mistakes import MISTAKES, SECTIONS  # noqa: E402

each = pytest.mark.parametrize("name", MISTAKES)


@functools.cache
def outcome(name):
    """Each mistake is made once for both tests."""
    return messages.run(MISTAKES[name])


@functools.cache
def written():
    """messages.md, its parts by id."""
    assert messages.MESSAGES.exists(), "there is no messages.md: run tools/kernel_messages.py and read what it wrote"
    return messages.MESSAGES.read_text(encoding="utf-8")


def test_every_mistake_has_a_name_of_its_own():
    assert len(MISTAKES) == sum(len(section) for section in SECTIONS.values()) >= 60


@each
def test_the_message_keeps_the_rules(name):
    broken = messages.faults(MISTAKES[name], outcome(name))
    assert not broken, "\n".join([*broken, "", messages.section(MISTAKES[name], outcome(name))])


@each
def test_the_message_is_the_one_that_was_read(name):
    rustc = re.search(r"with rustc (\S+);", written()).group(1)
    if rustc != messages.rustc_version():
        pytest.skip(f"messages.md has the words of rustc {rustc}, this one is {messages.rustc_version()}")
    assert messages.section(MISTAKES[name], outcome(name)) == messages.sections(written()).get(name), (
        f"if the new words are better: tools/kernel_messages.py {name}"
    )


def test_messages_md_has_every_mistake_in_order():
    assert list(messages.sections(written())) == list(MISTAKES)
