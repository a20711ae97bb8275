//! Tells what is meant for the kernel from what the learner prints, even where one is glued to the other.
//!
//! Our own lines begin with a word that is drawn anew for each session, so no text of the learner's can be taken for
//! one. Crates that know evcxr print its lines, which are fixed: a display is one only if it is whole.

use super::record::Prompt;
use crate::names::line::*;
use serde_json::Value;

/// A part of standard output.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    /// Output of the learner's code.
    Text(Vec<u8>),
    /// A marked message through the channel belongs here.
    Sent,
    /// What is displayed from now on is the value of the cell.
    Value,
    /// The cell is about to ask for a line of text.
    Input(Prompt),
    /// Output in a MIME type.
    Content { mime: String, data: String },
}

/// Splits the stream into [`Piece`]s.
pub struct Splitter {
    mark: Vec<u8>,
    buffer: Vec<u8>,
    /// True if the next byte is the first of its line.
    at_begin: bool,
}

/// What the beginning of the buffer is.
enum Found {
    /// So many bytes of text.
    Text(usize),
    /// A piece of so many bytes; without one they say nothing.
    Piece(Option<Piece>, usize),
    /// Nobody can tell yet.
    Unknown,
}

impl Splitter {
    /// A splitter that knows the session's own mark.
    pub fn new(mark: &str) -> Splitter {
        Splitter { mark: mark.as_bytes().to_vec(), buffer: Vec::new(), at_begin: true }
    }

    /// The pieces that are complete after these bytes.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Piece> {
        self.buffer.extend_from_slice(bytes);
        let mut pieces = Vec::new();
        while !self.buffer.is_empty() {
            match self.find() {
                Found::Text(length) => self.text(length, &mut pieces),
                Found::Piece(piece, length) => {
                    self.buffer.drain(..length);
                    self.at_begin = true;
                    pieces.extend(piece);
                }
                Found::Unknown => break,
            }
        }
        pieces
    }

    /// True if text waits because it may become something else.
    pub fn holds_text(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// True if what waits is the beginning of a display.
    pub fn holds_display(&self) -> bool {
        self.buffer.starts_with(CONTENT_BEGIN.as_bytes())
    }

    /// Gives up waiting: it is text.
    pub fn release(&mut self) -> Vec<Piece> {
        let mut pieces = Vec::new();
        if self.holds_text() {
            self.text(1, &mut pieces);
            pieces.extend(self.push(&[]));
            if self.holds_text() {
                pieces.extend(self.release());
            }
        }
        pieces
    }

    fn find(&self) -> Found {
        let starts = [&self.mark[..], PREFIX.as_bytes()];
        let first = starts.iter().filter_map(|start| find(&self.buffer, start)).min();
        match first {
            Some(0) => self.at_start(),
            Some(text) => Found::Text(text),
            None => {
                let begun =
                    |start: &&[u8]| (1..start.len()).rev().find(|&n| self.buffer.ends_with(&start[..n])).unwrap_or(0);
                match self.buffer.len() - starts.iter().map(begun).max().unwrap_or(0) {
                    0 => Found::Unknown,
                    text => Found::Text(text),
                }
            }
        }
    }

    /// What a mark or a word of evcxr's begins.
    fn at_start(&self) -> Found {
        let Some(end) = self.buffer.iter().position(|&byte| byte == b'\n') else {
            return if self.may_become_line() { Found::Unknown } else { Found::Text(PREFIX.len()) };
        };
        let line = String::from_utf8_lossy(&self.buffer[..end]).into_owned();
        let line = line.trim_end_matches('\r');
        if let Some(rest) = self.buffer.starts_with(&self.mark).then(|| &line[self.mark.len()..]) {
            return own(rest).map_or(Found::Text(self.mark.len()), |piece| Found::Piece(Some(piece), end + 1));
        }
        if let Some(mime) = line.strip_prefix(CONTENT_BEGIN).filter(|mime| is_mime(mime)) {
            return self.block(mime, end + 1);
        }
        if line == FLUSH && self.at_begin {
            return Found::Piece(None, end + 1);
        }
        let asked = [(INPUT, false), (PASSWORD, true)]
            .into_iter()
            .find_map(|(word, secret)| Some((line.strip_prefix(word)?, secret)));
        match asked.filter(|_| self.at_begin) {
            Some((words, is_password)) => {
                let prompt = Prompt { words: words.to_owned(), is_password, as_json: false, text: format!("{line}\n") };
                Found::Piece(Some(Piece::Input(prompt)), end + 1)
            }
            None => Found::Text(PREFIX.len()),
        }
    }

    /// A display, if its end has come.
    fn block(&self, mime: &str, begin: usize) -> Found {
        let rest = &self.buffer[begin..];
        let end = format!("{CONTENT_END}\n");
        let at = if rest.starts_with(end.as_bytes()) {
            Some((0, 0))
        } else {
            find(rest, format!("\n{end}").as_bytes()).map(|at| (at, at + 1))
        };
        let Some((data, next)) = at else { return Found::Unknown };
        let data = String::from_utf8_lossy(&rest[..data]).into_owned();
        Found::Piece(Some(Piece::Content { mime: mime.to_owned(), data }), begin + next + end.len())
    }

    fn may_become_line(&self) -> bool {
        let heads = [CONTENT_BEGIN, FLUSH, INPUT, PASSWORD].map(str::as_bytes);
        let begins = |head: &&[u8]| head.starts_with(&self.buffer) || self.buffer.starts_with(head);
        heads.iter().any(begins) || begins(&&self.mark[..])
    }

    fn text(&mut self, length: usize, pieces: &mut Vec<Piece>) {
        let bytes: Vec<u8> = self.buffer.drain(..length).collect();
        self.at_begin = bytes.last() == Some(&b'\n');
        match pieces.last_mut() {
            Some(Piece::Text(text)) => text.extend(bytes),
            _ => pieces.push(Piece::Text(bytes)),
        }
    }
}

/// What follows our own mark.
fn own(rest: &str) -> Option<Piece> {
    if rest.is_empty() {
        return Some(Piece::Sent);
    }
    if rest == " value" {
        return Some(Piece::Value);
    }
    let question: Value = serde_json::from_str(rest.strip_prefix(" input ")?).ok()?;
    let words = question["prompt"].as_str().unwrap_or_default().to_owned();
    let is_password = question["password"] == true;
    Some(Piece::Input(Prompt { words, is_password, as_json: true, text: String::new() }))
}

fn is_mime(text: &str) -> bool {
    let is_name = |name: &str| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".+-_".contains(&byte))
    };
    text.trim_end().split_once('/').is_some_and(|(kind, name)| is_name(kind) && is_name(name))
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    let mut from = 0;
    while let Some(at) = haystack[from..].iter().position(|&byte| byte == needle[0]) {
        if haystack[from + at..].starts_with(needle) {
            return Some(from + at);
        }
        from += at + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARK: &str = "gpt_lab:0123";

    fn text(text: &str) -> Piece {
        Piece::Text(text.as_bytes().to_vec())
    }

    fn split(parts: &[&[u8]]) -> Vec<Piece> {
        let mut splitter = Splitter::new(MARK);
        let mut pieces: Vec<Piece> = Vec::new();
        let all = parts.iter().flat_map(|part| splitter.push(part)).collect::<Vec<_>>();
        for piece in all.into_iter().chain(splitter.release()) {
            match (pieces.last_mut(), piece) {
                (Some(Piece::Text(before)), Piece::Text(more)) => before.extend(more),
                (_, piece) => pieces.push(piece),
            }
        }
        pieces
    }

    #[test]
    fn a_mark_is_found_in_the_middle_of_a_line_however_the_bytes_are_cut() {
        let stream = format!("a\nb{MARK}\nc\n{MARK}\nno newline");
        for cut in 0..stream.len() {
            let expected = [text("a\nb"), Piece::Sent, text("c\n"), Piece::Sent, text("no newline")];
            assert_eq!(split(&[&stream.as_bytes()[..cut], &stream.as_bytes()[cut..]]), expected, "cut at {cut}");
        }
    }

    #[test]
    fn what_only_looks_like_a_marker_is_text() {
        for line in [
            "EVCXR_EXECUTION_COMPLETE\n",
            "see EVCXR_BEGIN_CONTENT x\nlost?\n",
            "x EVCXR_INPUT_REQUEST:a\n",
            "EVCXR_",
            "gpt_lab:0\n",
            "EVCXR_BEGIN_CONTENT text/html\nnever ended\n",
            "EVCXR_BEGIN_CONTENT text/html\\n{}\nEVCXR_END_CONTENT\n",
            "50 %\r",
            "gpt_lab:0123 other\n",
        ] {
            assert_eq!(split(&[line.as_bytes()]), [text(line)], "{line}");
        }
    }

    #[test]
    fn text_without_newline_is_not_kept() {
        let mut splitter = Splitter::new(MARK);
        assert_eq!(splitter.push(b"50 %\r"), [text("50 %\r")]);
        assert!(!splitter.holds_text());
    }

    #[test]
    fn displays_of_one_type_stay_several() {
        let block = "EVCXR_BEGIN_CONTENT text/html\n<b>\n1\nEVCXR_END_CONTENT\n";
        let content = || Piece::Content { mime: "text/html".into(), data: "<b>\n1".into() };
        let stream = format!("glued{block}{block}EVCXR_FLUSH_OUTPUT\n");
        for cut in 0..stream.len() {
            let pieces = split(&[&stream.as_bytes()[..cut], &stream.as_bytes()[cut..]]);
            assert_eq!(pieces, [text("glued"), content(), content()], "cut at {cut}");
        }
    }

    #[test]
    fn questions_are_told_in_two_ways() {
        let evcxrs = Prompt {
            words: "Name: ".into(),
            is_password: false,
            as_json: false,
            text: "EVCXR_INPUT_REQUEST:Name: \n".into(),
        };
        assert_eq!(split(&[b"EVCXR_INPUT_REQUEST:Name: \n"]), [Piece::Input(evcxrs)]);
        let own = Prompt { words: "a:b".into(), is_password: true, as_json: true, text: String::new() };
        let line = format!("{MARK} input {{\"prompt\":\"a:b\",\"password\":true}}\n");
        assert_eq!(split(&[line.as_bytes()]), [Piece::Input(own)]);
    }
}
