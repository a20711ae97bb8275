//! Completion and documentation: asked of a program of its own (`kernel/assist`), which is started at the first
//! question and ended when nobody asks any more. Until it knows an answer, the session's own names have to do.

use super::notebook::{Notebook, short};
use super::reply::Reply;
use crate::code::split::{self, Part};
use crate::code::types;
use crate::compile::kit::ALIAS;
use crate::protocol::{Bundle, Completion, FromEngine};
use crate::sys::procs;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

/// The program, beside this one.
const PROGRAM: &str = "gpt_lab_assist";
/// Time after which the program ends if nobody asks.
const IDLE: Duration = Duration::from_secs(600);
/// Time for an answer; the first takes some seconds.
const PATIENCE: Duration = Duration::from_secs(15);

/// A question of an editor.
pub struct Question {
    /// Its number.
    pub id: u64,
    /// True for documentation, false for proposals.
    pub is_documentation: bool,
    /// All that the code refers to.
    pub before: String,
    /// The code.
    pub code: String,
    /// The byte in it.
    pub offset: usize,
    /// Proposals from what the session knows itself.
    pub own: Vec<Completion>,
}

#[derive(Serialize)]
struct Asked<'a> {
    id: u64,
    kind: &'a str,
    code: String,
    offset: usize,
}

#[derive(Deserialize)]
struct Answer {
    id: u64,
    items: Vec<Completion>,
    start: usize,
    end: usize,
    plain: Option<String>,
    html: Option<String>,
}

/// The way to the program.
pub struct Assist(Sender<Question>);

impl Assist {
    /// A way to the program, which works in this folder and is not started yet.
    pub fn new(folder: PathBuf, reply: Reply) -> Assist {
        let (sender, questions) = channel();
        std::thread::spawn(move || serve(&questions, &folder, &reply));
        Assist(sender)
    }

    /// Answers a question, sooner or later.
    pub fn ask(&self, question: Question) {
        let _ = self.0.send(question);
    }
}

struct Program {
    child: Child,
    stdin: ChildStdin,
    answers: Receiver<Answer>,
}

impl Drop for Program {
    fn drop(&mut self) {
        procs::kill_descendants(self.child.id() as i32, None);
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn serve(questions: &Receiver<Question>, folder: &std::path::Path, reply: &Reply) {
    let mut program: Option<Program> = None;
    loop {
        let question = match questions.recv_timeout(IDLE) {
            Ok(question) => question,
            Err(RecvTimeoutError::Timeout) => {
                program = None;
                continue;
            }
            Err(RecvTimeoutError::Disconnected) => return,
        };
        if program.is_none() {
            program = start(folder);
        }
        let answer = program.as_mut().map(|program| program.ask(&question));
        if let Some(Err(())) = answer {
            program = None;
        }
        reply.send(&question.answer(answer.and_then(Result::ok).flatten()));
    }
}

fn start(folder: &std::path::Path) -> Option<Program> {
    let path = std::env::current_exe().ok()?.with_file_name(PROGRAM);
    let mut command = Command::new(path);
    command.arg(folder).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().ok()?;
    let (stdin, stdout) = (child.stdin.take()?, child.stdout.take()?);
    let (sender, answers) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if let Ok(answer) = serde_json::from_str(&line)
                && sender.send(answer).is_err()
            {
                break;
            }
        }
    });
    Some(Program { child, stdin, answers })
}

impl Program {
    /// The program's answer, if it comes in time; an error if the program is gone.
    fn ask(&mut self, question: &Question) -> Result<Option<Answer>, ()> {
        let kind = if question.is_documentation { "inspect" } else { "complete" };
        let code = format!("{}{}", question.before, question.code);
        let asked = Asked { id: question.id, kind, code, offset: question.before.len() + question.offset };
        let mut line = serde_json::to_string(&asked).map_err(drop)?;
        line.push('\n');
        self.stdin.write_all(line.as_bytes()).map_err(drop)?;
        let end = Instant::now() + PATIENCE;
        loop {
            match self.answers.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(answer) if answer.id == question.id => return Ok(Some(answer)),
                // The answer to a question that nobody waits for any more.
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => return Ok(None),
                Err(RecvTimeoutError::Disconnected) => return Err(()),
            }
        }
    }
}

impl Question {
    fn answer(self, found: Option<Answer>) -> FromEngine {
        let id = self.id;
        if self.is_documentation {
            let formats = |answer: Answer| -> Option<Bundle> {
                let formats = [("text/plain", answer.plain?), ("text/html", answer.html?)];
                Some(formats.into_iter().map(|(mime, text)| (mime.to_owned(), Value::String(text))).collect())
            };
            return FromEngine::Inspected { id, data: found.and_then(formats) };
        }
        let shift = self.before.len();
        match found.filter(|answer| !answer.items.is_empty() && answer.start >= shift) {
            Some(Answer { items, start, end, .. }) => {
                let items = distinct(items);
                FromEngine::Completions { id, items, start: start - shift, end: end - shift }
            }
            None => {
                let start = word_start(&self.code, self.offset);
                FromEngine::Completions { id, items: self.own, start, end: self.offset }
            }
        }
    }
}

/// Each proposal once, and none of generated code.
fn distinct(items: Vec<Completion>) -> Vec<Completion> {
    let mut seen = std::collections::HashSet::new();
    let is_ours = |item: &Completion| item.text.contains("evcxr_") || item.text.contains("Evcxr");
    items.into_iter().filter(|item| !is_ours(item) && seen.insert((item.text.clone(), item.label.clone()))).collect()
}

fn word_start(code: &str, offset: usize) -> usize {
    let word = code[..offset].rfind(|c: char| !c.is_alphanumeric() && c != '_' && c != ':');
    word.map_or(0, |at| at + code[at..].chars().next().map_or(1, char::len_utf8))
}

/// A question about code, with all that it refers to: crates, items, variables. Commands are only read, never obeyed.
pub fn question(
    notebook: &mut Notebook,
    dependencies: &[String],
    id: u64,
    is_documentation: bool,
    code: &str,
    offset: usize,
) -> Question {
    let own = own_proposals(notebook, code, offset);
    let mut before: String = dependencies.iter().map(|line| format!(":dep {line}\n")).collect();
    before += &notebook.items_as_text();
    for (name, variable) in notebook.variables.clone() {
        let written = types::written(&variable.type_name, &mut notebook.type_names);
        let written = written.map(|written| written.replace(&format!("::{ALIAS}"), "gpt_lab::"));
        let is_mut = if variable.is_mut { "mut " } else { "" };
        if let Some(written) = written {
            before += &format!("let {is_mut}{name}: {written} = todo!();\n");
        }
    }
    Question { id, is_documentation, before, code: without_commands(code), offset, own }
}

/// The code with blanks in the place of its commands, so that asking does not obey them.
fn without_commands(code: &str) -> String {
    let mut text = code.as_bytes().to_vec();
    for part in split::parts(code) {
        if let Part::Command(range) | Part::Shell(range) | Part::Magic(range) = part {
            text[range].fill(b' ');
        }
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// The session's own names that begin like the word before a byte.
fn own_proposals(notebook: &Notebook, code: &str, offset: usize) -> Vec<Completion> {
    let begin = &code[word_start(code, offset)..offset];
    if begin.is_empty() || code[..word_start(code, offset)].trim_end().ends_with('.') {
        return Vec::new();
    }
    if begin.starts_with(':') && !begin.starts_with("::") {
        let names = super::commands::names().into_iter().filter(|name| name.starts_with(begin));
        return names
            .map(|name| Completion { text: name.to_owned(), label: name.to_owned(), kind: "command".to_owned() })
            .collect();
    }
    let variables = notebook.variables.iter();
    let variables =
        variables.map(|(name, variable)| (name.clone(), format!("{name}: {}", short(&variable.type_name)), "Variable"));
    let items = notebook.items.iter().flat_map(|item| {
        item.declared().map(|name| (name.to_owned(), item.title.clone(), "Function")).collect::<Vec<_>>()
    });
    let found = variables.chain(items).filter(|(name, ..)| name.starts_with(begin));
    let found = found.map(|(text, label, kind)| Completion { text, label, kind: kind.to_owned() });
    distinct(found.collect())
}
