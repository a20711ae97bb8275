//! Small changes to the code that evcxr generates around a cell, which evcxr has no setting for.
//!
//! - The `From` that receives the error of a `?` learns the line of that `?` (`#[track_caller]`) and reports error and
//!   place on lines of our own.
//! - The cell flushes standard output when it ends, so that `print!` without a newline shows in its own cell.
//! - The value of the last expression is announced, so that it can be told from other displays; and it is shown with
//!   `Debug` in the same compilation if it has no `evcxr_display` (evcxr compiles such a cell twice).
//! - The store that hands variables from cell to cell is ours, which compiles faster (`variables.rs`).
//!
//! Lines keep their numbers, so that the compiler's messages stay right. Where the expected text is not found, nothing
//! is changed and the kernel falls back to what evcxr prints; only the store must be the same in all cells of a
//! session, so its text is looked for where nobody's but evcxr's can be.

use super::variables;
use crate::names::line::{ERROR_BEGIN, ERROR_END, RESULT};
use crate::names::{file, var};
use anyhow::{Context, Result};
use std::path::Path;

/// Changes the source of a cell in place.
pub fn patch_file(path: &Path) -> Result<()> {
    let Ok(source) = std::fs::read_to_string(path) else {
        return Ok(());
    };
    let own_format =
        std::env::var_os(var::EVCXR_DIR).is_some_and(|dir| Path::new(&dir).join(file::OWN_FORMAT).exists());
    let patched = patch(&source, own_format);
    if patched != source {
        std::fs::write(path, patched).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// The source of a cell with our changes.
pub fn patch(source: &str, own_format: bool) -> String {
    announce_value(&flush_at_end(&report_question_mark(&variables::small_store(source))), own_format)
}

fn announce_value(source: &str, own_format: bool) -> String {
    if source.contains(RESULT) {
        return source.to_owned();
    }
    let show = ").evcxr_display();";
    let begin = "b\"EVCXR_BEGIN_CONTENT text/plain\\n\"";
    if let Some(at) = source.find(begin) {
        // evcxr's second try.
        let announced = format!("b\"{RESULT}\\nEVCXR_BEGIN_CONTENT text/plain\\n\"");
        return format!("{}{announced}{}", &source[..at], &source[at + begin.len()..]);
    }
    let Some(at) = source.rfind(show) else { return source.to_owned() };
    // An inherent `evcxr_display` is found before that of the trait.
    let mark = format!(
        " trait EvcxrLabMark {{ fn evcxr_lab_mark(&self) -> &Self {{ println!(\"{RESULT}\"); self }} }} \
         impl<T: ?Sized> EvcxrLabMark for T {{}}"
    );
    let debug = " trait EvcxrLabShow { fn evcxr_display(&self); } \
         impl<T: std::fmt::Debug + ?Sized> EvcxrLabShow for T { fn evcxr_display(&self) { \
         println!(\"EVCXR_BEGIN_CONTENT text/plain\\n{:?}\\nEVCXR_END_CONTENT\", self); } }";
    let debug = if own_format { "" } else { debug };
    format!(
        "{}).evcxr_lab_mark(){show_rest}{mark}{debug}{}",
        &source[..at],
        &source[at + show.len()..],
        show_rest = &show[1..]
    )
}

fn report_question_mark(source: &str) -> String {
    let head = "fn from(error: T) -> Self {";
    if source.contains("#[track_caller] fn from(error: T)") {
        return source.to_owned();
    }
    let Some(start) = source.find("for EvcxrUserCodeError {").and_then(|at| Some(at + source[at..].find(head)?)) else {
        return source.to_owned();
    };
    let body = start + head.len();
    let Some(print) = source[body..].find("eprintln!(").map(|at| body + at) else {
        return source.to_owned();
    };
    let Some(end) = source[print..].find(';').map(|at| print + at + 1) else {
        return source.to_owned();
    };
    if !source[body..print].trim().is_empty() {
        return source.to_owned();
    }
    // `eprintln!("{:?}", error);` keeps the format that `:efmt` chose.
    let format = &source[print + "eprintln!(".len()..end - 2];
    let report = format!(
        "println!(\"{ERROR_BEGIN}{{}} {{}}\\n{{}}\\n{ERROR_END}\", std::panic::Location::caller().line(), \
         std::any::type_name::<T>(), format!({format}));"
    );
    format!("{}#[track_caller] {}{}{}", &source[..start], &source[start..print], report, &source[end..])
}

fn flush_at_end(source: &str) -> String {
    let end = "\nevcxr_variable_store\n}";
    match source.rfind(end) {
        Some(at) => format!(
            "{}\nstd::mem::forget(std::io::Write::flush(&mut std::io::stdout())); evcxr_variable_store\n}}{}",
            &source[..at],
            &source[at + end.len()..]
        ),
        None => source.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GENERATED: &str = "use a;\nstruct EvcxrUserCodeError {}\nimpl<T: std::fmt::Display> From<T> for \
        EvcxrUserCodeError {\n  fn from(error: T) -> Self {\n   eprintln!(\"{}\", error);\n   \
        println!(\"{}\", X);\n   EvcxrUserCodeError {}\n  }\n}\nfn run() {\ncell\nevcxr_variable_store\n}\n";

    #[test]
    fn lines_keep_their_numbers() {
        let patched = patch(GENERATED, false);
        assert_eq!(patched.lines().count(), GENERATED.lines().count());
        assert!(patched.lines().nth(3).unwrap().contains("#[track_caller] fn from"));
        assert!(patched.contains("format!(\"{}\", error)"));
        assert!(!patched.contains("eprintln!"));
        assert!(patched.contains("flush(&mut std::io::stdout())); evcxr_variable_store\n}"));
    }

    #[test]
    fn other_code_is_left_alone() {
        let source = "fn from(error: T) -> Self { eprintln!(\"{}\", error); }";
        assert_eq!(patch(source, false), source);
        assert_eq!(patch(&patch(GENERATED, false), false), patch(GENERATED, false), "a second pass changes nothing");
    }

    #[test]
    fn the_value_is_announced() {
        let first = "(\nx\n).evcxr_display();\nend";
        let patched = patch(first, false);
        assert!(patched.starts_with("(\nx\n).evcxr_lab_mark().evcxr_display(); trait"));
        assert_eq!((patched.lines().count(), patched.matches("Debug").count()), (4, 1));
        assert!(!patch(first, true).contains("Debug"));
        assert_eq!(patch(&patched, false), patched, "a second pass changes nothing");
        let second = "write_all(b\"EVCXR_BEGIN_CONTENT text/plain\\n\")";
        assert_eq!(patch(second, false), format!("write_all(b\"{RESULT}\\nEVCXR_BEGIN_CONTENT text/plain\\n\")"));
    }
}
