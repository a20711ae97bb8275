"""The Jupyter protocol beyond the standard tests: counts, options of a request, requests of every kind."""

import json
import time

from client import Cell, Lab


def count(cell):
    return cell.reply["execution_count"]


def test_kernel_info_comes_at_once_and_names_rust():
    started = time.monotonic()
    lab = Lab()  # waits for kernel_info
    took = time.monotonic() - started
    info = lab.request("kernel_info_request")
    lab.stop()
    assert took < 5, f"kernel_info took {took:.1f} s"
    assert info["implementation"] == "gpt_lab"
    assert tuple(map(int, info["protocol_version"].split("."))) >= (5, 3)
    language = info["language_info"]
    assert language["name"] == "rust" and language["pygments_lexer"] == "rust"
    assert language["mimetype"] == "text/x-rust" or language["mimetype"] == "text/rust"
    assert language["version"].count(".") == 2, language


def test_counts_start_at_1_and_skip_silent_cells():
    lab = Lab()
    first = lab.run("1 + 1")
    assert count(first.ok()) == 1, first
    assert first.of("execute_input")[0]["execution_count"] == 1
    assert first.results[0]["execution_count"] == 1
    assert count(lab.run("2", store_history=False)) == 1, "a cell that is not stored must not be counted"
    quiet = lab.run('println!("nobody hears this"); 5', silent=True)
    assert quiet.status == "ok" and not quiet.results and not quiet.of("execute_input"), quiet
    assert count(lab.run("3")) == 2
    assert count(lab.run("let broken: u8 = ;")) == 3, "a cell that fails is counted"
    assert count(lab.run("4")) == 4
    lab.restart()
    assert count(lab.run("5").ok()) == 1, "a restart counts from 1 again"
    lab.stop()


def test_each_request_is_framed_by_busy_and_idle(lab):
    for kind, content in [
        ("kernel_info_request", {}),
        ("history_request", {"hist_access_type": "tail", "n": 5, "output": False, "raw": True}),
        ("comm_info_request", {}),
        ("is_complete_request", {"code": "1"}),
        ("complete_request", {"code": "st", "cursor_pos": 2}),
        ("inspect_request", {"code": "String", "cursor_pos": 3, "detail_level": 0}),
    ]:
        lab.request(kind, content)
        cell = list(lab.cells.values())[-1]
        lab.wait(lambda: cell.idle, 10, cell)
        assert cell.states == ["busy", "idle"], f"{kind}: {cell.states}"


def test_history_and_comm_info_are_answered(lab):
    history = lab.request("history_request", {"hist_access_type": "tail", "n": 5, "output": False, "raw": True})
    assert history["status"] == "ok" and history["history"] == []
    assert lab.request("comm_info_request") == {"status": "ok", "comms": {}}


def test_is_complete_suggests_an_indent(lab):
    reply = lab.request("is_complete_request", {"code": "fn f() {\n    if true {"})
    assert reply["status"] == "incomplete" and reply["indent"] == " " * 8, reply


def test_an_unknown_comm_is_closed(lab):
    message = lab.client.session.msg("comm_open", {"comm_id": "c1", "target_name": "no-such-target", "data": {}})
    cell = lab.cells[message["header"]["msg_id"]] = Cell("comm_open", time.monotonic())
    lab.client.shell_channel.send(message)
    lab.wait(lambda: cell.of("comm_close"), 10, cell)
    assert cell.of("comm_close")[0]["comm_id"] == "c1"


def test_unknown_messages_and_forged_signatures_change_nothing(lab):
    lab.client.shell_channel.send(lab.client.session.msg("no_such_request", {}))
    session = lab.client.session
    forged = session.msg("execute_request", {"code": 'println!("forged")', "silent": False})
    cell = lab.cells[forged["header"]["msg_id"]] = Cell("forged", time.monotonic())
    parts = session.serialize(forged)
    place = parts.index(b"<IDS|MSG>") + 1
    parts[place] = b"0" * len(parts[place])
    lab.client.shell_channel.socket.send_multipart(parts)
    lab.run("1").ok()
    assert not cell.messages and cell.reply is None, f"a message with a bad signature was run:\n{cell}"


def test_user_expressions_are_answered(lab):
    cell = lab.run("let ue = 20;", user_expressions={"double": "ue * 2", "bad": "no_such_name"})
    values = cell.ok().reply["user_expressions"]
    assert set(values) == {"double", "bad"}, values
    assert values["bad"]["status"] == "error", values
    json.dumps(values)


def test_the_inner_process_leaves_the_users_kernelspecs_alone(tmp_path):
    spec = tmp_path / "jupyter/kernels/rust"
    spec.mkdir(parents=True)
    (spec / "kernel.json").write_text("{}")
    (spec / "version.txt").write_text("an old one")
    lab = Lab(env={"XDG_DATA_HOME": str(tmp_path)})
    lab.run("1").ok()
    lab.stop()
    assert sorted(path.name for path in spec.iterdir()) == ["kernel.json", "version.txt"]
    assert (spec / "kernel.json").read_text() == "{}", "the user's rust kernelspec was rewritten"
