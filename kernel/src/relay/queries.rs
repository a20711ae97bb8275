//! Completion, documentation and checks: questions to the engine that a client waits for.

use super::sockets::Via;
use super::wire::Message;
use crate::protocol::{FromEngine, ToEngine};
use serde_json::{Value, json};

/// A question on its way.
pub struct Query {
    /// Where the request came in.
    pub via: Via,
    /// The request.
    pub request: Message,
}

/// The order for the engine, if the request is a question.
pub fn order(request: &Message) -> Option<ToEngine> {
    let code = request.text("code").to_owned();
    let offset = byte_offset(&code, request.content["cursor_pos"].as_u64());
    match request.kind() {
        "complete_request" => Some(ToEngine::Complete { code, offset }),
        "inspect_request" => Some(ToEngine::Inspect { code, offset }),
        "comm_open" => Some(ToEngine::Check { code: request.content["data"]["code"].as_str()?.to_owned() }),
        _ => None,
    }
}

/// The answer's content.
pub fn answer(request: &Message, found: FromEngine) -> Value {
    match found {
        FromEngine::Completions { items, start, end } => {
            let code = request.text("code");
            let (start, end) = (code_points(code, start), code_points(code, end));
            let matches: Vec<&str> = items.iter().map(|item| item.text.as_str()).collect();
            let types: Vec<Value> = items
                .iter()
                .map(|item| json!({"text": item.text, "type": item.kind, "signature": item.label, "start": start, "end": end}))
                .collect();
            json!({
                "status": "ok", "matches": matches, "cursor_start": start, "cursor_end": end,
                "metadata": {"_jupyter_types_experimental": types},
            })
        }
        FromEngine::Inspected { data } => {
            json!({"status": "ok", "found": data.is_some(), "data": data.unwrap_or_default(), "metadata": {}})
        }
        FromEngine::Checked { problems } => json!({"problems": problems}),
        _ => empty(request),
    }
}

/// The answer while the engine is busy or not there yet.
pub fn empty(request: &Message) -> Value {
    match request.kind() {
        "complete_request" => {
            let cursor = request.content["cursor_pos"].as_u64().unwrap_or(request.text("code").chars().count() as u64);
            json!({"status": "ok", "matches": [], "cursor_start": cursor, "cursor_end": cursor, "metadata": {}})
        }
        "inspect_request" => json!({"status": "ok", "found": false, "data": {}, "metadata": {}}),
        _ => json!({"problems": []}),
    }
}

/// Jupyter counts a cursor in code points.
fn byte_offset(code: &str, cursor: Option<u64>) -> usize {
    let cursor = cursor.map_or(usize::MAX, |cursor| cursor as usize);
    code.char_indices().nth(cursor).map_or(code.len(), |(byte, _)| byte)
}

fn code_points(code: &str, byte: usize) -> usize {
    code.char_indices().take_while(|(at, _)| *at < byte).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_are_counted_in_code_points() {
        let code = "a🦀é.x";
        for (cursor, byte) in [(0, 0), (1, 1), (2, 5), (3, 7), (5, 9), (9, 9)] {
            assert_eq!(byte_offset(code, Some(cursor)), byte);
            assert_eq!(code_points(code, byte) as u64, cursor.min(5));
        }
        assert_eq!(byte_offset(code, None), code.len());
    }
}
