//! Tells evcxr's own lines on standard output from what the learner prints, even where one is glued to the other.

use crate::names::line::*;

/// The beginning of all lines of evcxr and ours.
const PREFIX: &[u8] = b"EVCXR_";

/// A part of standard output.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    /// Output of the learner's code.
    Text(Vec<u8>),
    /// A marked message through the channel belongs here.
    Sent,
    /// The cell has ended.
    Complete,
    /// The cell has panicked; it ends soon.
    Panic,
    /// A `?` has left the cell early.
    Question,
    /// A line that only evcxr understands.
    ForEvcxr(String),
    /// The cell waits for a line of text.
    Input { prompt: String, password: bool },
    /// The display that follows is the value of the cell.
    Result,
    /// Output in a MIME type.
    Content { mime: String, data: String },
    /// The error of a `?` and its line in the generated source.
    Error { line: usize, type_name: String, message: String },
}

/// Splits the stream into [`Piece`]s.
#[derive(Default)]
pub struct Splitter {
    buffer: Vec<u8>,
    block: Option<Block>,
}

struct Block {
    head: String,
    end: &'static str,
    lines: Vec<String>,
}

impl Splitter {
    /// The pieces that are complete after these bytes.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Piece> {
        self.buffer.extend_from_slice(bytes);
        let mut pieces = Vec::new();
        while self.step(&mut pieces) {}
        pieces
    }

    /// True if text waits because it may become a marker.
    pub fn holds_text(&self) -> bool {
        self.block.is_none() && !self.buffer.is_empty()
    }

    /// Gives up waiting: what looked like the beginning of a marker is text.
    pub fn release(&mut self) -> Option<Piece> {
        self.holds_text().then(|| Piece::Text(std::mem::take(&mut self.buffer)))
    }

    fn step(&mut self, pieces: &mut Vec<Piece>) -> bool {
        if self.block.is_some() {
            let Some(line) = self.take_line() else { return false };
            self.block_line(line, pieces);
            return true;
        }
        let Some(start) = find(&self.buffer, PREFIX) else {
            let keep = (1..PREFIX.len()).rev().find(|&n| self.buffer.ends_with(&PREFIX[..n])).unwrap_or(0);
            self.text(self.buffer.len() - keep, pieces);
            return false;
        };
        self.text(start, pieces);
        if !self.buffer.contains(&b'\n') {
            if may_become_marker(&self.buffer) {
                return false;
            }
            self.text(PREFIX.len(), pieces);
            return true;
        }
        let end = self.buffer.iter().position(|&byte| byte == b'\n').unwrap_or(0);
        let line = String::from_utf8_lossy(&self.buffer[..end]).into_owned();
        if let Some(block) = Block::begin(&line) {
            self.block = Some(block);
        } else if let Some(piece) = marker(&line) {
            pieces.push(piece);
        } else {
            self.text(PREFIX.len(), pieces);
            return true;
        }
        self.buffer.drain(..=end);
        true
    }

    fn text(&mut self, length: usize, pieces: &mut Vec<Piece>) {
        if length > 0 {
            let bytes: Vec<u8> = self.buffer.drain(..length).collect();
            match pieces.last_mut() {
                Some(Piece::Text(text)) => text.extend(bytes),
                _ => pieces.push(Piece::Text(bytes)),
            }
        }
    }

    fn take_line(&mut self) -> Option<String> {
        let end = self.buffer.iter().position(|&byte| byte == b'\n')?;
        let line = String::from_utf8_lossy(&self.buffer[..end]).into_owned();
        self.buffer.drain(..=end);
        Some(line)
    }

    fn block_line(&mut self, line: String, pieces: &mut Vec<Piece>) {
        let Some(mut block) = self.block.take() else { return };
        if line == block.end {
            pieces.push(block.finish());
        } else if line == PANIC || line == COMPLETE {
            // The block was never finished; the cell's end is more important than what it wanted to show.
            pieces.push(block.finish());
            pieces.extend(marker(&line));
        } else {
            block.lines.push(line);
            self.block = Some(block);
        }
    }
}

impl Block {
    fn begin(line: &str) -> Option<Block> {
        let (head, end) = if let Some(mime) = line.strip_prefix(CONTENT_BEGIN) {
            (mime.trim().to_owned(), CONTENT_END)
        } else {
            (line.strip_prefix(ERROR_BEGIN)?.to_owned(), ERROR_END)
        };
        Some(Block { head, end, lines: Vec::new() })
    }

    fn finish(self) -> Piece {
        let text = self.lines.join("\n");
        if self.end == CONTENT_END {
            return Piece::Content { mime: self.head, data: text };
        }
        let (line, type_name) = self.head.split_once(' ').unwrap_or((&self.head, "Error"));
        Piece::Error { line: line.parse().unwrap_or(0), type_name: type_name.to_owned(), message: text }
    }
}

fn marker(line: &str) -> Option<Piece> {
    let input = |prompt: &str, password| Piece::Input { prompt: prompt.to_owned(), password };
    match line {
        COMPLETE => Some(Piece::Complete),
        PANIC => Some(Piece::Panic),
        QUESTION => Some(Piece::Question),
        RESULT => Some(Piece::Result),
        SENT => Some(Piece::Sent),
        _ if line.starts_with(TYPE_CHANGED) => Some(Piece::ForEvcxr(line.to_owned())),
        _ => line
            .strip_prefix(PASSWORD)
            .map(|prompt| input(prompt, true))
            .or_else(|| line.strip_prefix(INPUT).map(|prompt| input(prompt, false))),
    }
}

fn may_become_marker(start: &[u8]) -> bool {
    let whole = [COMPLETE, PANIC, QUESTION, RESULT, SENT].iter().any(|word| word.as_bytes().starts_with(start));
    let heads = [TYPE_CHANGED, INPUT, PASSWORD, CONTENT_BEGIN, ERROR_BEGIN];
    whole || heads.iter().any(|head| head.as_bytes().starts_with(start) || start.starts_with(head.as_bytes()))
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

    fn text(text: &str) -> Piece {
        Piece::Text(text.as_bytes().to_vec())
    }

    #[test]
    fn a_mark_stands_where_it_was_printed_even_in_the_middle_of_a_line() {
        let mut splitter = Splitter::default();
        let text = |text: &str| Piece::Text(text.as_bytes().to_vec());
        let pieces = splitter.push(b"a\nbEVCXR_GPT_LAB_SENT\nc\nEVCXR_GPT_LAB_SENT\n");
        assert_eq!(pieces, [text("a\nb"), Piece::Sent, text("c\n"), Piece::Sent]);
        assert!(splitter.push(b"EVCXR_GPT_LAB_S").is_empty() && splitter.holds_text());
        assert_eq!(splitter.push(b"ENT\n"), [Piece::Sent]);
    }

    #[test]
    fn a_marker_glued_to_text_is_found_however_the_bytes_are_cut() {
        let stream = b"no newlineEVCXR_EXECUTION_COMPLETE\nnext\nEVCXR_PANIC_NOTIFICATION\n";
        for cut in 0..stream.len() {
            let mut splitter = Splitter::default();
            let mut pieces = splitter.push(&stream[..cut]);
            pieces.extend(splitter.push(&stream[cut..]));
            let shown: Vec<u8> = pieces
                .iter()
                .filter_map(|p| if let Piece::Text(t) = p { Some(t.clone()) } else { None })
                .flatten()
                .collect();
            assert_eq!(shown, b"no newlinenext\n", "cut at {cut}");
            let others: Vec<&Piece> = pieces.iter().filter(|p| !matches!(p, Piece::Text(_))).collect();
            assert_eq!(others, [&Piece::Complete, &Piece::Panic], "cut at {cut}");
        }
    }

    #[test]
    fn text_that_only_looks_like_a_marker_is_shown() {
        let mut splitter = Splitter::default();
        assert_eq!(splitter.push(b"EVCXR_OTHER\nEVCXR_"), [text("EVCXR_OTHER\n")]);
        assert!(splitter.holds_text());
        assert_eq!(splitter.release(), Some(text("EVCXR_")));
    }

    #[test]
    fn text_without_newline_is_not_kept() {
        let mut splitter = Splitter::default();
        assert_eq!(splitter.push(b"50 %\r"), [text("50 %\r")]);
        assert!(!splitter.holds_text());
    }

    #[test]
    fn several_blocks_of_one_type_stay_several() {
        let mut splitter = Splitter::default();
        let block = b"EVCXR_BEGIN_CONTENT text/html\n<b>\n1\nEVCXR_END_CONTENT\n";
        let content = || Piece::Content { mime: "text/html".into(), data: "<b>\n1".into() };
        let mut pieces = splitter.push(block);
        pieces.extend(splitter.push(block));
        assert_eq!(pieces, [content(), content()]);
    }

    #[test]
    fn a_panic_inside_a_block_ends_it() {
        let mut splitter = Splitter::default();
        let pieces = splitter.push(b"EVCXR_BEGIN_CONTENT text/plain\nhalf\nEVCXR_PANIC_NOTIFICATION\n");
        assert_eq!(pieces, [Piece::Content { mime: "text/plain".into(), data: "half".into() }, Piece::Panic]);
    }

    #[test]
    fn a_question_mark_report_is_read() {
        let mut splitter = Splitter::default();
        let report = format!("{ERROR_BEGIN}12 std::io::Error\nno such\nfile\n{ERROR_END}\nEVCXR_ERROR_OCCURRED\n");
        let expected = Piece::Error { line: 12, type_name: "std::io::Error".into(), message: "no such\nfile".into() };
        assert_eq!(splitter.push(report.as_bytes()), [expected, Piece::Question]);
    }

    #[test]
    fn a_prompt_may_contain_a_colon() {
        let mut splitter = Splitter::default();
        let expected = Piece::Input { prompt: "Name: ".into(), password: false };
        assert_eq!(splitter.push(b"EVCXR_INPUT_REQUEST:Name: \n"), [expected]);
    }
}
