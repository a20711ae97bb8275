//! `gpt-lab chat`: talk to a model.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use gpt_lab::chat::{Chat, load_judge};
use gpt_lab::gpt2::Gpt2;
use gpt_lab::{Error, Result};

use crate::lines::Lines;

const COMMANDS: &str = "  /voice NAME    let this voice answer        /all       ask all voices, side by side
  /memory N      remember N exchanges         /history   what was said
  /save FILE     write that to a file         /help      this list
  /quit          end (so does Ctrl+D)
  The arrow keys recall earlier lines, also those of earlier talks; Ctrl+R searches them.
";

fn notes() -> String {
    format!(
        "Without --model it is the model in the box with the voices that the lessons made: base, sft, bad_day, \
         dpo, ppo, grpo, and their judge.\n\nWhile talking:\n{COMMANDS}"
    )
}

/// Talk to a model in several voices
#[derive(Args)]
#[command(after_help = notes())]
pub struct Options {
    /// Folder with config.json, model.safetensors and a tokenizer's files
    #[arg(long, value_name = "FOLDER")]
    model: Option<PathBuf>,
    /// Voice made of adapters in PEFT's layout; may be given several times
    #[arg(long = "voice", value_name = "NAME=FOLDER[,…]", value_parser = voice)]
    voices: Vec<Voice>,
    /// Adapter of a score model on the same base, which scores each answer
    #[arg(long, value_name = "FOLDER")]
    judge: Option<PathBuf>,
    /// Number of earlier exchanges in the prompt
    #[arg(long, value_name = "N", default_value_t = 1)]
    memory: usize,
    /// Largest number of tokens in an answer
    #[arg(long, value_name = "N", default_value_t = 48)]
    max_new_tokens: usize,
    /// Draw the answers, more predictably below 1, less above; otherwise each token is the likeliest
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    temperature: Option<f64>,
    /// Seed of the draws: the same seed draws the same answers
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
}

#[derive(Clone)]
struct Voice {
    name: String,
    adapters: Vec<PathBuf>,
}

/// The voice that `NAME=FOLDER,FOLDER` describes.
fn voice(text: &str) -> std::result::Result<Voice, String> {
    match text.split_once('=') {
        Some((name, folders)) if !name.is_empty() && !folders.is_empty() => {
            Ok(Voice { name: name.into(), adapters: folders.split(',').map(PathBuf::from).collect() })
        }
        _ => Err("expected NAME=FOLDER".into()),
    }
}

/// Runs the command.
pub fn run(options: Options) -> Result<()> {
    let mut chat = match &options.model {
        Some(model) => Chat::load(model)?,
        None => Chat::of_the_lessons()?,
    };
    for voice in &options.voices {
        chat.add_voice(&voice.name, &voice.adapters)?;
    }
    if let Some(judge) = options.judge {
        let model = options.model.map_or_else(|| gpt_lab::assets::path("gpt2_box"), Ok)?;
        chat.set_judge(load_judge(&Gpt2::load(model)?, judge)?);
    }
    chat.memory = options.memory;
    chat.config.seed = options.seed;
    chat.config.max_new_tokens = options.max_new_tokens;
    if let Some(temperature) = options.temperature {
        (chat.config.temperature, chat.config.do_sample) = (temperature, true);
    }
    chat.config.validate()?;
    talk(chat)
}

/// Question, answer, question … until the input ends.
fn talk(chat: Chat) -> Result<()> {
    let voice = chat.voices().pop().expect("a chat has a voice");
    let mut talk = Talk { chat, voice };
    let mut lines = Lines::of_standard_input("chat")?;
    say(&format!("Voices: {}. You talk to {}; /help lists what else there is.\n", talk.voices(), talk.voice))?;
    while let Some(line) = lines.next()? {
        let line = line.trim();
        if matches!(line.split_whitespace().next(), Some("/quit" | "/exit")) {
            break;
        }
        // What goes wrong with one question ends that question, not the talk.
        if let Err(error) = talk.answer(line) {
            eprintln!("gpt-lab: {error}");
        }
    }
    Ok(())
}

/// A running talk.
struct Talk {
    chat: Chat,
    /// Name of the voice that answers.
    voice: String,
}

impl Talk {
    fn voices(&self) -> String {
        self.chat.voices().join(", ")
    }

    /// Answers a question or carries out a command.
    fn answer(&mut self, line: &str) -> Result<()> {
        let (command, value) = line.split_once(' ').unwrap_or((line, ""));
        match (command, value.trim()) {
            ("", _) => Ok(()),
            ("/help", _) => say(COMMANDS),
            ("/voice", name) => self.change_voice(name),
            ("/memory", number) => self.change_memory(number),
            ("/history", _) => say(&self.history()),
            ("/save", "") => say("/save needs the name of a file\n"),
            ("/save", file) => gpt_lab::write_atomically(file.as_ref(), self.history().as_bytes()),
            ("/all", "") => say("/all needs a question\n"),
            ("/all", question) => self.ask_all(question),
            (other, _) if other.starts_with('/') => say(&format!("there is no command {other}; /help lists them\n")),
            _ => self.ask(line),
        }
    }

    fn change_voice(&mut self, name: &str) -> Result<()> {
        if !self.chat.voices().iter().any(|one| one == name) {
            return say(&format!("there is no voice {name:?}; there are {}\n", self.voices()));
        }
        self.voice = name.to_string();
        Ok(())
    }

    fn change_memory(&mut self, number: &str) -> Result<()> {
        let Ok(number) = number.parse() else {
            return say(&format!("/memory is {number:?}, expected a number\n"));
        };
        self.chat.memory = number;
        Ok(())
    }

    /// Prints one answer while it is generated, then its score.
    fn ask(&mut self, question: &str) -> Result<()> {
        let mut told = say(&format!("{}:", self.voice));
        let exchange = self.chat.ask(&self.voice, question, |token| {
            if told.is_ok() {
                told = say(&token.text);
            }
        })?;
        told?;
        say(&exchange.score.map_or("\n".into(), |score| format!("   (score {score:+.2})\n")))
    }

    /// Prints the answers of all voices.
    fn ask_all(&mut self, question: &str) -> Result<()> {
        let answers: Vec<String> = self.chat.ask_all(question)?.iter().map(|one| format!("{one}\n")).collect();
        say(&answers.concat())
    }

    fn history(&self) -> String {
        self.chat.said.iter().map(|one| format!("You: {}\n{one}\n", one.question)).collect()
    }
}

fn say(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    written.map_err(|e| Error::io("standard output", "writing", e))
}
