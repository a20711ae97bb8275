//! Text from bytes that arrive in pieces.

/// Assembles UTF-8: a character cut in two waits for its other half, bytes that are no text become `U+FFFD`.
#[derive(Default)]
pub struct Assembler {
    rest: Vec<u8>,
}

impl Assembler {
    /// The text that is complete after these bytes.
    pub fn push(&mut self, bytes: &[u8]) -> String {
        self.rest.extend_from_slice(bytes);
        let cut = self.rest.len() - incomplete_tail(&self.rest);
        let complete: Vec<u8> = self.rest.drain(..cut).collect();
        String::from_utf8_lossy(&complete).into_owned()
    }

    /// The rest, whose second half will not come.
    pub fn finish(&mut self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut self.rest)).into_owned()
    }
}

/// Length of the unfinished character at the end.
fn incomplete_tail(bytes: &[u8]) -> usize {
    for length in 1..=bytes.len().min(3) {
        let byte = bytes[bytes.len() - length];
        let needed = match byte {
            0xC2..=0xDF => 2,
            0xE0..=0xEF => 3,
            0xF0..=0xF4 => 4,
            0x80..=0xBF => continue,
            _ => return 0,
        };
        return if length < needed { length } else { 0 };
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_cut_anywhere_comes_out_whole() {
        let text = "aé漢🦀b";
        for cut in 0..text.len() {
            let mut assembler = Assembler::default();
            let mut out = assembler.push(&text.as_bytes()[..cut]);
            out += &assembler.push(&text.as_bytes()[cut..]);
            out += &assembler.finish();
            assert_eq!(out, text, "cut at {cut}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_replaced_at_once() {
        let mut assembler = Assembler::default();
        assert_eq!(assembler.push(&[b'a', 0xFF, b'b']), "a\u{FFFD}b");
        assert_eq!(assembler.push(&[0x80, 0x80, 0x80, 0x80]), "\u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}");
    }

    #[test]
    fn half_a_character_at_the_end_is_not_lost() {
        let mut assembler = Assembler::default();
        assert_eq!(assembler.push(&[b'x', 0xF0, 0x9F]), "x");
        assert_eq!(assembler.finish(), "\u{FFFD}");
    }
}
