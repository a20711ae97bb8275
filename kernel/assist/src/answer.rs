//! Questions and answers.

use crate::cargo;
use anyhow::{Context, Result, bail};
use evcxr::{CommandContext, EvalContext};
use serde::{Deserialize, Serialize};
use std::io::{BufRead, Write};
use std::os::unix::process::CommandExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// The argument before the folder, the second time.
const IN: &str = "--in";

/// A question about code, at a byte of it.
#[derive(Deserialize)]
struct Question {
    id: u64,
    kind: Kind,
    code: String,
    offset: usize,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Complete,
    Inspect,
}

/// An answer; byte offsets of the question's code.
#[derive(Serialize)]
struct Answer {
    id: u64,
    items: Vec<Item>,
    start: usize,
    end: usize,
    plain: Option<String>,
    html: Option<String>,
}

#[derive(Serialize)]
struct Item {
    text: String,
    label: String,
    kind: String,
}

/// Answers until standard input ends. The argument is the folder to work in; the process starts a second time in the
/// same place, with the environment that rust-analyzer needs, before there are threads.
pub fn serve() -> Result<ExitCode> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.as_slice() {
        [folder] => enter(Path::new(folder)),
        [flag, _folder] if flag == IN => work(),
        _ => bail!("usage: gpt_lab_assist FOLDER"),
    }
}

fn enter(folder: &Path) -> Result<ExitCode> {
    std::fs::create_dir_all(folder)?;
    let output = Command::new("rustc").args(["--print", "sysroot"]).output().context("there is no rustc")?;
    let sysroot = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    let mut again = Command::new(std::env::current_exe()?);
    again.args([IN.as_ref(), folder.as_os_str()]).envs(cargo::environment(folder, &sysroot)?);
    again.env("EVCXR_TMPDIR", folder.join("code")).env("EVCXR_CONFIG_DIR", folder.join("no-config"));
    std::fs::create_dir_all(folder.join("code"))?;
    Err(again.exec()).context("cannot start a second time")
}

fn work() -> Result<ExitCode> {
    let process = Command::new(std::env::current_exe()?);
    let started = EvalContext::with_subprocess_command(process).map_err(|error| anyhow::anyhow!("{error}"))?;
    let (context, outputs) = started;
    std::thread::spawn(move || outputs.stdout.iter().for_each(drop));
    std::thread::spawn(move || outputs.stderr.iter().for_each(drop));
    let mut context = CommandContext::with_eval_context(context);
    // The crates are there already; looking for newer ones would only take time.
    let _ = context.execute(":offline 1");
    for line in std::io::stdin().lock().lines() {
        let question: Question = serde_json::from_str(&line?)?;
        let id = question.id;
        let answer = catch_unwind(AssertUnwindSafe(|| answer(&mut context, &question)));
        let none = Answer { id, items: Vec::new(), start: 0, end: 0, plain: None, html: None };
        let mut text = serde_json::to_string(&answer.unwrap_or(none))?;
        text.push('\n');
        let mut out = std::io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()?;
    }
    Ok(ExitCode::SUCCESS)
}

fn answer(context: &mut CommandContext, Question { id, kind, code, offset }: &Question) -> Answer {
    let mut answer = Answer { id: *id, items: Vec::new(), start: *offset, end: *offset, plain: None, html: None };
    match kind {
        Kind::Complete => {
            if let Ok(found) = context.completions(code, *offset) {
                let items = found.completions.into_iter();
                answer.items = items.map(|c| Item { text: c.code, label: c.label, kind: c.kind.to_owned() }).collect();
                (answer.start, answer.end) = (found.start_offset, found.end_offset);
            }
        }
        Kind::Inspect => match context.hover_at(code, word_end(code, *offset)) {
            Ok((plain, html)) if plain != "No documentation found" => {
                (answer.plain, answer.html) = (Some(plain), Some(html));
            }
            _ => {}
        },
    }
    answer
}

/// The end of the word at a byte: evcxr looks at the text before the cursor and is to see the whole word.
fn word_end(code: &str, offset: usize) -> usize {
    let word = code[offset..].find(|c: char| !c.is_alphanumeric() && c != '_');
    offset + word.unwrap_or(code.len() - offset)
}
