//! `gpt-lab chat`: talk to a model.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use gpt_lab::chat::{Chat, load_judge};
use gpt_lab::gpt2::Gpt2;
use lexopt::prelude::*;

use crate::lines::Lines;
use crate::{Failure, Outcome};

const HELP: &str = "\
gpt-lab chat: talk to a model in several voices

Usage: gpt-lab chat [OPTIONS]

Without --model it is the model in the box with the voices that the lessons made: base, sft, dpo, ppo, and their judge.

Options:
  --model FOLDER           A folder with config.json, model.safetensors and a tokenizer's files
  --voice NAME=FOLDER[,…]  A voice made of adapters in PEFT's layout; may be given several times
  --judge FOLDER           An adapter of a score model on the same base, which gives each answer a score
  --memory N               So many exchanges before the question stand in the prompt (default: 1)
  --max-new-tokens N       At most so many tokens an answer (default: 48)
  --temperature X          Draw the answers, surer below 1, wilder above; otherwise each token is the likeliest
  --seed N                 The same seed draws the same answers (default: 0)

While talking:
  /voice NAME    let this voice answer        /all       ask all voices, side by side
  /memory N      remember N exchanges         /history   what was said
  /save FILE     write that to a file         /help      this list
  /quit          end (so does Ctrl+D)
  The arrow keys bring back earlier lines, also those of earlier talks; Ctrl+R looks for one.
";

/// Runs the command.
pub fn run(mut parser: lexopt::Parser) -> Outcome {
    let (mut model, mut judge) = (None::<PathBuf>, None::<PathBuf>);
    let mut voices: Vec<(String, Vec<PathBuf>)> = Vec::new();
    let (mut memory, mut longest, mut temperature, mut seed) = (1, None, None, 0);
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => {
                print!("{HELP}");
                return Ok(ExitCode::SUCCESS);
            }
            Long("model") => model = Some(parser.value()?.into()),
            Long("judge") => judge = Some(parser.value()?.into()),
            Long("voice") => voices.push(voice(&parser.value()?.string()?)?),
            Long("memory") => memory = parser.value()?.parse()?,
            Long("max-new-tokens") => longest = Some(parser.value()?.parse()?),
            Long("temperature") => temperature = Some(parser.value()?.parse()?),
            Long("seed") => seed = parser.value()?.parse()?,
            other => return Err(other.unexpected().into()),
        }
    }
    let mut chat = match &model {
        Some(model) => Chat::load(model)?,
        None => Chat::of_the_lessons()?,
    };
    for (name, folders) in &voices {
        chat.add_voice(name, folders)?;
    }
    if let Some(judge) = judge {
        let model = model.map_or_else(|| gpt_lab::assets::path("gpt2_box"), Ok)?;
        chat.set_judge(load_judge(&Gpt2::load(model)?, judge)?);
    }
    chat.memory = memory;
    chat.config.seed = seed;
    chat.config.max_new_tokens = longest.unwrap_or(chat.config.max_new_tokens);
    if let Some(temperature) = temperature {
        (chat.config.temperature, chat.config.do_sample) = (temperature, true);
    }
    chat.config.validate()?;
    talk(chat)
}

/// `NAME=FOLDER,FOLDER`
fn voice(text: &str) -> Result<(String, Vec<PathBuf>), Failure> {
    match text.split_once('=') {
        Some((name, folders)) if !name.is_empty() && !folders.is_empty() => {
            Ok((name.into(), folders.split(',').map(PathBuf::from).collect()))
        }
        _ => Err(Failure::Usage(format!("--voice is {text:?}, expected NAME=FOLDER"))),
    }
}

/// Question, answer, question … until the input ends.
fn talk(mut chat: Chat) -> Outcome {
    let mut voice = chat.voices().pop().expect("a chat has a voice");
    let mut lines = Lines::of_standard_input("chat")?;
    say(&format!("Voices: {}. You talk to {voice}; /help lists what else there is.\n", chat.voices().join(", ")))?;
    while let Some(line) = lines.next()? {
        let line = line.trim();
        let (command, value) = line.split_once(' ').unwrap_or((line, ""));
        let outcome = match (command, value.trim()) {
            ("", _) => Ok(()),
            ("/quit" | "/exit", _) => return Ok(ExitCode::SUCCESS),
            ("/help", _) => say(HELP.split_once("While talking:\n").map_or(HELP, |(_, commands)| commands)),
            ("/voice", name) if chat.voices().iter().any(|one| one == name) => {
                voice = name.to_string();
                Ok(())
            }
            ("/voice", name) => say(&format!("there is no voice {name:?}; there are {}\n", chat.voices().join(", "))),
            ("/memory", n) => match n.parse() {
                Ok(n) => {
                    chat.memory = n;
                    Ok(())
                }
                Err(_) => say(&format!("/memory is {n:?}, expected a number\n")),
            },
            ("/history", _) => say(&history(&chat)),
            ("/save", "") => say("/save needs the name of a file\n"),
            ("/save", file) => {
                gpt_lab::write_atomically(file.as_ref(), history(&chat).as_bytes()).map_err(Failure::from)
            }
            ("/all", question) if !question.is_empty() => side_by_side(&mut chat, question),
            ("/all", _) => say("/all needs a question\n"),
            (other, _) if other.starts_with('/') => say(&format!("there is no command {other}; /help lists them\n")),
            _ => answer(&mut chat, &voice, line),
        };
        // What goes wrong with one question ends that question, not the talk.
        match outcome {
            Err(Failure::Lab(error)) => eprintln!("gpt-lab: {error}"),
            other => other?,
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// One answer, as it is made, then its score.
fn answer(chat: &mut Chat, voice: &str, question: &str) -> Result<(), Failure> {
    let mut told = say(&format!("{voice}:"));
    let exchange = chat.ask(voice, question, |token| {
        if told.is_ok() {
            told = say(&token.text);
        }
    })?;
    told?;
    say(&exchange.score.map_or("\n".into(), |score| format!("   (score {score:+.2})\n")))
}

fn side_by_side(chat: &mut Chat, question: &str) -> Result<(), Failure> {
    let answers: Vec<String> = chat.ask_all(question)?.iter().map(|one| format!("{one}\n")).collect();
    say(&answers.concat())
}

fn history(chat: &Chat) -> String {
    chat.said.iter().map(|one| format!("You: {}\n{one}\n", one.question)).collect()
}

fn say(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    written.map_err(|e| gpt_lab::Error::io("standard output", "writing", e).into())
}
