//! The report of a panic among the text of standard error.

/// A panic as the standard library prints it.
#[derive(Debug, PartialEq, Eq)]
pub struct Panic {
    /// Source file, `src/lib.rs` for the code of a cell.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// The message.
    pub message: String,
}

/// Byte offset in a text of stderr at which the report of a panic may start (it may be cut off).
pub fn start(text: &str) -> Option<usize> {
    let mut offset = 0;
    for line in text.split_inclusive('\n') {
        if line.starts_with("thread '") && (line.contains(" panicked at ") || !line.ends_with('\n')) {
            // The empty line that the standard library prints before it belongs to the report.
            let blank = text[..offset].ends_with("\n\n") || &text[..offset] == "\n";
            return Some(offset - usize::from(blank));
        }
        offset += line.len();
    }
    None
}

/// Reads the report of a panic.
pub fn parse(text: &str) -> Option<Panic> {
    let text = text.trim_start_matches('\n');
    let (head, rest) = text.split_once('\n')?;
    let place = head.split_once(" panicked at ")?.1.trim_end_matches(':');
    let mut parts = place.rsplitn(3, ':');
    let column = parts.next()?.parse().ok()?;
    let line = parts.next()?.parse().ok()?;
    let file = parts.next()?.to_owned();
    let message = rest.split("note: run with `RUST_BACKTRACE=1`").next().unwrap_or(rest);
    Some(Panic { file, line, column, message: message.trim_end().to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = "\nthread 'main' (12) panicked at src/lib.rs:5:9:\nindex out of\nbounds\n\
        note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace\n";

    #[test]
    fn a_panic_is_read_with_its_place() {
        let expected = Panic { file: "src/lib.rs".into(), line: 5, column: 9, message: "index out of\nbounds".into() };
        assert_eq!(parse(REPORT), Some(expected));
        assert_eq!(parse("thread 'main' says hello\nx"), None);
    }

    #[test]
    fn the_start_of_a_panic_is_found_even_cut_off() {
        assert_eq!(start(&format!("text\n{REPORT}")), Some(5));
        assert_eq!(start("text\nthread 'ma"), Some(5));
        assert_eq!(start("a thread 'x' panicked at noon\n"), None);
        assert_eq!(start("thread 'x' sleeps\n"), None);
    }
}
