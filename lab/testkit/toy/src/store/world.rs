//! A store and its reference side by side, driven by a script.

use super::reference::{Amount, Answer, Place, Reference, base_of};
use super::{Op, Property, Script};
use braid_evm::ids::{Incarnation, TxIndex, Version};
use braid_evm::mv::{Entry, Location, Origin, ReadSet, Resolution, Resolved, Store};
use std::collections::HashSet;

/// Readers in a crowd.
const CROWD: u32 = 70;

/// What an incarnation saw at one place.
#[derive(Clone, Copy, Debug)]
struct Read {
    place: Place,
    recorded: Answer,
    /// What it saw when it looked there last: when it ran, or when it was checked.
    last: Answer,
    /// A change of the place or of its scope has named the reader since then.
    named: bool,
}

/// One incarnation that has read.
#[derive(Debug)]
struct Run {
    reader: TxIndex,
    reads: ReadSet<Place>,
    seen: Vec<Read>,
}

/// A change of one place.
#[derive(Clone, Debug)]
enum Change {
    Publish(Entry<Place>),
    Withdraw,
    Estimate,
}

type Checked = Result<(), String>;

/// A store and its reference.
#[derive(Debug)]
pub(super) struct World {
    property: Property,
    store: Store<Place>,
    reference: Reference,
    runs: Vec<Run>,
    /// An incarnation publishes each place at most once.
    published: HashSet<(Version, Place)>,
    /// Below it nothing changes any more.
    frontier: TxIndex,
    /// Something was published at a scope.
    scope_used: bool,
}

/// An empty store, in which there was another block.
fn new_store(shards: usize) -> Store<Place> {
    let store = Store::new(shards);
    for place in [Place::Balance(0), Place::Slot(0, 0)] {
        let version = Version { tx: TxIndex(0), incarnation: Incarnation(0) };
        store.seed(&place, Amount::Number(99));
        store.publish(version, &place, Entry::Value(Amount::Number(98)), &mut Vec::new());
    }
    store.emptied()
}

fn ensure(holds: bool, broken: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { Err(broken()) }
}

impl World {
    /// Runs a script, and tells how `property` is broken, if it is.
    pub(super) fn run(script: &Script, property: Property) -> Checked {
        let mut world = Self {
            property,
            store: new_store(script.shards),
            reference: Reference::default(),
            runs: Vec::new(),
            published: HashSet::new(),
            frontier: TxIndex(0),
            scope_used: false,
        };
        for (at, op) in script.ops.iter().chain([&Op::Check]).enumerate() {
            world.apply(op).map_err(|broken| format!("operation {at}, {op:?}: {broken}"))?;
        }
        Ok(())
    }

    fn apply(&mut self, op: &Op) -> Checked {
        match op {
            Op::Publish(version, place, entry) => {
                self.change(*version, *place, &Change::Publish(entry.clone()))
            }
            Op::Credits { place, from, len, amount } => (*from..from + len).try_for_each(|tx| {
                let version = Version { tx: TxIndex(tx), incarnation: Incarnation(1) };
                self.change(version, *place, &Change::Publish(Entry::Delta(*amount)))
            }),
            Op::Withdraw(version, place) => self.change(*version, *place, &Change::Withdraw),
            Op::Estimate(version, place) => self.change(*version, *place, &Change::Estimate),
            Op::Run(reader, places) => self.start(*reader, places),
            Op::Crowd { place, from } => {
                (*from..from + CROWD).try_for_each(|reader| self.start(TxIndex(reader), &[*place]))
            }
            Op::Check => self.check_all(),
            Op::Seed(place, amount) => self.seed(*place, *amount),
            Op::Frontier(frontier) => {
                self.frontier = self.frontier.max(*frontier);
                self.store.set_frontier(self.frontier);
                Ok(())
            }
        }
    }

    /// A second base value must not replace the first.
    fn seed(&mut self, place: Place, other: Amount) -> Checked {
        let known = self.store.base(&place).is_some();
        self.store.seed(&place, if known { other } else { base_of(place) });
        self.check_base(place)
    }

    fn check_base(&self, place: Place) -> Checked {
        let base = self.store.base(&place);
        let right = self.property != Property::Base || base == Some(base_of(place));
        ensure(right, || format!("the base value is {base:?}"))
    }

    /// Resolves, handing in the base value if asked.
    fn resolve(&self, place: Place, reader: TxIndex) -> Result<Resolution<Place>, String> {
        let first = self.store.resolve(&place, reader);
        let Resolution::NeedsBase(chain) = first else { return Ok(first) };
        let known = self.store.base(&place);
        let right = self.property != Property::Base || known.is_none();
        ensure(right, || format!("asks for the base value, which is {known:?}"))?;
        let supplied = self.store.supply_base(chain, &place, reader, base_of(place));
        // Another worker that was asked at the same time comes later.
        let late = Amount::Number(99);
        let _ = self.store.supply_base(chain, &place, reader, late);
        self.check_base(place)?;
        match supplied {
            Resolution::NeedsBase(_) => Err("asks twice for the base value".into()),
            resolution => Ok(resolution),
        }
    }

    /// One incarnation reads `places`, and is kept unless an estimate stops it.
    fn start(&mut self, reader: TxIndex, places: &[Place]) -> Checked {
        let mut run = Run { reader, reads: ReadSet::default(), seen: Vec::new() };
        for &place in places {
            if run.reads.seen(self.store.hash(&place), &place).is_some() {
                continue;
            }
            let expected = self.reference.resolve(place, reader);
            let resolution = self.resolve(place, reader)?;
            let answer = answer_of(&resolution).ok_or("the base value is unknown")?;
            if matches!(self.property, Property::Resolution) {
                ensure(answer == expected, || {
                    format!("{reader} finds {answer:?} at {place:?}, not {expected:?}")
                })?;
            }
            let Resolution::Resolved(seen) = resolution else { return Ok(()) };
            run.reads.push(place, seen);
            run.seen.push(Read { place, recorded: answer, last: answer, named: false });
        }
        self.runs.push(run);
        Ok(())
    }

    /// Changes both sides, unless the protocol would never do that.
    fn change(&mut self, version: Version, place: Place, change: &Change) -> Checked {
        if version.tx < self.frontier {
            return Ok(());
        }
        let repeated =
            matches!(change, Change::Publish(_)) && !self.published.insert((version, place));
        if repeated {
            return Ok(());
        }
        let there = self.reference.incarnation(place, version.tx);
        let is_late = there.is_some_and(|there| there > version.incarnation);
        let before = self.all_answers(place, is_late);
        let mut stale = Vec::new();
        match change {
            Change::Publish(entry) => {
                self.store.publish(version, &place, entry.clone(), &mut stale);
                self.reference.publish(version, place, entry.clone());
            }
            Change::Withdraw => {
                self.store.withdraw(version, &place, &mut stale);
                self.reference.withdraw(version, place);
            }
            Change::Estimate => {
                self.store.mark_estimate(version, &place);
                self.reference.mark_estimate(version, place);
            }
        }
        ensure(before == self.all_answers(place, is_late), || {
            format!("a late {version} changed {place:?}, where {there:?} had been")
        })?;
        self.note_named(version.tx, place, &stale)?;
        self.check_hints(place)
    }

    /// What each reader finds at `place`, if that is of interest.
    fn all_answers(&self, place: Place, is_late: bool) -> Vec<Option<Answer>> {
        if !is_late || self.property != Property::Incarnations {
            return Vec::new();
        }
        (0..64).map(|tx| answer_of(&self.store.resolve(&place, TxIndex(tx)))).collect()
    }

    fn note_named(&mut self, writer: TxIndex, place: Place, stale: &[TxIndex]) -> Checked {
        if self.property != Property::Hints {
            return Ok(());
        }
        for &reader in stale {
            ensure(reader > writer, || format!("a change by {writer} names {reader}"))?;
        }
        if place.is_scope() && !core::mem::replace(&mut self.scope_used, true) {
            // No reader has registered at a scope yet.
            let reads = self.runs.iter_mut().flat_map(|run| &mut run.seen);
            reads.for_each(|read| read.named |= read.place.scope().is_some());
        }
        for run in self.runs.iter_mut().filter(|run| stale.contains(&run.reader)) {
            let concerned = |read: &&mut Read| is_or_scopes(place, read.place);
            run.seen.iter_mut().filter(concerned).for_each(|read| read.named = true);
        }
        Ok(())
    }

    /// Who was not named still sees what it saw, or meets an estimate.
    fn check_hints(&self, place: Place) -> Checked {
        if self.property != Property::Hints {
            return Ok(());
        }
        for run in self.runs.iter().filter(|run| run.reader >= self.frontier) {
            let concerned = |read: &&Read| is_or_scopes(place, read.place) && !read.named;
            for read in run.seen.iter().filter(concerned) {
                let now = self.reference.resolve(read.place, run.reader);
                ensure(now == read.last || matches!(now, Answer::Blocked(_)), || {
                    format!("{} was not named although {read:?} became {now:?}", run.reader)
                })?;
            }
        }
        Ok(())
    }

    fn check_all(&mut self) -> Checked {
        let runs = core::mem::take(&mut self.runs);
        for mut run in runs {
            if self.check(&mut run)? {
                self.runs.push(run);
            }
        }
        Ok(())
    }

    /// Compares the store's verdicts on one incarnation with the reference's.
    fn check(&self, run: &mut Run) -> Result<bool, String> {
        let now: Vec<Answer> =
            run.seen.iter().map(|read| self.reference.resolve(read.place, run.reader)).collect();
        let by_version = run.seen.iter().zip(&now).all(|(read, now)| same(*now, read.recorded));
        let by_value = run.seen.iter().zip(&now).all(|(read, now)| same_value(*now, read.recorded));
        // Without its base value the store cannot know that a value has come back.
        let knows = run.seen.iter().all(|read| self.store.base(&read.place).is_some());
        let current = self.store.is_current(&run.reads, run.reader);
        let valid = self.store.validate(&run.reads, run.reader);
        let agrees = |verdict: bool, truth| verdict == truth || (!knows && !verdict);
        if self.property == Property::Current {
            ensure(agrees(current, by_version), || format!("is_current {current}: {run:?}"))?;
        }
        if self.property == Property::Validation {
            ensure(agrees(valid, by_value), || format!("validate {valid}: {run:?}"))?;
        }
        // A run that passes has looked again and is remembered again; the others would run again.
        for (read, now) in run.seen.iter_mut().zip(now) {
            (read.last, read.named) = (now, false);
        }
        Ok(valid)
    }
}

/// Whether `changed` is `read` or its scope.
fn is_or_scopes(changed: Place, read: Place) -> bool {
    changed == read || read.scope() == Some(changed)
}

fn answer_of(resolution: &Resolution<Place>) -> Option<Answer> {
    match resolution {
        Resolution::Resolved(Resolved { value, origin, .. }) => Some(Answer::Seen(*origin, *value)),
        Resolution::Blocked(tx) => Some(Answer::Blocked(*tx)),
        Resolution::NeedsBase(_) => None,
    }
}

/// The same version; a fold has none of its own, so its value counts.
fn same(now: Answer, recorded: Answer) -> bool {
    match (now, recorded) {
        (Answer::Seen(_, now), Answer::Seen(Origin::Folded(_), seen)) => now == seen,
        _ => now == recorded,
    }
}

fn same_value(now: Answer, recorded: Answer) -> bool {
    match (now, recorded) {
        (Answer::Seen(_, now), Answer::Seen(_, seen)) => now == seen,
        _ => false,
    }
}
