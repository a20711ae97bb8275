//! A cap on the text that one cell shows: the beginning, a notice, and the end.

/// Most bytes of text of one cell that are shown; the rest is counted and dropped, except its end.
pub const TEXT_LIMIT: usize = 1 << 20;
/// Most bytes that are shown of the end of a capped text.
pub const TAIL_LIMIT: usize = 4096;
/// The notice in the place of what is not shown.
pub const NOTICE: &str = "\n[this cell has printed 1 MiB; what follows is not shown, except its end]\n";

/// The count of a cell's text, and its end if it is too long.
#[derive(Default)]
pub struct Cap {
    shown: usize,
    hidden: usize,
    tail: String,
}

impl Cap {
    /// True if no more text is to be shown.
    pub fn is_reached(&self) -> bool {
        self.shown >= TEXT_LIMIT
    }

    /// Counts text that is shown.
    pub fn show(&mut self, text: &str) {
        self.shown += text.len();
    }

    /// Counts text that is not shown, and remembers its end.
    pub fn hide(&mut self, text: &str) {
        self.hidden += text.len();
        self.tail.push_str(text);
        if self.tail.len() > 4 * TAIL_LIMIT {
            self.tail = last_part(&self.tail).to_owned();
        }
    }

    /// The end of what was hidden, with the number of bytes before it; `None` if all was shown.
    pub fn take_end(&mut self) -> Option<String> {
        if self.hidden == 0 {
            return None;
        }
        let tail = last_part(&self.tail);
        let hidden = std::mem::take(&mut self.hidden) - tail.len();
        Some(format!("[… {hidden} bytes not shown …]\n{tail}"))
    }
}

/// The last lines, at most [`TAIL_LIMIT`] bytes.
fn last_part(text: &str) -> &str {
    let mut start = text.len().saturating_sub(TAIL_LIMIT);
    if start == 0 {
        return text;
    }
    while !text.is_char_boundary(start) {
        start += 1;
    }
    let cut = &text[start..];
    cut.find('\n').map_or(cut, |newline| &cut[newline + 1..])
}
