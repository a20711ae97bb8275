//! GPT-2's way to write bytes as characters (`bytes_to_unicode` in OpenAI's `encoder.py`).
//!
//! Its vocabulary file is text, so each of the 256 bytes needs a character that can be seen. Those that print stand for
//! themselves; the other 68 – the space among them – are counted through from U+0100: a space is `Ġ`, a newline `Ċ`.

/// The byte that this character stands for, if it stands for one.
pub(super) fn byte_of(symbol: char) -> Option<u8> {
    match symbol as u32 {
        code @ (0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff) => Some(code as u8),
        code @ 0x100..=0x120 => Some((code - 0x100) as u8), // control characters and the space, 0x00 to 0x20
        code @ 0x121..=0x142 => Some((code - 0x121 + 0x7f) as u8), // delete and more controls, 0x7f to 0xa0
        0x143 => Some(0xad),                                // the soft hyphen
        _ => None,
    }
}

/// The bytes of a piece of the vocabulary. A piece with a character that stands for no byte is text as it is.
pub(super) fn bytes_of(piece: &str) -> Vec<u8> {
    piece.chars().map(byte_of).collect::<Option<_>>().unwrap_or_else(|| piece.as_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_has_one_symbol() {
        let mut bytes: Vec<u8> = ('\0'..='\u{200}').filter_map(byte_of).collect();
        bytes.sort_unstable();
        assert_eq!(bytes, (0..=255).collect::<Vec<u8>>());
        assert_eq!(bytes_of("ĠGPTĊ"), b" GPT\n");
        assert_eq!(bytes_of("語"), "語".as_bytes());
    }
}
