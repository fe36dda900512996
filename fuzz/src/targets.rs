//! Bodies of the fuzz targets.

use crate::generate::Case;
use crate::lineup::Lineup;
use braid_evm::{Mode, Policy};
use std::cell::RefCell;
use std::sync::Arc;

thread_local! {
    /// Threads are started once, not for each input.
    static LINEUPS: RefCell<[Lineup; 2]> = RefCell::new(
        [Mode::Validate, Mode::Build].map(|mode| Lineup::new(Policy::ForceSpeculative, mode)),
    );
}

/// The block that `bytes` stand for comes out as sequential execution has it, in both modes and
/// with every number of workers.
///
/// # Panics
/// If it does not.
pub fn block_equivalence(bytes: &[u8]) {
    let case = Case::from_bytes(bytes);
    let (block, database) = (Arc::new(case.block.clone()), case.database());
    LINEUPS.with_borrow_mut(|lineups| {
        for lineup in lineups {
            if let Err(difference) = lineup.compare(&block, &database) {
                panic!("{:?}: {difference}", block.cfg.spec);
            }
        }
    });
}
