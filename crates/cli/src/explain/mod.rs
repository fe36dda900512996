//! Why a block does not run in parallel: its dependencies, their locations, and their costs.
//!
//! [`record()`] runs a block once sequentially; the rest is arithmetic over the recording.

mod advice;
mod bounds;
mod conflicts;
mod decode;
mod explanation;
pub mod json;
mod lines;
mod location;
pub mod names;
mod preimages;
mod record;
mod standards;
mod totals;
mod watch;
mod what_if;
pub mod words;

pub use bounds::{Axis, Bounds, Graph, Need, OnWorkers, Rule, Step, ratio};
pub use conflicts::{Conflict, Conflicts, Counted, Gain, conflicts};
pub use decode::{Kind, Meaning, decode};
pub use explanation::{Changed, Costs, Explanation, Question, WORKERS, explain};
pub use lines::{SourceLine, source_lines};
pub use location::{Location, LocationError, Target};
pub use preimages::{Preimages, SlotPath, Step as SlotStep};
pub use record::{Access, RecordError, Recorded, Recording, record};
pub use standards::function as function_name;
pub use totals::{Costly, Totals};
pub use watch::{Instruction, Site};
pub use what_if::WhatIf;
