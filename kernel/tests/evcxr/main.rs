//! What the kernel assumes about evcxr, each assumption in a test of its own: src/below/README.md explains them.
//!
//! One session of the real engine with the real evcxr is run for all of them. It has a `gpt_lab` of one line, so it
//! takes seconds. When a new version of evcxr breaks an assumption, the name of the failing test says which.

mod session;

use serde_json::Value;
use session::{Run, Session};
use std::fs;
use std::path::Path;
use std::sync::LazyLock;

/// The cells of the session, in the order in which they ran.
struct Seen {
    session: Session,
    binding: Run,
    value: Run,
    idle: Run,
    question: Run,
    panic: Run,
    input: Run,
    misspelt: Run,
    redefined: Run,
    lost: Run,
    silent: Run,
    shell: Run,
    environment: Run,
    formatted: Run,
    exit: Run,
    after: Run,
}

static SEEN: LazyLock<Seen> = LazyLock::new(|| {
    let mut session = Session::start();
    let mut run = |code: &str| session.cell(code, None);
    let binding = run("let count = 1i32; let text = String::from(\"a\");");
    let value = run("count + 1");
    let idle = run("let other = 5u8;");
    let question = run("let good = 1u8;\nlet bad = \"x\".parse::<i32>()?;");
    let panic = run("let good = 2u8;\npanic!(\"boom\");");
    let ask = "println!(\"EVCXR_INPUT_REQUEST:Name: \");\nlet mut line = String::new();\n\
        std::io::stdin().read_line(&mut line)?;\nline.trim().to_owned()";
    let input = session.cell(ask, Some("Ada"));
    let mut run = |code: &str| session.cell(code, None);
    let misspelt = run("println!(\"{}\", coumt);");
    run("#[derive(Debug)] pub struct Point(pub i32);\nlet point = Point(1);");
    let redefined = run("#[derive(Debug)] pub struct Point(pub i32, pub i32);");
    let lost = run("point.0");
    let shell = run("!echo \"path=$PATH wrapper=$RUSTC_WRAPPER\"");
    let environment =
        run("[\"PATH\", \"CARGO_HOME\", \"RUST_SRC_PATH\", \"RUSTC_WRAPPER\", \"RUST_BACKTRACE\", \"GPT_LAB_PUMP\",\n\
        \"MALLOC_ARENA_MAX\"].map(|name| std::env::var(name).unwrap_or_default()).join(\"|\")");
    session.break_compiler(true);
    let silent = session.cell("let broken = 1;", None);
    session.break_compiler(false);
    let mut run = |code: &str| session.cell(code, None);
    let formatted = run(":fmt {:#?}\nvec![1]");
    let exit = run("std::process::exit(3);");
    let after = run("2 + 2");
    Seen {
        session,
        binding,
        value,
        idle,
        question,
        panic,
        input,
        misspelt,
        redefined,
        lost,
        silent,
        shell,
        environment,
        formatted,
        exit,
        after,
    }
});

/// The calls of cargo among those of a cell.
fn cargos(run: &Run) -> Vec<&str> {
    run.calls.lines().filter_map(|line| line.strip_prefix("cargo ")).collect()
}

fn session_file(name: &str) -> String {
    let path = SEEN.session.dir().join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn evcxr_keeps_its_crate_in_evcxr_tmpdir() {
    assert!(session_file("Cargo.toml").contains("name = \"ctx\""));
    assert!(session_file("src/lib.rs").contains("run_user_code_"));
}

#[test]
fn evcxr_starts_with_a_cell_of_its_own() {
    assert_eq!(SEEN.session.start.messages.last().unwrap()["problem"], Value::Null);
    let start = cargos(&SEEN.session.start);
    let builds = start.iter().filter(|call| call.contains("build ")).count();
    assert_eq!(builds, 2, "one for evcxr's own cell, one for our hidden cell: {start:?}");
}

#[test]
fn evcxr_finds_cargo_and_the_shell_through_the_path() {
    // The scripts are called by this binary alone: evcxr has asked it first.
    let start = cargos(&SEEN.session.start);
    assert!(start.iter().any(|call| call.contains("build ")), "{start:?}");
    let shown = SEEN.shell.value().unwrap_or_default();
    let path = shown.split_once("path=").map_or("", |(_, rest)| rest);
    assert!(path.starts_with(SEEN.session.root().join("toolchain/bin").to_str().unwrap()), "{shown}");
    assert!(!shown.contains("/sessions/") && shown.contains("wrapper=\n"), "not the learner's environment: {shown}");
}

#[test]
fn evcxr_starts_the_process_of_the_cells_with_our_command() {
    let shown = SEEN.environment.value().unwrap_or_default().trim_matches('"');
    let values: Vec<&str> = shown.split('|').collect();
    let [path, cargo_home, rest @ ..] = &values[..] else { panic!("{shown}") };
    assert!(path.starts_with(SEEN.session.root().join("toolchain/bin").to_str().unwrap()), "{path}");
    assert_eq!(*cargo_home, std::env::var("CARGO_HOME").unwrap_or_default());
    assert_eq!(rest, ["", "", "", "", "1"], "what is not for cells, and a setting of the allocator that is");
}

#[test]
fn evcxr_builds_a_cell_with_one_known_command_line() {
    let start = cargos(&SEEN.session.start);
    let build = start.iter().rfind(|call| call.contains("build ")).unwrap();
    let words: Vec<&str> = build.split(' ').filter(|word| *word != "--offline").collect();
    assert!(matches!(words[..], ["build", "--target", _, "--message-format=json"]), "{build}");
    assert!(!session_file("rustc.stamp").is_empty());
}

#[test]
fn evcxr_takes_our_answer_for_cargos() {
    // The first cell goes to cargo: `:offline 0`, which ends the start, has changed cargo's configuration.
    for run in [&SEEN.value, &SEEN.idle] {
        assert_eq!(run.failure(), &Value::Null);
        assert!(!cargos(run).iter().any(|call| call.contains("build ")), "cargo was called again: {}", run.calls);
        assert!(run.calls.contains("rustc --crate-name ctx "), "{}", run.calls);
    }
    assert_eq!(SEEN.value.value(), Some("2"));
}

#[test]
fn evcxr_names_the_crate_of_a_cell_ctx() {
    let call = session_file("rustc.call");
    let words: Vec<&str> = call.split('\0').collect();
    assert!(words.windows(2).any(|pair| pair == ["--crate-name", "ctx"]), "{words:?}");
    assert!(words.iter().any(|word| word.starts_with("--emit=") && word.ends_with("link")), "{words:?}");
}

#[test]
fn evcxr_gives_libraries_of_cells_the_names_that_no_session_shares() {
    let targets = fs::read_dir(SEEN.session.dir().join("target")).unwrap().flatten();
    let folders = targets.map(|target| target.path().join("debug")).filter(|folder| folder.is_dir());
    let names: Vec<String> = folders
        .flat_map(|folder| [fs::read_dir(folder.join("deps")), fs::read_dir(folder)])
        .flat_map(|entries| entries.unwrap().flatten())
        .map(|entry| entry.file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".so") && !name.contains("gpt_lab"))
        .collect();
    assert!(names.iter().any(|name| name.starts_with("libcode_")), "{names:?}");
    assert!(names.iter().all(|name| name.starts_with("libcode_") || name.starts_with("libctx")), "{names:?}");
}

#[test]
fn evcxr_writes_local_crates_as_path_below_dependencies() {
    let manifest = session_file("Cargo.toml");
    let (_, dependencies) = manifest.split_once("[dependencies]").expect("a table [dependencies]");
    let line = dependencies.lines().find(|line| line.starts_with("gpt_lab")).expect("a line for gpt_lab");
    let path = line.split_once("path = \"").and_then(|(_, rest)| rest.split_once('"')).expect(line).0;
    assert_eq!(Path::new(path).canonicalize().unwrap(), SEEN.session.root().join("gpt_lab").canonicalize().unwrap());
}

#[test]
fn rust_analyzer_asks_for_the_metadata_of_one_platform() {
    let start = cargos(&SEEN.session.start);
    let asked = start.iter().filter(|call| call.contains("metadata"));
    let filtered: Vec<_> = asked.filter(|call| call.contains("--filter-platform")).collect();
    assert!(filtered.iter().any(|call| !call.contains("--no-deps")), "{start:?}");
}

#[test]
fn rust_analyzer_takes_the_standard_library_of_rust_src_path_while_it_has_a_core() {
    assert!(!SEEN.session.dir().join("rust-src").exists(), "it is there for the start alone");
    assert_eq!(SEEN.binding.failure(), &Value::Null, "the types of the variables were found without it");
}

#[test]
fn the_generated_store_of_variables_is_where_ours_replaces_it() {
    let source = &SEEN.binding.source;
    assert!(source.contains("variables: Vec<(String, Box<dyn std::any::Any>)>,"), "{source}");
    assert!(!source.contains("HashMap<String, Box<dyn std::any::Any"), "{source}");
}

#[test]
fn the_generated_code_touches_each_variable_on_lines_of_a_known_form() {
    for kind in ["let count = ", "check_variable::<", "put_variable::<"] {
        assert!(SEEN.value.source.contains(kind), "{kind}: {}", SEEN.value.source);
    }
    let cell = SEEN.idle.source.split_once("pub extern \"C\" fn run_user_code_").expect("the function of a cell").1;
    assert!(!cell.contains("stringify!(count)") && !cell.contains("stringify!(text)"), "{cell}");
    assert!(cell.contains("put_variable::<u8>(stringify!(other)"), "{cell}");
}

#[test]
fn a_misspelt_name_is_compiled_again_beside_all_variables() {
    let failure = SEEN.misspelt.failure();
    assert_eq!(failure["ename"], "error[E0425]");
    assert!(failure["traceback"].to_string().contains("count"), "the right name is proposed: {failure}");
}

#[test]
fn the_generated_conversion_of_errors_is_where_we_report_the_question_mark() {
    assert!(SEEN.question.source.contains("#[track_caller] fn from(error: T)"), "{}", SEEN.question.source);
    let failure = SEEN.question.failure();
    assert_eq!(failure["ename"], "ParseIntError");
    assert!(failure["traceback"].to_string().contains("line 2"), "{failure}");
}

#[test]
fn the_generated_function_ends_where_we_flush() {
    let end = "std::mem::forget(std::io::Write::flush(&mut std::io::stdout())); evcxr_variable_store\n}";
    assert!(SEEN.binding.source.contains(end), "{}", SEEN.binding.source);
}

#[test]
fn the_generated_display_of_a_value_is_where_we_announce_it() {
    assert!(SEEN.value.source.contains(").evcxr_lab_mark().evcxr_display();"), "{}", SEEN.value.source);
    assert_eq!(SEEN.value.of("display").len(), 0, "the value is no other display");
}

#[test]
fn a_format_of_the_learners_own_is_evcxrs_to_apply() {
    assert_eq!(SEEN.formatted.value(), Some("[\n    1,\n]"));
}

#[test]
fn evcxr_marks_a_panic_and_keeps_variables() {
    let failure = SEEN.panic.failure();
    assert_eq!((failure["ename"].as_str(), failure["evalue"].as_str()), (Some("panic"), Some("boom")));
    assert!(failure["traceback"].to_string().contains("line 2"), "{failure}");
    assert_eq!(SEEN.input.failure(), &Value::Null);
}

#[test]
fn evcxr_asks_for_input_on_a_marked_line() {
    let requests = SEEN.input.of("input_request");
    assert_eq!(requests.len(), 1);
    assert_eq!((&requests[0]["prompt"], &requests[0]["password"]), (&"Name: ".into(), &false.into()));
    assert_eq!(SEEN.input.value(), Some("\"Ada\""));
}

#[test]
fn a_variable_whose_type_is_defined_anew_is_lost_by_our_word() {
    assert_eq!(SEEN.redefined.failure(), &Value::Null);
    let said = SEEN.lost.of("text").iter().any(|message| message["text"].to_string().contains("point was redefined"));
    assert!(said, "{:?}", SEEN.lost.messages);
    assert_eq!(SEEN.lost.failure()["ename"], "error[E0425]");
}

#[test]
fn evcxr_says_in_known_words_that_the_compiler_was_silent() {
    let expected = "the compiler ended without saying why; nothing was run, all variables are kept";
    assert_eq!(SEEN.silent.failure()["evalue"], expected);
}

#[test]
fn evcxr_says_in_known_words_how_the_process_of_the_cells_ended() {
    let failure = SEEN.exit.failure();
    assert_eq!(failure["evalue"], "the process that runs the cells ended: exit status: 3");
    assert_eq!(SEEN.exit.messages.last().unwrap()["lost"], true);
    assert_eq!(SEEN.after.value(), Some("4"), "evcxr has started another process");
}
