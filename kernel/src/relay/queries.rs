//! Completion, documentation and checks: questions to the engine that a client waits for.

use super::busy::Busy;
use super::request::{Comm, Cursor};
use crate::protocol::{Completion, FromEngine, ToEngine};
use serde_json::{Value, json};

/// Target of the comm that asks for the compiler's messages about code without running it.
pub const CHECK: &str = "evcxr-cargo-check";

/// A question on its way.
pub struct Query {
    /// The request, in work until it is answered.
    pub busy: Busy,
    /// The question in it.
    pub question: Question,
}

/// A question that only the engine can answer.
pub enum Question {
    /// Completions at the cursor.
    Complete(Cursor),
    /// Documentation of the name at the cursor.
    Inspect(Cursor),
    /// The compiler's messages about the code in the comm's data.
    Check(Comm),
}

impl Query {
    /// Answers with what the engine has found, or that there is nothing.
    pub fn answer(self, found: Option<FromEngine>) {
        let content = found.map_or_else(|| self.question.empty(), |found| self.question.answer(found));
        if let Question::Check(Comm { comm_id, .. }) = &self.question {
            self.busy.out.publish("comm_msg", &json!({}), json!({"comm_id": comm_id, "data": content}));
            self.busy.publish("comm_close", json!({"comm_id": comm_id, "data": {}}));
        } else {
            self.busy.reply(content);
        }
    }
}

impl Question {
    /// The order for the engine, if the question has all that it needs.
    pub fn order(&self, id: u64) -> Option<ToEngine> {
        match self {
            Question::Complete(Cursor { code, cursor_pos }) => {
                Some(ToEngine::Complete { id, code: code.clone(), offset: byte_offset(code, *cursor_pos) })
            }
            Question::Inspect(Cursor { code, cursor_pos }) => {
                Some(ToEngine::Inspect { id, code: code.clone(), offset: byte_offset(code, *cursor_pos) })
            }
            Question::Check(comm) => Some(ToEngine::Check { id, code: comm.data["code"].as_str()?.to_owned() }),
        }
    }

    fn answer(&self, found: FromEngine) -> Value {
        match (self, found) {
            (Question::Complete(at), FromEngine::Completions { items, start, end, .. }) => {
                completions(&items, code_points(&at.code, start), code_points(&at.code, end))
            }
            (Question::Inspect(_), FromEngine::Inspected { data, .. }) => {
                json!({"status": "ok", "found": data.is_some(), "data": data.unwrap_or_default(), "metadata": {}})
            }
            (Question::Check(_), FromEngine::Checked { problems, .. }) => json!({"problems": problems}),
            _ => self.empty(),
        }
    }

    /// The answer while the engine is busy or not there yet.
    fn empty(&self) -> Value {
        match self {
            Question::Complete(Cursor { code, cursor_pos }) => {
                let cursor = cursor_pos.unwrap_or(code.chars().count() as u64);
                json!({"status": "ok", "matches": [], "cursor_start": cursor, "cursor_end": cursor, "metadata": {}})
            }
            Question::Inspect(_) => json!({"status": "ok", "found": false, "data": {}, "metadata": {}}),
            Question::Check(_) => json!({"problems": []}),
        }
    }
}

/// The content of a reply with these proposals for the code from `start` to `end`.
fn completions(items: &[Completion], start: usize, end: usize) -> Value {
    let matches: Vec<&str> = items.iter().map(|item| item.text.as_str()).collect();
    let types: Vec<Value> = items
        .iter()
        .map(|Completion { text, label, kind }| {
            json!({"text": text, "type": kind, "signature": label, "start": start, "end": end})
        })
        .collect();
    json!({
        "status": "ok", "matches": matches, "cursor_start": start, "cursor_end": end,
        "metadata": {"_jupyter_types_experimental": types},
    })
}

/// Byte offset of a cursor, which Jupyter counts in code points.
fn byte_offset(code: &str, cursor: Option<u64>) -> usize {
    let cursor = cursor.map_or(usize::MAX, |cursor| cursor as usize);
    code.char_indices().nth(cursor).map_or(code.len(), |(byte, _)| byte)
}

/// Number of code points before a byte offset.
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
