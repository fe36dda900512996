//! A database wrapper that delays each read.

use braid_blocks::hooked::Hooked;
use braid_terminal::time_from;
use core::{fmt, str::FromStr};
use revm::DatabaseRef;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

/// How a delayed read passes its time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Waiting {
    /// Sleep, as a reader that waits for a disk; the system adds some 50 microseconds
    #[default]
    Sleep,
    /// Keep the core busy, as a reader that decodes; exact
    Spin,
}

/// Delay of each read of a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latency(pub Duration);

impl Latency {
    /// Delay of each read in the workloads on slow storage.
    pub const OF_WORKLOADS: Self = Self(Duration::from_micros(20));
}

impl FromStr for Latency {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        time_from(text).map(Self)
    }
}

impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

/// Counts the reads of a database and its clones.
#[derive(Clone, Debug)]
pub struct ReadCounter(Arc<AtomicU64>);

impl ReadCounter {
    /// Returns the number of reads since the last call.
    #[must_use]
    pub fn take(&self) -> u64 {
        self.0.swap(0, Relaxed)
    }
}

/// Delays each read of `inner` by at least `latency`, and returns a counter that clones share.
pub fn slowed<D: DatabaseRef>(
    inner: D,
    Latency(latency): Latency,
    waiting: Waiting,
) -> (Hooked<D, D::Error>, ReadCounter) {
    let reads = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&reads);
    let wait = move |_| {
        counted.fetch_add(1, Relaxed);
        match waiting {
            Waiting::Sleep => thread::sleep(latency),
            Waiting::Spin => {
                let start = Instant::now();
                while start.elapsed() < latency {
                    core::hint::spin_loop();
                }
            }
        }
    };
    (Hooked::watched(inner, wait), ReadCounter(reads))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::{Address, U256};
    use revm::database::EmptyDB;

    #[test]
    fn times_have_units() {
        assert_eq!("20us".parse(), Ok(Latency(Duration::from_micros(20))));
        assert_eq!("3 ms".parse(), Ok(Latency(Duration::from_millis(3))));
        assert!("20".parse::<Latency>().is_err_and(|error| error.contains("20us")));
        assert!("us".parse::<Latency>().is_err());
    }

    #[test]
    fn every_read_waits_and_counts() {
        for waiting in [Waiting::Sleep, Waiting::Spin] {
            let latency = Latency(Duration::from_millis(2));
            let (slow, counter) = slowed(EmptyDB::default(), latency, waiting);
            let start = Instant::now();
            let clone = slow.clone();
            clone.basic_ref(Address::ZERO).unwrap();
            slow.storage_ref(Address::ZERO, U256::ZERO).unwrap();
            assert!(start.elapsed() >= 2 * latency.0, "{waiting:?}");
            assert_eq!((counter.take(), counter.take()), (2, 0));
        }
    }
}
