//! The arithmetic of `gpt_lab` on plain slices: forward passes, their derivatives and backward passes, on all cores,
//! with the widest registers that the CPU has. Slices in, slices out; no tensors, no graph.
//!
//! | module | it computes |
//! |---|---|
//! | [`layer_norm`], [`softmax`], [`gelu`], [`dropout`], [`embedding`] | one step of a model |
//! | [`linear`], [`low_rank`] | `x W + b`, and with LoRA's update |
//! | [`attention`], [`cached_attention`] | causal attention of whole sequences, and of new positions |
//! | [`attention_block`], [`mlp_block`] over [`block`] | the two halves of a transformer block, each in one piece |
//! | [`cross_entropy`] | the loss, and log-probabilities |
//! | [`few_rows`], [`int8`] | products of a few rows, as generation needs them; matrices in eight bits |
//! | [`adamw`] | the optimiser's change of a parameter |
//!
//! [`process`] has the settings of a process that trains.
//!
//! Below them: `rows` (division of rows among threads, sums in a fixed order), `spans` (rows that stay in the cache
//! from step to step), `matrix` (gemm), `tile` (small products in registers), `math` (`exp`, `erf`, sums), `simd`
//! (vector units).
//!
//! Matrices lie row after row. Letters in shapes as in `gpt_lab`: `B` batch, `T` time, `C` width, `H` heads,
//! `D = C / H` head size, `V` vocabulary. A size that does not fit is a mistake of the caller's and panics.
//!
//! This crate has the only `unsafe` below `gpt_lab`, each with its argument: around gemm, in tiles, and for the
//! settings of the process. [Miri](https://github.com/rust-lang/miri) runs the tests with the unit that every CPU has,
//!
//! ```text
//! export MIRIFLAGS="-Zmiri-disable-isolation -Zmiri-ignore-leaks -Zmiri-tree-borrows"
//! cargo +nightly miri test -p gpt_lab_cpu --lib
//! ```
//!
//! and the code for another kind of machine is checked by
//!
//! ```text
//! cargo clippy -p gpt_lab_cpu --all-targets --target aarch64-unknown-linux-gnu
//! ```

#![deny(missing_docs, clippy::undocumented_unsafe_blocks)]

pub mod adamw;
pub mod attention;
pub mod attention_block;
pub mod block;
pub mod cached_attention;
pub mod cross_entropy;
pub mod dropout;
pub mod embedding;
pub mod few_rows;
pub mod gelu;
pub mod int8;
pub mod layer_norm;
pub mod linear;
pub mod low_rank;
mod math;
mod matrix;
pub mod mlp_block;
pub mod process;
mod rows;
mod simd;
pub mod softmax;
mod spans;
mod tile;
