//! Common code of Braid's command-line tools: results of commands, progress bars, completions,
//! shared options, and requests to Ethereum nodes.
//!
//! The crate belongs to the tools `braid`, `braid-node` and `braid-lab`, and changes with them. It is
//! not a stable interface.

mod counted;
mod end;
mod options;
mod profile;
mod progress;
mod shell;
mod transport;
mod wrapped;

pub use counted::counted;
pub use end::{End, INTERRUPTED, Stop, exit_code, message, parse, print_error};
pub use options::{PolicyArg, pause_from, time_from, workers_from};
pub use profile::{DIST, PROFILE};
pub use progress::{Progress, working};
pub use shell::{CompletionsArgs, completions, man};
pub use transport::{Http, MAX_ANSWER_BYTES, Transport, TransportError};
pub use wrapped::{COLUMNS, wrapped};
