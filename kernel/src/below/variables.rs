//! The code with which a cell takes out and puts back the session's variables, made cheap to compile.
//!
//! Evcxr has each cell check, take out and put back every variable there is, whether the cell needs it or not, through
//! a hash map that is part of its source. So a cell at the end of a notebook took twice as long as one at its
//! beginning. Here the map makes room for a smaller store ([`small_store`]), and what a cell does not mention stays in
//! it ([`only_mentioned`]).

use std::collections::HashSet;

/// The beginning of the code of a cell.
const CELL: &str = "pub extern \"C\" fn run_user_code_";

/// Exchanges evcxr's store for ours, on the same lines.
pub fn small_store(source: &str) -> String {
    // Items of the learner's own, which come before, may have these names too.
    let after = |place: usize, text: &str| Some(place + source[place..].find(text)?);
    let bounds = || {
        let module = after(0, "\nmod evcxr_internal_runtime {\n")?;
        let start = after(module, "\npub struct VariableStore {\n")? + 1;
        Some((start, after(start, "\npub fn create_variable_store()")?))
    };
    let Some((start, end)) = bounds() else { return source.to_owned() };
    let (_comment, ours) = include_str!("store.rs").split_once("\n\n").expect("a comment, a blank line, the code");
    let ours = ours.trim_end();
    let lines = |text: &str| text.matches('\n').count();
    let Some(blank) = lines(&source[start..end]).checked_sub(lines(ours)) else { return source.to_owned() };
    format!("{}{ours}{}{}", &source[..start], "\n".repeat(blank), &source[end..])
}

/// The source without what it does with variables that the cell does not mention, on the same lines; `None` if it
/// mentions all.
///
/// To mention is to contain the name as a word, be it in a string (`"{name}"`) or a comment. Items outside the cell's
/// function cannot see variables. What is missing all the same shows as an error E0425; then the whole source is the
/// one to compile. Names that are not plain ASCII words (`r#type`) are always kept. So is the check of a variable whose
/// type the learner has defined: when it is defined anew, the variable is lost, and that must be found before the cell
/// makes a new one of that name.
pub fn only_mentioned(source: &str) -> Option<String> {
    let (items, cell) = source.split_at(source.find(CELL)?);
    let written = cell.lines().filter(|line| touched_variable(line).is_none());
    let mentioned: HashSet<&str> = written.flat_map(words).collect();
    let defined = types_defined_in(items);
    let is_idle = |line: &str| {
        let checks_own_type = line.starts_with("vars_ok &= ") && words(line).any(|word| defined.contains(word));
        let name = touched_variable(line.trim_end()).filter(|name| is_plain(name) && !mentioned.contains(name));
        name.is_some() && !checks_own_type
    };
    let kept: String = cell.split_inclusive('\n').map(|line| if is_idle(line) { "\n" } else { line }).collect();
    (kept != cell).then(|| items.to_owned() + &kept)
}

/// The words that follow `struct` and the like.
fn types_defined_in(items: &str) -> HashSet<&str> {
    let all: Vec<&str> = words(items).collect();
    let pairs = all.windows(2).filter(|pair| matches!(pair[0], "struct" | "enum" | "union" | "type"));
    pairs.map(|pair| pair[1]).collect()
}

fn is_plain(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// The variable that a line of evcxr's checks, takes out or puts back.
fn touched_variable(line: &str) -> Option<&str> {
    let rest = match line.strip_prefix("let ") {
        Some(take) => take.split_once(" = evcxr_variable_store.take_variable::<")?.1,
        None => {
            let line = line.strip_prefix("vars_ok &= ").unwrap_or(line);
            let rest = line.strip_prefix("evcxr_variable_store.")?;
            rest.strip_prefix("check_variable::<").or_else(|| rest.strip_prefix("put_variable::<"))?
        }
    };
    let (_type, name) = rest.rsplit_once(">(stringify!(")?;
    name.split_once(')').map(|(name, _)| name)
}

fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_store_is_ours_on_the_same_lines() {
        let theirs =
            "pub const A: u8 = 1;\n\npub struct VariableStore {\n".to_owned() + &"  theirs\n".repeat(70) + "}\n";
        let cell =
            format!("use a;\n\nmod evcxr_internal_runtime {{\n{theirs}\npub fn create_variable_store() {{}}\n}}\ncell");
        let patched = small_store(&cell);
        assert_eq!(patched.lines().count(), cell.lines().count());
        assert!(patched.contains("Vec<(String, Box<dyn std::any::Any>)>,") && !patched.contains("theirs"));
        assert!(patched.starts_with("use a;\n\nmod evcxr_internal_runtime {\npub const A: u8 = 1;\n\npub struct"));
        assert!(patched.ends_with("\npub fn create_variable_store() {}\n}\ncell"));
        assert_eq!(small_store(&patched), patched, "a second pass changes nothing");
        let short = cell.replace(&"  theirs\n".repeat(70), "");
        assert_eq!(small_store(&short), short, "no room for it");
        let learners = "fn f() {}\npub fn create_variable_store() {}\npub struct VariableStore {\n}\n";
        assert_eq!(small_store(learners), learners);
        assert_eq!(
            small_store(&format!("{learners}{cell}")),
            format!("{learners}{patched}"),
            "the learner has the names, too"
        );
    }

    /// As it is in a cell.
    mod store {
        const VARIABLE_CHANGED_TYPE: &str = "changed:";
        include!("store.rs");
    }

    #[test]
    fn the_store_gives_back_what_it_was_given() {
        use std::rc::Rc;
        let mut store = store::VariableStore::new();
        let watched = Rc::new(1);
        store.put_variable("a", watched.clone());
        store.put_variable("b", String::from("two"));
        store.put_variable("c", 3u8);
        assert!(store.check_variable::<Rc<i32>>("a") && store.check_variable::<String>("b"));
        assert!(!store.check_variable::<u16>("c"), "another type");
        assert!(store.check_variable::<u16>("d"), "not there");
        assert_eq!(Rc::strong_count(&store.take_variable::<Rc<i32>>("a")), 2);
        assert_eq!(store.take_variable::<String>("b"), "two");
        store.put_variable("b", watched.clone());
        store.put_variable("b", 4i64);
        assert_eq!(Rc::strong_count(&watched), 1, "the value before is dropped");
        assert_eq!((store.take_variable::<i64>("b"), store.take_variable::<u8>("c")), (4, 3));
        let once = store.lazy_arc("runtime", || 5);
        assert_eq!(*store.lazy_arc("runtime", || 6) + *once, 10);
    }

    /// A cell of these lines, after which evcxr has the variables `count`, `mut text` and `r#type`.
    fn cell(code: &str) -> String {
        format!(
            "fn item(count: i32) {{}}\npub extern \"C\" fn run_user_code_3(\nx) {{\n{{let mut vars_ok = true;\n\
             vars_ok &= evcxr_variable_store.check_variable::<i32>(stringify!(count));\n\
             vars_ok &= evcxr_variable_store.check_variable::<Vec<(String, u8)>>(stringify!(text));\n\
             if !vars_ok {{return evcxr_variable_store;}}}}\n\
             let count = evcxr_variable_store.take_variable::<i32>(stringify!(count));\n\
             let mut text = evcxr_variable_store.take_variable::<Vec<(String, u8)>>(stringify!(text));\n\
             {code}\n\
             evcxr_variable_store.put_variable::<i32>(stringify!(count), count);\n\
             evcxr_variable_store.put_variable::<Vec<(String, u8)>>(stringify!(text), text);\n\
             evcxr_variable_store\n}}\n"
        )
    }

    #[test]
    fn a_variable_stays_where_it_is_unless_it_is_mentioned() {
        let uses = |code: &str| {
            let source = cell(code);
            let kept = only_mentioned(&source).unwrap_or_else(|| source.clone());
            assert_eq!(kept.lines().count(), source.lines().count());
            assert!(kept.starts_with("fn item(count: i32) {}\n") && kept.ends_with("evcxr_variable_store\n}\n"));
            assert!(kept.contains(&format!("\n{code}\n")));
            ["count", "text"].map(|name| kept.matches(&format!("(stringify!({name})")).count())
        };
        assert_eq!(uses("let a = 1;"), [0, 0]);
        assert_eq!(uses("println!(\"{count}\");"), [3, 0]);
        assert_eq!(uses("let n = text.len();"), [0, 3]);
        assert_eq!(uses("let texts = 1; // and discount"), [0, 0]);
        assert_eq!(uses("text.push((s, count));"), [3, 3]);
        assert!(only_mentioned(&cell("f(count, text)")).is_none());
        assert!(only_mentioned("fn f() {}").is_none(), "a cell of items");
    }

    #[test]
    fn a_variable_that_the_cell_makes_is_put_away() {
        for name in ["new", "r#type", "संख्या", "e\u{301}t"] {
            let code =
                format!("let {name} = 1;\nevcxr_variable_store.put_variable::<i32>(stringify!({name}), {name});");
            assert!(only_mentioned(&cell(&code)).unwrap().contains(&code), "{name}");
        }
    }

    #[test]
    fn a_type_of_the_learners_own_is_checked_in_every_cell() {
        let source = cell("let a = 1;").replace("Vec<(String, u8)>", "Vec<Point>");
        let checks = |items: &str| only_mentioned(&format!("{items}{source}")).unwrap().matches("(text)").count();
        assert_eq!(["struct Point;\n", "pub enum Point {}\n", "struct Other;\n", ""].map(checks), [1, 1, 0, 0]);
    }
}
