//! A block that comes with an access list: private batches of neighbours that read what the list
//! says of the state below each transaction, and are compared with it.

use super::block::committed::Committed;
use super::block::error::Failure;
use super::crew::Crew;
use super::exec::base::StateSource;
use super::exec::recipe::Recipe;
use super::mutants::is_evm_mutant;
use super::session::Session;
use crate::config::Config;
use crate::protocol::Policy;
use core::ops::ControlFlow;
use revm::primitives::hardfork::SpecId;

/// Transactions of the shortest batches.
const SHORTEST: usize = 4;
/// The same where batches are forced.
const FORCED: usize = 2;

/// Whether transactions may run on what the block's list says of the state below them. Before
/// EIP-6780 a transaction may clear storage that no list names.
pub(super) fn may_read_claims(recipe: &Recipe, config: &Config) -> bool {
    let may = matches!(config.policy, Policy::Auto | Policy::Listed);
    let names_all = recipe.block.cfg.spec.is_enabled_in(SpecId::CANCUN)
        || is_evm_mutant!(recipe.mutant, ToldBeforeCancun);
    may && recipe.claims.is_some() && names_all
}

impl<S: StateSource> Session<S> {
    /// Runs what has not run on what the list says. A transaction that cannot be run so, or does
    /// something else than the list says, runs in order: if the list is wrong, that ends the block.
    /// Where batches end after a few transactions again and again, more run in order each time, so
    /// that the work which is thrown away is bounded.
    pub(super) fn run_listed<'env, F, C>(
        mut self,
        crew: &mut C,
        config: &Config,
        mut on_commit: Option<&mut F>,
    ) -> (Self, Option<Failure<S>>)
    where
        S: 'env,
        F: FnMut(Committed) -> ControlFlow<()>,
        C: Crew<'env>,
    {
        let end = self.workload.recipe.block.transactions.len();
        let shortest = if config.policy == Policy::Listed { FORCED } else { SHORTEST };
        let mut in_order = 1;
        loop {
            let first = self.frontier.position();
            let mut failure;
            let hears = on_commit.as_deref_mut();
            (self, failure) = self.run_parts(end, crew, config, hears, shortest);
            if failure.is_none() && self.left(end) > 0 {
                let next = self.frontier.position();
                in_order = if next - first > in_order { 1 } else { 2 * in_order };
                let until = end.min(next.saturating_add(in_order));
                let hears = on_commit.as_deref_mut();
                (self, failure) = self.run_in_order(until, config, hears);
            }
            if failure.is_some() || self.left(end) == 0 {
                return (self, failure);
            }
        }
    }
}
