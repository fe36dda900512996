//! A watchdog for runs that may hang.

use crossbeam_channel::{RecvTimeoutError, unbounded};
use std::{ops::Range, thread, time::Duration};

/// Time limit of a run, which normally takes milliseconds.
const HANGS: Duration = Duration::from_secs(60);

/// Calls `run` with each seed on a separate thread, and returns the results. Fails with the seed if
/// a run panics or hangs.
pub(crate) fn each_seed<T: Send + 'static>(
    seeds: Range<u64>,
    mut run: impl FnMut(u64) -> T + Send + 'static,
) -> Vec<T> {
    let (send, receive) = unbounded();
    let all = seeds.clone();
    thread::spawn(move || all.for_each(|seed| send.send(run(seed)).expect("the test waits")));
    let ended = seeds.map(|seed| match receive.recv_timeout(HANGS) {
        Ok(ended) => ended,
        Err(RecvTimeoutError::Timeout) => panic!("seed {seed} hangs"),
        Err(RecvTimeoutError::Disconnected) => panic!("seed {seed} panics"),
    });
    ended.collect()
}
