//! Hypothetical changes: a location without conflicts, or a location that is split by sender.

use super::location::{Location, Target};
use alloy_primitives::Address;

/// A hypothetical change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WhatIf {
    /// Locations at which no transactions conflict.
    pub without: Vec<Target>,
    /// Locations that are split, one for each sender.
    pub sharded: Vec<Location>,
}

impl WhatIf {
    /// No change.
    pub const NOTHING: Self = Self { without: Vec::new(), sharded: Vec::new() };

    /// Returns whether nothing is changed.
    #[must_use]
    pub const fn is_nothing(&self) -> bool {
        self.without.is_empty() && self.sharded.is_empty()
    }

    /// Returns the conflict key of a transaction at `location`: transactions with the same key
    /// conflict; with `None`, it conflicts with no other.
    pub(super) fn key(
        &self,
        location: &Location,
        sender: Address,
    ) -> Option<(Location, Option<Address>)> {
        if self.without.iter().any(|target| target.covers(location)) {
            return None;
        }
        let is_sharded = self.sharded.contains(location);
        Some((*location, is_sharded.then_some(sender)))
    }

    /// Returns the locations and accounts that no access of `recording` touches; changing them has
    /// no effect.
    #[must_use]
    pub fn untouched(&self, recording: &super::record::Recording) -> Vec<Target> {
        let sharded = self.sharded.iter().map(|location| Target::Location(*location));
        let targets = self.without.iter().copied().chain(sharded);
        let is_touched = |target: &Target| {
            let mut accesses = recording.transactions.iter().flat_map(|it| &it.accesses);
            accesses.any(|access| target.covers(&access.location))
        };
        targets.filter(|target| !is_touched(target)).collect()
    }
}
