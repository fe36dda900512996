//! A block on its way: what it tells, what it has shown, and how it has run so far.

use super::choice::Choice;
use super::choose::{Rest, choose};
use super::features::Features;
use super::feedback::{Feedback, Lesson};
use super::longest::Seen;
use super::progress::{Outcome, Progress};
use super::strategy::Stretch;
use crate::config::Policy;
use crate::evm::exec::input::Block;
use crate::ids::TxIndex;

/// What decides about one block.
#[derive(Debug)]
pub(in crate::evm) struct Course {
    pub(in crate::evm) features: Features,
    progress: Progress,
    /// How it has run so far.
    pub(in crate::evm) path: Vec<Stretch>,
    /// Whether it has a store with room for what transactions leave.
    pub(in crate::evm) has_store: bool,
}

impl Course {
    pub(in crate::evm) const fn new(features: Features) -> Self {
        // Where storage is slow speculation is never given up: what runs ahead reads for the
        // others.
        let progress = Progress::new(features.policy, !features.setting.is_wide);
        Self { features, progress, path: Vec::new(), has_store: false }
    }

    /// How the transactions of `block` from `first` on run next.
    pub(in crate::evm) fn choose(
        &self,
        feedback: Option<&mut Feedback>,
        block: &Block,
        first: usize,
    ) -> Choice {
        let rest = Rest { all: &block.transactions, first };
        choose(&self.features, feedback.as_deref(), &self.progress, rest)
    }

    /// Transactions that begin before their turn in a stretch from `first` on.
    pub(in crate::evm) fn longest(
        &self,
        feedback: Option<&mut Feedback>,
        block: &Block,
        first: usize,
        choice: &Choice,
    ) -> Vec<TxIndex> {
        let feedback = feedback.filter(|_| self.learns() && !self.features.setting.is_wide);
        feedback.map(|it| it.longest.of(block, first..choice.end)).unwrap_or_default()
    }

    /// Whether what earlier blocks have shown counts, and this one will.
    const fn learns(&self) -> bool {
        self.features.learns && matches!(self.features.policy, Policy::Auto)
    }

    /// Learns from a stretch. `least`: commits with which speculation may be given up at all.
    pub(in crate::evm) fn learn(
        &mut self,
        feedback: Option<&mut Feedback>,
        block: &Block,
        choice: &Choice,
        outcome: Outcome,
        (least, mut seen): (u32, Seen),
    ) {
        self.progress.learn(self.features.policy, choice, &outcome);
        if let Some(feedback) = feedback.filter(|_| self.learns()) {
            if outcome.has_failed {
                seen.began.clear();
            }
            let (least, gives_up) = (least as usize, !self.features.setting.is_wide);
            feedback.learn(&Lesson { block, choice, outcome, least, gives_up, seen: &seen });
        }
        let place = |place: usize| u32::try_from(place).unwrap_or(u32::MAX);
        let (first, end) = (place(outcome.first), place(outcome.next));
        let Choice { strategy, reason, .. } = *choice;
        match self.path.last_mut() {
            _ if first == end => {}
            Some(last) if (last.strategy, last.reason) == (strategy, reason) => last.end = end,
            _ => self.path.push(Stretch { first, end, strategy, reason }),
        }
    }
}
