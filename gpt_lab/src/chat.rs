//! Talking to one model in several voices.
//!
//! A *voice* is a choice of adapters: none is the base model as it came, one more is what fine-tuning made of it, and
//! so on. All voices share one model; to change the voice is to switch adapters. Earlier exchanges can stand in the
//! prompt: a model has no other memory.

use std::path::{Path, PathBuf};

use crate::data::Comparison;
use crate::eval::{end_tokens, score_answers};
use crate::generate::{GenerateConfig, Token, generate_with};
use crate::gpt2::Gpt2;
use crate::lora::{Lora, merged};
use crate::reward::ScoreModel;
use crate::text::AnyTokenizer;
use crate::{Error, Result, assets};

/// The voices of the lessons, each with the lesson that made it.
const VOICES: [(&str, &str); 5] = [
    ("sft", "gpt2_lora_optimum"),
    ("bad_day", "gpt2_dpo"),
    ("dpo", "gpt2_dpo"),
    ("ppo", "gpt2_ppo"),
    ("grpo", "gpt2_grpo"),
];

/// One model, its voices, and the exchanges so far.
#[derive(Debug, Clone)]
pub struct Chat {
    lora: Lora<Gpt2>,
    tokenizer: AnyTokenizer,
    voices: Vec<Voice>,
    judge: Option<ScoreModel>,
    /// The settings by which answers are generated.
    pub config: GenerateConfig,
    /// Number of earlier exchanges that stand in the prompt before the question.
    pub memory: usize,
    /// All exchanges, oldest first.
    pub said: Vec<Exchange>,
}

/// A way of answering.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Voice {
    /// Its name for the learner.
    pub name: String,
    /// The adapters that act, by the names they have in the model.
    pub adapters: Vec<String>,
}

/// A question and its answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Exchange {
    /// The voice that answered.
    pub voice: String,
    /// The question.
    pub question: String,
    /// The answer.
    pub answer: String,
    /// The judge's score, if there is a judge.
    pub score: Option<f32>,
}

/// `DPO: Paris is the capital of France. (score +1.32)`
impl std::fmt::Display for Exchange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.voice, self.answer)?;
        self.score.map_or(Ok(()), |score| write!(f, " (score {score:+.2})"))
    }
}

impl Chat {
    /// A model from a folder in Hugging Face's layout, with its tokenizer; its only voice is `base`.
    ///
    /// # Errors
    /// Those of [`Gpt2::load`] and [`AnyTokenizer::load`].
    pub fn load(model: impl AsRef<Path>) -> Result<Self> {
        Self::new(&Gpt2::load(&model)?, AnyTokenizer::load(&model)?)
    }

    /// A model of one's own.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if it carries adapters already.
    pub fn new(model: &Gpt2, tokenizer: AnyTokenizer) -> Result<Self> {
        let eos_token_id = Some(end_tokens(model, &tokenizer));
        Ok(Chat {
            lora: Lora::new(model)?,
            tokenizer,
            voices: vec![Voice { name: "base".into(), adapters: Vec::new() }],
            judge: None,
            config: GenerateConfig { max_new_tokens: 48, eos_token_id, ..Default::default() },
            memory: 0,
            said: Vec::new(),
        })
    }

    /// The model in the box with a voice for every stage of the lessons, `base`, `sft`, `bad_day`, `dpo`, `ppo` and
    /// `grpo`, and their judge. The results of the learner's own runs ([`assets::lesson`]) come before those that the
    /// lab brought along.
    ///
    /// # Errors
    /// [`Error::FileNotFound`] where the lab's files are not; those of loading.
    pub fn of_the_lessons() -> Result<Self> {
        let mut chat = Self::load(assets::path("gpt2_box")?)?;
        for (voice, lesson) in VOICES {
            let folder = assets::lesson(lesson)?;
            let stages = match voice {
                "sft" => vec!["masked"],
                "bad_day" => vec!["masked", "bad_day"],
                _ => vec!["masked", "bad_day", voice],
            };
            chat.add_voice(voice, &stages.iter().map(|stage| folder.join(stage)).collect::<Vec<_>>())?;
        }
        let folder = assets::lesson("gpt2_reward_modeling")?;
        let body = merged(&Gpt2::load(assets::path("gpt2_box")?)?, &[folder.join("masked")])?;
        chat.set_judge(load_judge(&body, folder.join("judge"))?);
        Ok(chat)
    }

    /// Adds a voice made of adapters from folders in PEFT's layout; their updates add up. Folders that another voice
    /// uses are not loaded again.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a name that is taken; those of [`Adapters::load`](crate::lora::Adapters::load).
    /// The chat is then as it was.
    pub fn add_voice(&mut self, name: &str, folders: &[PathBuf]) -> Result<()> {
        if self.voices.iter().any(|voice| voice.name == name) {
            return Err(Error::argument("name", format!("{name:?}"), "a name that no other voice has"));
        }
        let mut adapters = Vec::new();
        for folder in folders {
            // One adapter for each folder, however often it is used.
            let adapter = folder.to_string_lossy().replace(['.', '/', '\\'], ":").replace("lora_", "lora:");
            if !self.lora.names().contains(&adapter) {
                self.lora.load(&adapter, folder)?;
            }
            adapters.push(adapter);
        }
        self.lora.activate(&adapters)?;
        self.voices.push(Voice { name: name.into(), adapters });
        Ok(())
    }

    /// Sets the model that gives the scores. Its body must be a model of its own, not a clone of the one that talks.
    pub fn set_judge(&mut self, judge: ScoreModel) {
        self.judge = Some(judge);
    }

    /// The names of the voices, in the order in which they were added.
    pub fn voices(&self) -> Vec<String> {
        self.voices.iter().map(|voice| voice.name.clone()).collect()
    }

    /// The prompt that a voice gets: the last exchanges with it, then the question.
    pub fn prompt(&self, voice: &str, question: &str) -> String {
        let mut before: Vec<&Exchange> =
            self.said.iter().rev().filter(|one| one.voice == voice).take(self.memory).collect();
        before.reverse();
        let told = |one: &Exchange| format!("{}{}\n\n", Comparison::prompt(&one.question), one.answer);
        before.into_iter().map(told).collect::<String>() + &Comparison::prompt(question)
    }

    /// The answer of a voice; `each` receives every token as it is made. The exchange is noted in [`said`](Self::said).
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a voice that there is not; those of generation.
    pub fn ask(&mut self, voice: &str, question: &str, mut each: impl FnMut(&Token)) -> Result<Exchange> {
        self.ask_with(voice, question, &mut each)
    }

    fn ask_with(&mut self, voice: &str, question: &str, each: &mut dyn FnMut(&Token)) -> Result<Exchange> {
        let Some(found) = self.voices.iter().find(|one| one.name == voice) else {
            let expected = format!("one of {}", self.voices().join(", "));
            return Err(Error::argument("voice", format!("{voice:?}"), expected));
        };
        self.lora.activate(&found.adapters)?;
        let prompt = self.prompt(voice, question);
        // Other dice for every exchange, or all questions would share one row of them.
        let seed = self.config.seed.wrapping_add(self.said.len() as u64);
        let config = GenerateConfig { seed, ..self.config.clone() };
        let written = generate_with(self.lora.model(), &self.tokenizer, &prompt, &config, each)?;
        let answer = first_answer(&written.continuation());
        let score = match &self.judge {
            Some(judge) => Some(score_answers(judge, &self.tokenizer, question, &[&answer])?[0]),
            None => None,
        };
        let exchange = Exchange { voice: voice.into(), question: question.into(), answer, score };
        self.said.push(exchange.clone());
        Ok(exchange)
    }

    /// The answers of all voices to one question.
    ///
    /// # Errors
    /// Those of [`Chat::ask`].
    pub fn ask_all(&mut self, question: &str) -> Result<Vec<Exchange>> {
        self.voices().iter().map(|voice| self.ask_with(voice, question, &mut |_| {})).collect()
    }
}

/// A model that has never learnt to stop goes on with a question of its own: what belongs to the answer ends before
/// that.
fn first_answer(text: &str) -> String {
    text.split("\n###").next().unwrap_or_default().trim().to_string()
}

/// A score model on this body from an adapter in PEFT's layout, merged into its weights.
///
/// # Errors
/// Those of [`Adapters::load`](crate::lora::Adapters::load).
pub fn load_judge(body: &Gpt2, folder: impl AsRef<Path>) -> Result<ScoreModel> {
    judge_from(body, folder.as_ref())
}

fn judge_from(body: &Gpt2, folder: &Path) -> Result<ScoreModel> {
    let lora = Lora::new(&ScoreModel::new(body, 0)?)?;
    lora.load("judge", folder)?;
    lora.merge_and_unload()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpt2::Gpt2Config;
    use crate::lora::LoraConfig;
    use crate::text::{CharTokenizer, Tokenizer};

    fn chat() -> Chat {
        let tokenizer = AnyTokenizer::Char(CharTokenizer::ascii());
        let config = Gpt2Config {
            vocab_size: tokenizer.vocab_size(),
            n_positions: 96,
            n_embd: 16,
            n_layer: 1,
            n_head: 2,
            initializer_range: 0.3,
            ..Default::default()
        };
        let mut chat = Chat::new(&Gpt2::new(&config, 1).unwrap(), tokenizer).unwrap();
        chat.config.max_new_tokens = 6;
        chat
    }

    /// An adapter that moves the model visibly.
    fn adapter(chat: &Chat, folder: &Path, seed: u64) -> PathBuf {
        let model = Gpt2::new(&chat.lora.model().config, 1).unwrap();
        let lora = Lora::new(&model).unwrap();
        lora.add("default", &LoraConfig { r: 2, ..Default::default() }, seed).unwrap();
        for param in lora.params().iter().filter(|param| param.name().contains("lora_B")) {
            let noise = crate::Rng::new(seed).normal_tensor(0.0, 2.0, param.dims()).unwrap();
            param.var().set(&noise).unwrap();
        }
        lora.save("default", folder).unwrap();
        folder.to_path_buf()
    }

    #[test]
    fn voices_differ_and_the_base_stays() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let mut chat = chat();
        let before = chat.ask("base", "a?", |_| {}).unwrap().answer;
        let (one, two) = (adapter(&chat, &root.join("one.x"), 2), adapter(&chat, &root.join("lora_two"), 3));
        chat.add_voice("one", std::slice::from_ref(&one)).unwrap();
        chat.add_voice("both", &[one, two]).unwrap();
        assert_eq!(chat.lora.names().len(), 2, "a folder is loaded once");
        let mut streamed = String::new();
        let answer = chat.ask("both", "a?", |token| streamed.push_str(&token.text)).unwrap().answer;
        assert_eq!(streamed.trim(), answer);
        let all = chat.ask_all("a?").unwrap();
        assert_eq!(all.iter().map(|one| one.voice.as_str()).collect::<Vec<_>>(), ["base", "one", "both"]);
        assert_eq!((&all[0].answer, &all[2].answer), (&before, &answer));
        assert!(all[1].answer != all[0].answer && all[2].answer != all[1].answer);
        let error = chat.ask("ppo", "a?", |_| {}).unwrap_err().to_string();
        assert!(error.contains("base, one, both"), "{error}");
        assert!(chat.add_voice("one", &[]).is_err() && chat.add_voice("x", &[root.join("none")]).is_err());
        assert_eq!(chat.voices().len(), 3);
    }

    #[test]
    fn memory_is_what_stands_in_the_prompt() {
        let mut chat = chat();
        let exchange = |voice: &str, question: &str| Exchange {
            voice: voice.into(),
            question: question.into(),
            answer: "yes".into(),
            score: None,
        };
        chat.said = vec![exchange("base", "one"), exchange("dpo", "two"), exchange("base", "three")];
        assert_eq!(chat.prompt("base", "four"), "### Instruction:\nfour\n\n### Response:\n");
        chat.memory = 1;
        let three = "### Instruction:\nthree\n\n### Response:\nyes\n\n";
        assert_eq!(chat.prompt("base", "four"), format!("{three}### Instruction:\nfour\n\n### Response:\n"));
        assert_eq!(first_answer(" Paris.\n\n### Instruction:\nand"), "Paris.");
    }
}
