//! Generated code that knows where each piece of it comes from.

use super::Range;

/// The origin of a piece of generated code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The kernel.
    Kernel,
    /// The learner: which of the session's cells, and from which byte on.
    Cell { cell: usize, offset: usize },
    /// The kernel's line that keeps a variable; `site` is the number of the `?` before which it stands, if not the end.
    Keep { name: String, site: Option<u32> },
    /// The kernel's code around the value of the cell.
    Show,
}

/// A piece of generated code.
#[derive(Debug, Clone)]
struct Piece {
    begin: usize,
    origin: Origin,
}

/// Generated code.
#[derive(Debug, Clone, Default)]
pub struct Source {
    text: String,
    pieces: Vec<Piece>,
}

impl Source {
    /// The whole code.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Adds code with its origin.
    pub fn push(&mut self, text: &str, origin: Origin) {
        if !text.is_empty() {
            self.pieces.push(Piece { begin: self.text.len(), origin });
            self.text.push_str(text);
        }
    }

    /// Adds code of the kernel's.
    pub fn kernel(&mut self, text: &str) {
        self.push(text, Origin::Kernel);
    }

    /// Adds a range of a cell.
    pub fn cell(&mut self, cell: usize, text: &str, range: Range) {
        let offset = range.start;
        self.push(&text[range], Origin::Cell { cell, offset });
    }

    /// The origins of all pieces that a range touches.
    pub fn origins(&self, range: &Range) -> impl Iterator<Item = &Origin> {
        let first = self.pieces.partition_point(|piece| piece.begin <= range.start).saturating_sub(1);
        let end = range.end.max(range.start + 1);
        self.pieces[first..].iter().take_while(move |piece| piece.begin < end).map(|piece| &piece.origin)
    }

    /// The learner's part of a range: of the first cell that it touches, from the first to the last byte.
    pub fn in_cell(&self, range: &Range) -> Option<(usize, Range)> {
        let first = self.pieces.partition_point(|piece| piece.begin <= range.start).saturating_sub(1);
        let end = range.end.max(range.start + 1);
        let mut found: Option<(usize, Range)> = None;
        for (number, piece) in self.pieces.iter().enumerate().skip(first).take_while(|(_, piece)| piece.begin < end) {
            let Origin::Cell { cell, offset } = piece.origin else { continue };
            let next = self.pieces.get(number + 1).map_or(self.text.len(), |next| next.begin);
            let (from, to) = (range.start.max(piece.begin), range.end.min(next));
            let (from, to) = (offset + from - piece.begin, offset + to.max(from) - piece.begin);
            match &mut found {
                None => found = Some((cell, from..to)),
                Some((known, whole)) if *known == cell => *whole = whole.start.min(from)..whole.end.max(to),
                Some(_) => break,
            }
        }
        found
    }

    /// The byte of the place that the compiler calls line and column (in characters), both from 1.
    pub fn byte_of(&self, line: usize, column: usize) -> Option<usize> {
        let begin = match line.checked_sub(2) {
            None => 0,
            Some(before) => self.text.match_indices('\n').nth(before)?.0 + 1,
        };
        let rest = self.text[begin..].split('\n').next()?;
        let within = rest.char_indices().nth(column.saturating_sub(1)).map_or(rest.len(), |(byte, _)| byte);
        Some(begin + within)
    }

    /// The place in a cell directly before a byte, if the learner's code ends there.
    pub fn end_at(&self, at: usize) -> Option<(usize, usize)> {
        let next = self.pieces.partition_point(|piece| piece.begin < at);
        let is_end = self.pieces.get(next).map_or(self.text.len(), |piece| piece.begin) == at;
        match self.pieces.get(next.checked_sub(1)?)? {
            Piece { begin, origin: Origin::Cell { cell, offset } } if is_end => Some((*cell, offset + at - begin)),
            _ => None,
        }
    }

    /// The end of the learner's last piece before a byte.
    pub fn last_before(&self, at: usize) -> Option<(usize, usize)> {
        let before = self.pieces.partition_point(|piece| piece.begin < at);
        (0..before).rev().find_map(|number| {
            let Origin::Cell { cell, offset } = self.pieces[number].origin else { return None };
            let end = self.pieces.get(number + 1).map_or(self.text.len(), |next| next.begin).min(at);
            Some((cell, offset + end - self.pieces[number].begin))
        })
    }

    /// The next byte of a cell at or after a byte of the code, on the same line.
    pub fn cell_at(&self, at: usize) -> Option<(usize, usize)> {
        let end = self.text[at..].find('\n').map_or(self.text.len(), |newline| at + newline);
        self.in_cell(&(at..end)).map(|(cell, range)| (cell, range.start))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source() -> Source {
        let mut source = Source::default();
        source.kernel("fn f() {\n");
        source.cell(3, "let a = g()?;", 0..8);
        source.kernel("branch(");
        source.cell(3, "let a = g()?;", 8..11);
        source.kernel(")");
        source.push("keep(a);", Origin::Keep { name: "a".into(), site: Some(0) });
        source.cell(3, "let a = g()?;", 12..13);
        source.kernel("\n}");
        source
    }

    #[test]
    fn every_byte_knows_where_it_comes_from() {
        let source = source();
        assert_eq!(source.text(), "fn f() {\nlet a = branch(g())keep(a);;\n}");
        let at = |text: &str| source.text().find(text).unwrap();
        let origin = |at: usize| source.origins(&(at..at)).next().cloned();
        assert_eq!(origin(at("g()")), Some(Origin::Cell { cell: 3, offset: 8 }));
        assert_eq!(origin(at("keep")), Some(Origin::Keep { name: "a".into(), site: Some(0) }));
        assert_eq!(origin(0), Some(Origin::Kernel));
    }

    #[test]
    fn a_range_is_cut_to_what_the_learner_wrote() {
        let source = source();
        let at = source.text().find("branch").unwrap();
        assert_eq!(source.in_cell(&(at..at + 10)), Some((3, 8..11)));
        let all = source.text().find("let").unwrap();
        assert_eq!(source.in_cell(&(all..source.text().len())), Some((3, 0..13)));
        assert_eq!(source.in_cell(&(0..3)), None);
    }

    #[test]
    fn lines_and_columns_are_bytes() {
        let mut source = Source::default();
        source.kernel("a\n");
        source.cell(0, "é = x", 0..6);
        assert_eq!(source.byte_of(2, 5), Some(7));
        assert_eq!(source.cell_at(7), Some((0, 5)));
        assert_eq!(source.byte_of(1, 1), Some(0));
        assert_eq!(source.byte_of(9, 1), None);
    }
}
