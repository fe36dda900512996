//! Rates of executed blocks: a progress line on a terminal, and the totals at the end.

use super::count;
use braid_evm::BlockOutput;
use indicatif::{HumanDuration, ProgressBar, ProgressStyle};
use std::{
    fmt,
    io::{self, IsTerminal},
    time::{Duration, Instant},
};

/// Interval between two updates of the line.
const EACH: Duration = Duration::from_millis(200);

/// Counts blocks, and shows their rates if standard error is a terminal.
#[derive(Debug)]
pub(super) struct Pace {
    tally: Tally,
    started: Instant,
    /// Number of bytes of the inputs before the first executed block.
    before: u64,
    /// Total size of the inputs in bytes, if known.
    bytes: Option<u64>,
    shown: Instant,
    bar: ProgressBar,
}

/// Totals of executed blocks.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) blocks: u64,
    pub(super) transactions: u64,
    pub(super) gas: u64,
    pub(super) seconds: f64,
}

impl Tally {
    /// Returns the rate of `count` per second.
    pub(super) fn per_second(&self, count: u64) -> f64 {
        if self.seconds > 0.0 { count as f64 / self.seconds } else { 0.0 }
    }

    fn rates(&self) -> String {
        format!(
            "{:.1} blocks/s, {:.0} transactions/s, {:.1} Mgas/s",
            self.per_second(self.blocks),
            self.per_second(self.transactions),
            self.per_second(self.gas) / 1e6,
        )
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { blocks, transactions, gas, seconds } = self;
        let gas = *gas as f64 / 1e6;
        write!(
            f,
            "{}, {}, {gas:.1} Mgas in {seconds:.2} s: ",
            count(*blocks, "block"),
            count(*transactions, "transaction"),
        )?;
        f.write_str(&self.rates())
    }
}

impl Pace {
    /// Starts counting. `bytes` is the total size of the inputs, if known.
    pub(super) fn new(bytes: Option<u64>) -> Self {
        let (bar, template) = match bytes {
            _ if !io::stderr().is_terminal() => (ProgressBar::hidden(), ""),
            Some(bytes) => {
                (ProgressBar::new(bytes), "{bar:30} {percent}% of the input's bytes, {msg}")
            }
            None => (ProgressBar::new_spinner(), "{spinner} {msg}"),
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        let now = Instant::now();
        Self { tally: Tally::default(), started: now, before: 0, bytes, shown: now, bar }
    }

    /// Counts an executed block. `read` is the number of bytes of the inputs up to its end.
    pub(super) fn block(&mut self, number: u64, output: &BlockOutput, read: u64) {
        self.tally.blocks = self.tally.blocks.saturating_add(1);
        self.tally.gas = self.tally.gas.saturating_add(output.gas_used);
        let transactions = output.receipts.len() as u64;
        self.tally.transactions = self.tally.transactions.saturating_add(transactions);
        self.tally.seconds = self.started.elapsed().as_secs_f64();
        let left = self.bytes.and_then(|bytes| {
            let done = read.saturating_sub(self.before);
            time_left(self.started.elapsed(), done, bytes.saturating_sub(read))
        });
        let eta = left.map_or_else(String::new, |left| format!(", ETA {:#}", HumanDuration(left)));
        self.show(read, |tally| format!("block {number}, {}{eta}", tally.rates()));
    }

    /// Shows a block that the chain already had. `read` is the number of bytes of the inputs up to
    /// its end.
    pub(super) fn passed_over(&mut self, number: u64, read: u64) {
        // Rates count only executed blocks, from the first one on.
        if self.tally.blocks == 0 {
            self.started = Instant::now();
            self.before = read;
        }
        self.show(read, |_| format!("passing over block {number}"));
    }

    fn show(&mut self, read: u64, message: impl FnOnce(&Tally) -> String) {
        if !self.bar.is_hidden() && self.shown.elapsed() >= EACH {
            self.shown = Instant::now();
            self.bar.set_message(message(&self.tally));
            self.bar.set_position(read);
        }
    }

    /// Clears the line and returns the totals, including the time to write the last blocks.
    pub(super) fn end(mut self) -> Tally {
        self.bar.finish_and_clear();
        self.tally.seconds = self.started.elapsed().as_secs_f64();
        self.tally
    }
}

/// Extrapolates the time for the `left` bytes, if `done` bytes took `took`. Blocks that were passed
/// over are in neither.
fn time_left(took: Duration, done: u64, left: u64) -> Option<Duration> {
    let times = left as f64 / done as f64;
    Duration::try_from_secs_f64(took.as_secs_f64() * times).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_left_is_that_of_executed_bytes() {
        let second = Duration::from_secs(1);
        assert_eq!(time_left(2 * second, 100, 300), Some(6 * second));
        assert_eq!(time_left(2 * second, 100, 0), Some(Duration::ZERO));
        assert_eq!(time_left(2 * second, 0, 300), None);
        assert_eq!(time_left(2 * second, 0, 0), None);
    }
}
