//! Memory that one execution adds, as reported by the system (Linux).

use std::fs;

/// Runs `run` and returns the peak growth of this process's resident memory in bytes, the result
/// included. `None` if the system does not report it.
///
/// The figure is meaningful only if nothing was freed before: an allocator keeps freed pages and
/// hands them out again without growth. Call this in a process of its own, with mimalloc told to
/// keep nothing (`MIMALLOC_PURGE_DELAY=0`).
pub fn peak_of<R>(run: impl FnOnce() -> R) -> Option<u64> {
    reset_highest()?;
    let before = status("VmRSS:")?;
    let result = run();
    let peak = status("VmHWM:")?;
    drop(result);
    Some(peak.saturating_sub(before))
}

/// Resets the peak of the resident memory. `None` if the system cannot.
#[must_use]
pub fn reset_highest() -> Option<()> {
    fs::write("/proc/self/clear_refs", "5").ok()
}

/// Returns this process's resident memory in bytes: now, and at its peak.
#[must_use]
pub fn resident() -> Option<[u64; 2]> {
    Some([status("VmRSS:")?, status("VmHWM:")?])
}

/// Returns a line of this process's status, in bytes.
fn status(name: &str) -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn what_is_touched_counts_even_if_it_is_freed_before_the_end() {
        const SIZE: usize = 64 << 20;
        let peak = peak_of(|| {
            let touched: usize = vec![1_u8; SIZE].into_iter().map(usize::from).sum();
            assert_eq!(touched, SIZE);
        });
        let peak = peak.expect("Linux tells");
        assert!(peak >= SIZE as u64 * 9 / 10, "{peak}");
    }
}
