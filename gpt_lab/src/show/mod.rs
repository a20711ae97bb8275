//! Pictures for cells. Every function returns a [`Picture`], which has a plain-text form for terminals and a graphical
//! one for notebooks. Everything shown is escaped: text such as `<script>` is displayed, not run.
//!
//! Colours: text takes the colour of the page around it and fills are translucent, so that both of JupyterLab's themes
//! work; plots, which a browser draws apart from the page, stand on a card of their own.

mod attention;
mod audit;
mod axes;
mod bars;
mod beam_tree;
mod beside;
mod cards;
mod conversation;
mod frontier;
mod histories;
mod learnt;
mod model_tree;
mod paint;
mod panels;
mod pen;
mod plot;
mod probabilities;
mod reinforcement;
mod shares;
mod tensor;
mod ticks;
mod tokens;
mod tokens_by;
mod training;
mod xy;

pub use crate::lab::{Picture, bar, escape, text};
pub use attention::attention;
pub use audit::grad_audit;
pub use bars::bars;
pub use beam_tree::beam_tree;
pub use cards::{Card, cards};
pub use conversation::conversation;
pub use frontier::{Group, Mark, frontier};
pub use histories::histories;
pub use learnt::learnt;
pub use model_tree::model_tree;
pub use plot::curves;
pub use probabilities::probabilities;
pub use reinforcement::{grpo_histories, ppo_histories};
pub use shares::shares;
pub use tensor::tensor;
pub use tokens::tokens;
pub use tokens_by::tokens_by;
pub use training::{LiveTraining, loss_curves};
pub use xy::xy;
