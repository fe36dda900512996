//! Rules for the store: every lookup is recomputed, every stamp counted, and every hint verified.

use super::reference::Reference;
use braid_evm::ids::{TxIndex, Version};
use braid_evm::mv::{Change, EventStamp, Floor, Found, Location};
use braid_evm::trace::Ticket;
use std::collections::HashMap;

/// Why a trace is rejected, as a sentence.
pub type Why = String;

/// A lookup of the life of a scope, kept until the lookup of the location in the scope.
#[derive(Clone, Debug)]
struct LifeLookup<L> {
    reader: TxIndex,
    scope: L,
    floor: Floor,
}

/// Result of the last lookup of a reader that no change has named since.
#[derive(Clone, Debug)]
struct Registered<L: Location> {
    value: Option<(Floor, Found<L>)>,
    life: Option<Floor>,
}

/// Results of lookups: of a location, and of the life of a scope.
type Answers<L> = (Option<Found<L>>, Option<Floor>);

/// Reference state of the store.
#[derive(Debug)]
pub struct StoreRules<L: Location> {
    /// Base values and entries.
    pub cells: Reference<L>,
    /// Index below which everything is final.
    pub frontier: TxIndex,
    stamps: HashMap<u32, u64>,
    chains: HashMap<(u32, u32), L>,
    positions: HashMap<L, (u32, u32)>,
    lives: HashMap<Ticket, LifeLookup<L>>,
    /// Time of the first change of a scope.
    scope_used: Option<Ticket>,
    readers: HashMap<L, HashMap<TxIndex, Registered<L>>>,
}

impl<L: Location> Default for StoreRules<L> {
    fn default() -> Self {
        Self {
            cells: Reference::default(),
            frontier: TxIndex(0),
            stamps: HashMap::new(),
            chains: HashMap::new(),
            positions: HashMap::new(),
            lives: HashMap::new(),
            scope_used: None,
            readers: HashMap::new(),
        }
    }
}

/// Fails with the reason unless `holds`.
pub(super) fn ensure(holds: bool, why: impl FnOnce() -> Why) -> Result<(), Why> {
    if holds { Ok(()) } else { Err(why()) }
}

impl<L: Location> StoreRules<L> {
    /// Checks that a chain keeps its position and belongs to one location.
    fn check_position(&mut self, location: &L, at: EventStamp) -> Result<(), Why> {
        let place = (at.shard, at.chain);
        let held = self.chains.entry(place).or_insert_with(|| location.clone());
        let lies = self.positions.entry(location.clone()).or_insert(place);
        ensure(held == location && *lies == place, || {
            format!("{location:?} is said to lie at {place:?}, where {held:?} lies")
        })
    }

    /// Checks that a lookup carries the stamp of the last publication.
    fn check_stamp(&mut self, location: &L, at: EventStamp) -> Result<(), Why> {
        self.check_position(location, at)?;
        let last = self.stamps.get(&at.shard).copied().unwrap_or(0);
        ensure(at.stamp == last, || {
            format!("a look at {location:?} under stamp {}, which is {last}", at.stamp)
        })
    }

    /// Checks a lookup of the life of a scope.
    ///
    /// # Errors
    /// Returns the reason if the result differs from the reference store.
    pub fn life(
        &mut self,
        ticket: Ticket,
        reader: TxIndex,
        scope: &L,
        (at, floor): (EventStamp, Floor),
    ) -> Result<(), Why> {
        self.check_stamp(scope, at)?;
        let expected = self.cells.floor(scope, reader);
        ensure(floor == expected, || {
            format!("{reader} found the life of {scope:?} begun at {floor:?}, not {expected:?}")
        })?;
        self.lives.insert(ticket, LifeLookup { reader, scope: scope.clone(), floor });
        self.registered(scope, reader).life = Some(floor);
        Ok(())
    }

    fn registered(&mut self, location: &L, reader: TxIndex) -> &mut Registered<L> {
        let readers = self.readers.entry(location.clone()).or_default();
        readers.entry(reader).or_insert(Registered { value: None, life: None })
    }

    /// Checks the lookup of a location, together with the lookup in its scope if there was one.
    ///
    /// # Errors
    /// Returns the reason if the result differs from the reference store.
    pub fn look(
        &mut self,
        reader: TxIndex,
        location: &L,
        at: EventStamp,
        (began, life): (Ticket, Option<Ticket>),
        found: &Found<L>,
    ) -> Result<(), Why> {
        self.check_stamp(location, at)?;
        let floor = match (location.scope(), life) {
            (None, None) => Floor::Base,
            (None, Some(_)) => return Err(format!("{location:?} has no scope to look at")),
            // The first change of a scope may follow the start of this lookup.
            (Some(_), None) if self.scope_used.is_none_or(|used| used >= began) => Floor::Base,
            (Some(scope), None) => {
                return Err(format!("{reader} looked at {location:?} without {scope:?}"));
            }
            (Some(scope), Some(life)) => {
                let look = self.lives.remove(&life).filter(|_| life >= began);
                let fits = |look: &LifeLookup<L>| look.reader == reader && look.scope == scope;
                let look = look.filter(fits);
                look.ok_or_else(|| format!("{reader} looked at no {scope:?}"))?.floor
            }
        };
        let expected = self.cells.find(location, reader, floor);
        ensure(*found == expected, || {
            format!("{reader} found {found:?} at {location:?}, not {expected:?}")
        })?;
        self.registered(location, reader).value = Some((floor, found.clone()));
        Ok(())
    }

    /// Checks a lookup that ended at a predicted writer, after the lookup in its scope if there was
    /// one.
    ///
    /// # Errors
    /// Returns the reason if the trace lacks the lookup in the scope.
    pub fn predicted(
        &mut self,
        reader: TxIndex,
        location: &L,
        life: Option<Ticket>,
    ) -> Result<(), Why> {
        let Some(life) = life else { return Ok(()) };
        let look = self.lives.remove(&life);
        let fits = look.is_some_and(|look| {
            look.reader == reader && location.scope().as_ref() == Some(&look.scope)
        });
        ensure(fits, || format!("{reader} did not look at the scope of {location:?}"))
    }

    /// Checks the change of an entry.
    ///
    /// # Errors
    /// Returns the reason if the change is not permitted, the stamp is not the next one, or a
    /// reader is not named.
    pub fn changed(
        &mut self,
        ticket: Ticket,
        version: Version,
        (location, change): (&L, &Change<L>),
        (at, took): (EventStamp, bool),
        stale: &[TxIndex],
    ) -> Result<(), Why> {
        self.check_position(location, at)?;
        let last = self.stamps.entry(at.shard).or_insert(0);
        *last += 1;
        ensure(at.stamp == *last, || {
            format!("{version} published under stamp {}, not {last}", at.stamp)
        })?;
        if location.is_scope() {
            self.scope_used.get_or_insert(ticket);
        }
        let before = self.answers(version.tx, location);
        let expected = self.cells.change(version, location, change);
        ensure(took == expected, || {
            format!("{change:?} of {version} at {location:?} took: {took}, not {expected}")
        })?;
        if *change == Change::Estimate || !took {
            // The change that replaces the estimate names the readers.
            return ensure(stale.is_empty(), || format!("{version} names readers without cause"));
        }
        self.check_named(version.tx, location, &before, stale)
    }

    /// Returns the current results of lookups at `location` for readers above `writer`.
    fn answers(&self, writer: TxIndex, location: &L) -> Vec<(TxIndex, Answers<L>)> {
        let readers = self.readers.get(location).into_iter().flatten();
        let readers = readers.filter(|(reader, _)| **reader > writer && **reader >= self.frontier);
        let answers = |(reader, seen): (&TxIndex, &Registered<L>)| {
            let value = seen.value.as_ref();
            let value = value.map(|(floor, _)| self.cells.find(location, *reader, *floor));
            let life = seen.life.map(|_| self.cells.floor(location, *reader));
            (*reader, (value, life))
        };
        readers.map(answers).collect()
    }

    /// Checks that a change by `writer` names only readers above `writer`, and all readers whose
    /// reads it changes.
    fn check_named(
        &mut self,
        writer: TxIndex,
        location: &L,
        before: &[(TxIndex, Answers<L>)],
        stale: &[TxIndex],
    ) -> Result<(), Why> {
        let after = self.answers(writer, location);
        let readers = self.readers.entry(location.clone()).or_default();
        for reader in stale {
            ensure(*reader > writer, || format!("{writer} names {reader}, which is not above it"))?;
            let known = readers.contains_key(reader);
            ensure(known, || format!("{writer} names {reader}, which never looked"))?;
        }
        readers.retain(|reader, _| !stale.contains(reader));
        for ((reader, before), (_, after)) in before.iter().zip(&after) {
            let Some(seen) = readers.get(reader) else { continue };
            let value = seen.value.as_ref().map(|(_, found)| found);
            let same_value = before.0 == after.0 || value == after.0.as_ref();
            let same_life = before.1 == after.1 || seen.life == after.1;
            ensure(same_value && same_life, || {
                format!("{writer} changed {location:?} and does not name {reader}")
            })?;
        }
        Ok(())
    }
}
