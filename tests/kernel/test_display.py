"""Live displays: docs/channel.md."""

import os

import pytest

# A minute where there is time for it; the kernel's rate does not depend on it.
SECONDS = int(os.environ.get("GPT_LAB_DISPLAY_SECONDS", "60" if os.environ.get("CI") else "10"))


def test_twenty_updates_a_second_are_thinned_and_the_last_one_comes(lab):
    n = 20 * SECONDS
    cell = lab.run(
        f'for i in 0..{n} {{ send(&format!(r#"{{{{"type":"display","id":"loss","data":{{{{"text/plain":"{{i}}"}}}}}}}}"#)); nap(50); }}',
        timeout=SECONDS * 2 + 60,
    ).ok()
    assert len(cell.displays) == 1, "the first use shows, later ones update"
    display_id = cell.displays[0]["transient"]["display_id"]
    assert {update["transient"]["display_id"] for update in cell.updates} == {display_id}
    shown = [int(update["data"]["text/plain"]) for update in cell.updates]
    assert shown == sorted(shown) and shown[-1] == n - 1, f"last shown {shown[-1]}, sent {n - 1}"
    rate = len(shown) / cell.replied
    assert 4 <= rate <= 15, f"{rate:.1f} updates a second were passed on"
    gaps = [b - a for a, b in zip(times(cell), times(cell)[1:])]
    assert max(gaps) < 1.5, f"the picture stood still for {max(gaps):.1f} s"


def times(cell):
    return [at for at, message in cell.messages if message["header"]["msg_type"] == "update_display_data"]


def test_updates_come_while_the_cell_runs(lab):
    cell = lab.start(
        'for i in 0..6 { send(&format!(r#"{{"type":"display","id":"bar","data":{{"text/plain":"{i}"}}}}"#)); nap(400); }'
    )
    lab.wait(lambda: cell.updates or cell.done, 60, cell)
    assert cell.updates and not cell.done, f"nothing moved before the end:\n{cell}"
    lab.wait(lambda: cell.done, 60, cell)


def test_a_flood_of_updates_does_not_slow_the_cell(lab):
    cell = lab.run(
        'for i in 0..20_000 { send(&format!(r#"{{"type":"display","id":"flood","data":{{"text/plain":"{i}"}}}}"#)); }',
        timeout=60,
    ).ok()
    assert cell.replied < 15, f"{cell.replied:.1f} s"
    last = (cell.updates or cell.displays)[-1]
    assert last["data"]["text/plain"] == "19999"


def test_two_ids_do_not_mix(lab):
    cell = lab.run(
        "for i in 0..3 { for id in [\"a\", \"b\"] {"
        ' send(&format!(r#"{{"type":"display","id":"{id}","data":{{"text/plain":"{id}{i}"}}}}"#)); } }'
    ).ok()
    last = {}
    for shown in cell.displays + cell.updates:
        last[shown["transient"]["display_id"]] = shown["data"]["text/plain"]
    assert sorted(last.values()) == ["a2", "b2"], cell


def test_a_new_cell_with_the_same_id_shows_a_display_of_its_own(lab):
    line = 'send(r#"{"type":"display","id":"again","data":{"text/plain":"x"}}"#);'
    first, second = lab.run(line).ok(), lab.run(line).ok()
    assert len(first.displays) == len(second.displays) == 1
    assert first.displays[0]["transient"]["display_id"] != second.displays[0]["transient"]["display_id"]


def test_metadata_and_json_types(lab):
    cell = lab.run(
        'send(r#"{"type":"display","data":{"application/json":{"a":[1,2]},"text/plain":"t"},"metadata":{"k":"v"}}"#);'
    ).ok()
    assert cell.displays[0]["data"]["application/json"] == {"a": [1, 2]}
    assert cell.displays[0]["metadata"] == {"k": "v"}


@pytest.mark.parametrize("line", ["not json", '{"type":"display"}', '{"type":"no-such-type"}', "[]", "{"])
def test_a_message_that_cannot_be_read_is_reported_and_dropped(lab, line):
    cell = lab.run(f'send(r##"{line}"##); println!("fine");').ok()
    assert cell.stdout == "fine\n"
    assert cell.stderr.strip(), "nothing was said about it"
    assert not cell.displays


def test_every_display_comes_before_idle(lab):
    for _ in range(5):
        cell = lab.run('for i in 0..50 { send(&format!(r#"{{"type":"display","data":{{"text/plain":"{i}"}}}}"#)); }').ok()
        assert len(cell.displays) == 50
        assert cell.messages[-1][1]["header"]["msg_type"] == "status"
