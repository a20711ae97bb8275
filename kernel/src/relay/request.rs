//! The requests of a client, each read once from its message.
//!
//! The types are our own and not those of the crate `jupyter-protocol` (2.0.3 was tried): there a request in which a
//! field is missing or of another type is an error, so that its client would get no answer; the header, which goes back
//! as `parent_header`, loses the fields that the crate does not know (`subshell_id`); and a reply always has all of its
//! fields, so that an aborted cell would have the count 0 and look as if it had run.

use super::wire::Message;
use super::wire::Via;
use bytes::Bytes;
use serde::de::{Deserialize, DeserializeOwned, Deserializer};
use serde_json::{Map, Value, json};

/// A request as it came in.
#[derive(Debug)]
pub struct Incoming {
    pub origin: Origin,
    pub request: Request,
}

/// The client of a request and the request's header: all that an answer needs.
#[derive(Debug, Clone)]
pub struct Origin {
    /// The socket it came in by.
    pub via: Via,
    /// Routing frames of the client.
    pub identities: Vec<Bytes>,
    /// The header as it came, the `parent_header` of all answers.
    pub header: Value,
}

/// A request's type and content. A field that is missing or of another type has its default, since clients differ in
/// what they send, and a request without an answer leaves its client waiting.
#[derive(Debug, PartialEq, serde::Deserialize)]
#[serde(tag = "msg_type", content = "content")]
pub enum Request {
    #[serde(rename = "execute_request")]
    Execute(Execute),
    #[serde(rename = "complete_request")]
    Complete(Cursor),
    #[serde(rename = "inspect_request")]
    Inspect(Cursor),
    #[serde(rename = "is_complete_request")]
    IsComplete {
        #[serde(default, deserialize_with = "or_default")]
        code: String,
    },
    #[serde(rename = "kernel_info_request")]
    KernelInfo {},
    #[serde(rename = "history_request")]
    History {},
    #[serde(rename = "comm_info_request")]
    CommInfo {},
    #[serde(rename = "comm_open")]
    CommOpen(Comm),
    #[serde(rename = "interrupt_request")]
    Interrupt {},
    #[serde(rename = "shutdown_request")]
    Shutdown {
        #[serde(default, deserialize_with = "or_default")]
        restart: bool,
    },
    #[serde(rename = "input_reply")]
    InputReply {
        #[serde(default, deserialize_with = "or_default")]
        value: String,
    },
    /// Any other type.
    #[serde(skip)]
    Unknown,
}

/// A cell to run.
#[derive(Debug, PartialEq, serde::Deserialize)]
pub struct Execute {
    #[serde(default, deserialize_with = "or_default")]
    pub code: String,
    /// Run without a count and without telling others about it.
    #[serde(default, deserialize_with = "or_default")]
    pub silent: bool,
    #[serde(default = "yes", deserialize_with = "or_yes")]
    pub store_history: bool,
    /// Expressions whose values the client wants afterwards, by name.
    #[serde(default, deserialize_with = "or_default")]
    pub user_expressions: Map<String, Value>,
    #[serde(default = "yes", deserialize_with = "or_yes")]
    pub allow_stdin: bool,
    /// If this cell fails, the cells that wait behind it are not run.
    #[serde(default = "yes", deserialize_with = "or_yes")]
    pub stop_on_error: bool,
}

/// A place in code.
#[derive(Debug, PartialEq, serde::Deserialize)]
pub struct Cursor {
    #[serde(default, deserialize_with = "or_default")]
    pub code: String,
    /// Code points before the cursor; without it the cursor is at the end.
    #[serde(default, deserialize_with = "or_default")]
    pub cursor_pos: Option<u64>,
}

/// A comm that a client opens.
#[derive(Debug, PartialEq, serde::Deserialize)]
pub struct Comm {
    #[serde(default)]
    pub comm_id: Value,
    #[serde(default, deserialize_with = "or_default")]
    pub target_name: String,
    #[serde(default)]
    pub data: Value,
}

impl Incoming {
    /// The request in a message that came in by the socket `via`.
    pub fn new(via: Via, message: Message) -> Incoming {
        let Message { identities, header, content, .. } = message;
        let request = Request::new(header["msg_type"].as_str().unwrap_or_default(), content);
        Incoming { origin: Origin { via, identities, header }, request }
    }
}

impl Origin {
    /// Message type of the answer.
    pub fn reply_type(&self) -> String {
        self.header["msg_type"].as_str().unwrap_or_default().replace("_request", "_reply")
    }
}

impl Request {
    fn new(msg_type: &str, content: Value) -> Request {
        let content = if content.is_object() { content } else { json!({}) };
        // With a default for every field, only an unknown type is an error.
        serde_json::from_value(json!({"msg_type": msg_type, "content": content})).unwrap_or(Request::Unknown)
    }
}

/// The value, or the default of its type if it is of another.
fn or_default<'de, D: Deserializer<'de>, T: DeserializeOwned + Default>(deserializer: D) -> Result<T, D::Error> {
    Ok(serde_json::from_value(Value::deserialize(deserializer)?).unwrap_or_default())
}

/// The value, or yes if it is neither yes nor no.
fn or_yes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Ok(Value::deserialize(deserializer)?.as_bool().unwrap_or(true))
}

fn yes() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn execute(code: &str) -> Execute {
        Execute {
            code: code.to_owned(),
            silent: false,
            store_history: true,
            user_expressions: Map::new(),
            allow_stdin: true,
            stop_on_error: true,
        }
    }

    #[test]
    fn every_field_of_a_cell_is_read() {
        let content = json!({
            "code": "x", "silent": true, "store_history": false, "user_expressions": {"y": "x + 1"},
            "allow_stdin": false, "stop_on_error": false, "of_a_later_protocol": 1,
        });
        let expected = Execute {
            code: "x".to_owned(),
            silent: true,
            store_history: false,
            user_expressions: Map::from_iter([("y".to_owned(), json!("x + 1"))]),
            allow_stdin: false,
            stop_on_error: false,
        };
        assert_eq!(Request::new("execute_request", content), Request::Execute(expected));
    }

    #[test]
    fn what_is_missing_or_wrong_has_its_default() {
        let wrong = json!({
            "code": 1, "silent": "x", "store_history": null, "user_expressions": [], "allow_stdin": 0,
            "stop_on_error": {}, "cursor_pos": -1, "target_name": 2, "restart": "x", "value": null,
        });
        let nowhere = || Cursor { code: String::new(), cursor_pos: None };
        for content in [json!({}), wrong, json!([1]), json!("x"), Value::Null] {
            assert_eq!(Request::new("execute_request", content.clone()), Request::Execute(execute("")));
            assert_eq!(Request::new("inspect_request", content.clone()), Request::Inspect(nowhere()));
            assert_eq!(Request::new("shutdown_request", content.clone()), Request::Shutdown { restart: false });
            assert_eq!(Request::new("input_reply", content.clone()), Request::InputReply { value: String::new() });
            assert_eq!(Request::new("kernel_info_request", content), Request::KernelInfo {});
        }
    }

    #[test]
    fn one_wrong_field_spoils_no_other() {
        let content = json!({"code": "x", "stop_on_error": null, "user_expressions": "none"});
        assert_eq!(Request::new("execute_request", content), Request::Execute(execute("x")));
    }

    #[test]
    fn other_types_are_unknown() {
        for msg_type in ["", "execute", "create_subshell_request", "Unknown", "comm_msg"] {
            assert_eq!(Request::new(msg_type, json!({"code": "x"})), Request::Unknown);
        }
    }

    #[test]
    fn the_header_is_kept_as_it_came() {
        let mut message = Message::new("inspect_request", "s", json!({}), json!({"code": "é", "cursor_pos": 1}));
        message.header["subshell_id"] = json!("later");
        message.identities = vec![Bytes::from_static(b"client")];
        let Incoming { origin, request } = Incoming::new(Via::Control, message.clone());
        assert_eq!(
            (origin.via, &origin.header, &origin.identities),
            (Via::Control, &message.header, &message.identities)
        );
        assert_eq!(origin.reply_type(), "inspect_reply");
        assert_eq!(request, Request::Inspect(Cursor { code: "é".to_owned(), cursor_pos: Some(1) }));
    }
}
