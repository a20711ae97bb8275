//! The relay with neither sockets nor an engine.

use super::sockets::testing;
use super::wire::{Message, Via};
use super::*;
use serde_json::Value;

fn relay() -> (Relay, testing::Wire) {
    let (out, wire) = testing::outgoing();
    let layout = Layout { root: "nowhere".into(), state: "nowhere".into() };
    (Relay::new(out, layout, unbounded_channel().0), wire)
}

fn message(kind: &str, content: Value) -> Message {
    Message::new(kind, "client", json!({}), content)
}

#[test]
fn every_request_is_answered_between_busy_and_idle() {
    let (mut relay, mut wire) = relay();
    for (kind, answer) in [
        ("kernel_info_request", Some("kernel_info_reply")),
        ("is_complete_request", Some("is_complete_reply")),
        ("complete_request", Some("complete_reply")),
        ("inspect_request", Some("inspect_reply")),
        ("history_request", Some("history_reply")),
        ("comm_info_request", Some("comm_info_reply")),
        ("interrupt_request", Some("interrupt_reply")),
        ("shutdown_request", Some("shutdown_reply")),
        ("no_such_request", None),
        ("input_reply", None),
    ] {
        for via in [Via::Shell, Via::Control] {
            let request = message(kind, json!({}));
            relay.request(Incoming::new(via, request.clone()));
            let published = wire.published();
            let states: Vec<_> = published.iter().map(|message| &message.content["execution_state"]).collect();
            assert_eq!(states, ["busy", "idle"], "{kind}");
            assert!(published.iter().all(|message| message.parent == request.header), "{kind}");
            let replies = wire.replies();
            let found: Vec<_> = replies.iter().map(|(via, message)| (*via, &message.header["msg_type"])).collect();
            let expected = answer.map(|kind| json!(kind));
            assert_eq!(found, expected.iter().map(|kind| (via, kind)).collect::<Vec<_>>(), "{kind}");
        }
    }
    assert!(relay.ended);
}

#[test]
fn comms_are_closed_and_checks_answered_before() {
    let (mut relay, mut wire) = relay();
    for (target, expected) in [
        ("else", &["status", "comm_close", "status"][..]),
        (queries::CHECK, &["status", "comm_msg", "comm_close", "status"]),
    ] {
        let content = json!({"comm_id": "c", "target_name": target, "data": {"code": "1"}});
        relay.request(Incoming::new(Via::Shell, message("comm_open", content)));
        let published = wire.published();
        let kinds: Vec<_> = published.iter().map(|message| &message.header["msg_type"]).collect();
        assert_eq!(kinds, expected);
        assert_eq!(published[published.len() - 2].content, json!({"comm_id": "c", "data": {}}));
    }
    assert!(wire.replies().is_empty());
}

#[test]
fn stdin_is_for_answers_only() {
    let (mut relay, mut wire) = relay();
    for kind in ["input_reply", "execute_request", "shutdown_request"] {
        relay.request(Incoming::new(Via::Stdin, message(kind, json!({"value": "x"}))));
    }
    assert!(wire.published().is_empty() && wire.replies().is_empty() && !relay.ended);
}

/// Cells in which these wait, and what they say.
fn waiting(contents: &[Value]) -> (Cells, testing::Wire) {
    let (out, wire) = testing::outbox();
    let mut cells = Cells::new(out, "k");
    for content in contents {
        let message = Message::new("execute_request", "client", json!({}), content.clone());
        let Incoming { origin, request: Request::Execute(cell) } = Incoming::new(Via::Shell, message) else {
            panic!("not read as a cell");
        };
        cells.push(origin, cell);
    }
    (cells, wire)
}

fn replies(wire: &mut testing::Wire) -> Vec<Value> {
    wire.replies().into_iter().map(|(_, message)| message.content).collect()
}

fn kinds(wire: &mut testing::Wire) -> Vec<String> {
    let kind = |message: Message| match message.content["execution_state"].as_str() {
        Some(state) => state.to_owned(),
        None => message.header["msg_type"].as_str().unwrap_or_default().to_owned(),
    };
    wire.published().into_iter().map(kind).collect()
}

#[test]
fn a_cell_that_fails_aborts_those_that_wait() {
    let (mut cells, mut wire) = waiting(&[json!({"code": "a"}), json!({"code": "b"}), json!({"code": "c"})]);
    cells.fail_all("no engine");
    let replies = replies(&mut wire);
    assert_eq!((&replies[0]["status"], &replies[0]["ename"]), (&json!("error"), &json!("KernelNotReady")));
    assert_eq!(replies[1..], [json!({"status": "aborted"}), json!({"status": "aborted"})]);
    assert_eq!(kinds(&mut wire), ["busy", "execute_input", "error", "idle", "busy", "idle", "busy", "idle"]);
}

#[test]
fn a_cell_may_fail_without_aborting_others() {
    let quiet = json!({"code": "a", "stop_on_error": false, "silent": true});
    let (mut cells, mut wire) = waiting(&[quiet, json!({"code": "b"})]);
    cells.fail_all("no engine");
    let counts: Vec<Value> = replies(&mut wire).iter().map(|reply| reply["execution_count"].clone()).collect();
    assert_eq!(counts, [0, 1]);
    assert_eq!(kinds(&mut wire), ["busy", "error", "idle", "busy", "execute_input", "error", "idle"]);
}
