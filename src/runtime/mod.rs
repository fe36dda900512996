//! Runtimes, which run the actors of a block: threads, and the simulator.

mod caller;
#[cfg(all(feature = "testing", not(braid_loom)))]
mod observed;
mod placement;
mod pool;
mod seat;
#[cfg(all(feature = "testing", not(braid_loom)))]
pub mod simulated;
mod stage;
mod threads;

pub use caller::Caller;
#[cfg(all(feature = "testing", not(braid_loom)))]
pub use observed::{Observed, Observer};
pub use pool::{Pool, Task};
pub use seat::Seat;
pub use stage::CallerStage;
pub use threads::Threads;
