//! The page of `braid report`: the data that it draws, the page itself, and its timeline as a trace
//! for Perfetto. The page of `braid survey` is made of the same parts.

mod callees;
mod data;
mod html;
mod locations;
mod simulated;
mod timeline;
mod trace;

pub use callees::{Callees, Cell, callees};
pub use data::{BlockPage, Speedup, TransactionRow};
pub use html::{page, survey_page};
pub use locations::{LocationRow, Wait, locations};
pub use simulated::{Priced, Simulated, simulate};
pub use timeline::{Batch, How, Run, Span, Timeline, What};
pub use trace::trace;
