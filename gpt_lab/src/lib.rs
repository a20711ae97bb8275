//! What a GPT is made of, in pieces that a notebook can hold.
//!
//! | module | what it gives |
//! |---|---|
//! | [`ops`] | differentiable building blocks: layer norm, softmax, GELU, cross-entropy, attention … |
//! | [`gpt2`] | GPT-2: configuration, blocks, the whole model, weights in Hugging Face's layout |
//! | [`lora`] | low-rank adapters: add, switch, merge, PEFT's files |
//! | [`reward`] | a model that scores texts, and its preference loss |
//! | [`text`] | tokenizers: characters, GPT-2's pieces of words |
//! | [`data`] | corpora, windows and batches |
//! | [`train`] | optimizer, the training loop, checkpoints |
//! | [`generate`] | choosing the next token, one after another |
//! | [`align`] | preferences (DPO) and reinforcement learning (PPO, GRPO): losses, and what trains on them |
//! | [`chat`] | one model in several voices |
//! | [`hub`] | files from the Hugging Face Hub, and its cache |
//! | [`assets`] | the lab's own files |
//! | [`lab`] | the line to the notebook: live displays, the stop button |
//! | [`show`] | pictures of all of these for a cell |
//! | [`lesson`] | exercises that check themselves |
//!
//! A cell compiles anew whatever is generic in what it calls. So a function such as `load(impl AsRef<Path>)` only hands
//! on to one that is not generic and is compiled once, here; and tokenizers and models are taken as `&dyn`.
//!
//! Letters in shapes, the same everywhere: `B` batch, `T` time (positions), `C` = `n_embd`, `H` heads, `D` = head size
//! (`C / H`), `V` vocabulary.

#![deny(unsafe_code)]

pub mod align;
pub mod chat;
mod core;
pub mod data;
pub mod eval;
pub mod generate;
pub mod gpt2;
pub mod hub;
pub mod lab;
pub mod lesson;
pub mod lora;
pub mod nn;
pub mod ops;
pub mod reward;
pub mod show;
pub mod text;
pub mod train;

pub use crate::core::{Error, Param, Result, Rng, assets, process, write_atomically};
pub use crate::nn::Pass;
pub use candle_core;
pub use candle_nn;

/// What a notebook imports in its first cell: `use gpt_lab::prelude::*;`
pub mod prelude {
    pub use crate::align::{
        ActorCritic, DpoModel, GrpoConfig, PpoConfig, Preferences, complete, draw_completions, train_grpo, train_ppo,
    };
    pub use crate::data::{
        Batch, Comparison, Comparisons, Completion, Completions, Corpus, Examples, Instruction, Split, TokenPairs,
        Windows,
    };
    pub use crate::eval::{
        AnswerRate, Check, Checker, Examiner, Mean, Paired, Share, answer_kl, answer_rate, distance, judge,
        score_answers, score_completions,
    };
    pub use crate::generate::{
        EarlyStopping, GenerateConfig, beam_search, generate, generate_ids, generate_many, generate_with, score,
    };
    pub use crate::gpt2::{Gpt2, Gpt2Config, Inspection, KvCache, grad_audit};
    pub use crate::hub::{Hub, Repo};
    pub use crate::lora::{Lora, LoraConfig, Targets, merged};
    pub use crate::nn::Mlp;
    pub use crate::reward::ScoreModel;
    pub use crate::text::{AnyTokenizer, BpeTokenizer, CharTokenizer, StreamDecoder, Tokenizer};
    pub use crate::train::{
        AdamW, AdamWOptions, Gradients, History, Length, Schedule, TrainConfig, Trainable, evaluate, train,
    };
    pub use crate::{Error, Param, Pass, Result, Rng, assets, lab, lesson, ops, show};
    pub use candle_core::{D, DType, Device, IndexOp, Tensor, Var};
}
