//! Commands, obeyed.

use super::progress::Progress;
use super::{Loss, Outcome, Session};
use crate::cells::ToCells;
use crate::code::Range;
use crate::compile::report::Place;
use crate::engine::commands;
use crate::engine::commands::Command;
use crate::engine::dependencies::{Added, Context as DepContext};
use crate::failure::Failure;
use crate::protocol::{Bundle, FromEngine};
use crate::sys::lock;
use serde_json::Value;
use std::path::PathBuf;
use std::process::Command as Program;

impl Session {
    pub(super) fn command(&mut self, number: usize, range: Range, is_last: bool) -> Outcome {
        let line = lock(&self.notebook).texts[number][range.clone()].to_owned();
        let understood = commands::command(&line, &mut lock(&self.notebook));
        let command = understood.map_err(|words| vec![self.failure_at("error", &words, number, range.clone())])?;
        match command {
            Command::Say(text, html) => self.show(text, html, is_last),
            Command::Dep(line) => {
                return self.depend(&line).map_err(|mut failures| {
                    let place = Place { cell: number, range };
                    let lines = lock(&self.notebook).cells().excerpt(&place, "");
                    failures
                        .iter_mut()
                        .take(1)
                        .for_each(|failure| failure.traceback.splice(1..1, lines.clone()).for_each(drop));
                    failures
                });
            }
            Command::Restart => self.restart(false)?,
            Command::Clear => self.restart(true)?,
            Command::Env(name, value) => self.set_variable(&name, &value)?,
            Command::BuildEnv(name, value) => {
                self.compiler.variables.push((name.clone(), value.clone()));
                self.dependencies.variables.push((name, value));
            }
            Command::Offline(offline) => {
                self.dependencies.offline = offline;
                self.show(format!("Offline mode: {offline}"), None, is_last);
            }
            Command::Optimise(level) => {
                let default = if self.compiler.opt_level == "1" { "3" } else { "1" };
                self.compiler.opt_level = if level.is_empty() { default.to_owned() } else { level };
                self.show(format!("Optimization: {}", self.compiler.opt_level), None, is_last);
            }
            Command::Timing => {
                self.timing = !self.timing;
                self.show(format!("Timing: {}", self.timing), None, is_last);
            }
            Command::Explain => self.explain(is_last)?,
            Command::LastErrors => {
                let text = serde_json::to_string_pretty(&self.last_errors).unwrap_or_default();
                self.show(text, None, is_last);
            }
            Command::CompileDir => self.show(self.compiler.folder.display().to_string(), None, is_last),
            Command::ShowDeps => {
                let lines = self.dependencies.lines();
                let own = format!("gpt_lab = {{ path = {:?} }}", self.layout.gpt_lab().display().to_string());
                self.show([vec![own], lines].concat().join("\n"), None, is_last);
            }
            Command::Doc(name) => {
                let words = format!("the documentation of {name:?} is shown by Shift-Tab behind the name");
                self.show(words, None, is_last);
            }
            Command::Quit => std::process::exit(0),
        }
        Ok(())
    }

    pub(super) fn show(&self, text: String, html: Option<String>, is_result: bool) {
        let mut data = Bundle::from_iter([("text/plain".to_owned(), Value::String(text))]);
        data.extend(html.map(|html| ("text/html".to_owned(), Value::String(html))));
        self.reply.send(&if is_result { FromEngine::Result { data } } else { FromEngine::Display { data } });
    }

    /// Adds a crate.
    pub(super) fn depend(&mut self, line: &str) -> Outcome {
        let directory = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
        let context = DepContext {
            layout: &self.layout,
            base: &self.base,
            kit: &self.compiler.kit,
            session: &self.control.place.dir,
            directory: &directory,
        };
        let mut bar = Progress::new(&self.reply);
        let added = self.dependencies.add(line, &context, &mut |line| bar.line(line));
        bar.end();
        match added {
            Ok(Added::Known) => Ok(()),
            Ok(Added::Kit(kit)) => {
                let mut notebook = lock(&self.notebook);
                let before = self.compiler.kit.called();
                for (name, called) in kit.called() {
                    if before.get(&name) != Some(&called) {
                        notebook.type_names.add_crate(&name, &called);
                    }
                }
                self.compiler.kit = *kit;
                notebook.settings.tokio = self.compiler.kit.named.contains_key("tokio");
                Ok(())
            }
            Err(_) if self.control.is_stopped() => {
                Err(vec![Failure::new("Interrupted", "stopped; the session is as it was before")])
            }
            Err(words) => Err(vec![Failure::new("error", words)]),
        }
    }

    /// Builds the learner's own crates again if they have changed; returns the lines about variables that are lost by
    /// it.
    pub(super) fn refresh(&mut self) -> Result<Vec<Loss>, Vec<Failure>> {
        let directory = PathBuf::from("/");
        let context = DepContext {
            layout: &self.layout,
            base: &self.base,
            kit: &self.compiler.kit,
            session: &self.control.place.dir,
            directory: &directory,
        };
        let mut bar = Progress::new(&self.reply);
        let built = self.dependencies.refresh(&context, &mut |line| bar.line(line));
        let built = built.map_err(|words| vec![Failure::new("error", words)])?;
        let Some((kit, names)) = built else { return Ok(Vec::new()) };
        bar.end();
        self.compiler.kit = kit;
        let lost = lock(&self.notebook).lose_crates(&names);
        self.process.send(&ToCells::Forget { names: lost.iter().map(|(name, _)| name.clone()).collect() }, None);
        Ok(lost)
    }

    pub(super) fn restart(&mut self, with_items: bool) -> Outcome {
        self.process.kill();
        self.process.wait();
        let started = self.restart_process();
        let mut notebook = lock(&self.notebook);
        if with_items {
            notebook.clear();
        } else {
            notebook.variables.clear();
            notebook.gone.clear();
        }
        started.map_err(|error| vec![Failure::new("KernelNotReady", format!("{error:#}"))])
    }

    /// Sets an environment variable for the cells, from within: the process has threads of its own.
    pub(super) fn set_variable(&mut self, name: &str, value: &str) -> Outcome {
        let code = format!("unsafe {{ ::std::env::set_var({name:?}, {value:?}) }};");
        let number = lock(&self.notebook).add(&code, "the kernel's own code");
        self.rust(number, 0..code.len(), false, true, true)
    }

    pub(super) fn explain(&self, is_last: bool) -> Outcome {
        let number = self
            .last_errors
            .first()
            .and_then(|failure| Some(failure.ename.split_once('[')?.1.trim_end_matches(']').to_owned()));
        let number = number.filter(|number| number.starts_with('E'));
        let Some(number) = number else {
            self.show("the latest error has no number to explain".to_owned(), None, is_last);
            return Ok(());
        };
        let output = Program::new(&self.compiler.kit.rustc).args(["--explain", &number]).output();
        let text = output
            .map_or_else(|error| error.to_string(), |output| String::from_utf8_lossy(&output.stdout).into_owned());
        self.show(text.trim().to_owned(), None, is_last);
        Ok(())
    }

    pub(super) fn magic(&self, number: usize, range: Range) -> Failure {
        let line = lock(&self.notebook).texts[number][range.clone()].to_owned();
        let hint = if line.contains("time") {
            "`:timing` shows how long cells take"
        } else if line.contains("pip") || line.contains("conda") {
            "crates come with `:dep NAME = \"VERSION\"`"
        } else {
            "`:help` lists the commands of this kernel"
        };
        self.failure_at("error", &format!("lines with % are commands of IPython; {hint}"), number, range)
    }
}
