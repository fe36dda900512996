//! Back-off after attempts that have not paid.

use crate::thresholds::LONGEST_BACKOFF;

/// Number of blocks or segments to skip before the next attempt. It grows with each attempt that
/// has not paid.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Backoff {
    /// Length of the last back-off in blocks or segments, at most [`LONGEST_BACKOFF`].
    last: usize,
    /// Number of blocks or segments still to skip.
    skips: usize,
    /// Whether the last attempt has paid.
    pub(super) has_paid: bool,
}

impl Backoff {
    /// Whether the next attempt is due.
    pub(super) const fn is_due(self) -> bool {
        self.skips == 0
    }

    /// Records that a block or a segment was skipped.
    pub(super) const fn skip(&mut self) {
        self.skips = self.skips.saturating_sub(1);
    }

    /// Records the result of an attempt.
    pub(super) fn learn(&mut self, has_paid: bool) {
        let last = if has_paid { 0 } else { LONGEST_BACKOFF.min(2 * self.last + 1) };
        *self = Self { last, skips: last, has_paid };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_not_paid_is_tried_later_and_later() {
        let mut backoff = Backoff::default();
        for skips in [1, 3, 7, 15, LONGEST_BACKOFF, LONGEST_BACKOFF] {
            assert!(backoff.is_due());
            backoff.learn(false);
            for _ in 0..skips {
                assert!(!backoff.is_due() && !backoff.is_due(), "asking changes nothing");
                backoff.skip();
            }
        }
        backoff.learn(true);
        assert!(backoff.is_due());
    }
}
