//! Runtimes: what runs the actors, and in which order.

mod caller;
mod placement;
mod pool;
mod seat;
#[cfg(all(feature = "testing", not(braid_loom)))]
pub mod simulated;
mod threads;

pub use caller::Caller;
pub use pool::{Pool, Task};
pub use seat::Seat;
pub use threads::Threads;
