//! The line to the notebook: displays that appear while a cell runs, the stop button, questions to the learner.
//!
//! Under our kernel messages go through a named pipe (`docs/channel.md`). Under the plain `evcxr_jupyter` pictures
//! appear when they are finished, and in a terminal their text form is printed. Nothing here ever fails a computation:
//! if the line breaks, the text form is printed instead.

mod channel;
mod display;
mod frontend;
mod html;
mod input;
mod live;
mod picture;
mod progress;

pub use channel::checkpoint_saved;
pub use display::display;
pub use frontend::{Frontend, frontend};
pub(crate) use html::el;
pub use html::escape;
pub use input::{input, password};
pub use live::Live;
pub(crate) use picture::MONO;
pub use picture::{Picture, bar, text};
pub(crate) use progress::ByteProgress;
pub use progress::{ProgressBar, progress};

pub use crate::core::stop::interrupted;
