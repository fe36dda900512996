//! What transactions of several lanes have read and written, and up to which one that is as if they had run in
//! order.

use super::digests::Digests;
use super::location::Location;
use crate::ids::TxIndex;
use hashbrown::HashTable;

/// What the transactions of one lane have read from below it and written, in their order, by hash.
#[derive(Debug)]
pub struct Trail {
    reads: Digests,
    writes: Digests,
    /// Each transaction, and how much of both there was at its end.
    ends: Vec<(TxIndex, usize, usize)>,
}

/// Who was the first to write a location, in the lane where that was lowest and in the next one.
#[derive(Clone, Copy, Debug)]
struct Writers {
    hash: u64,
    lowest: (usize, TxIndex),
    other: Option<TxIndex>,
}

impl Trail {
    /// Nothing; `reads` is filled by the view of the lane, in the manner of `none`.
    #[must_use]
    pub fn new(none: &Digests) -> Self {
        Self { reads: none.clone(), writes: none.clone(), ends: Vec::new() }
    }

    /// The transaction that comes next writes `location`.
    pub fn write<L: Location>(&mut self, location: &L) {
        self.writes.add(location);
    }

    /// `tx` is at its end, where the lane has read `reads` locations from below so far.
    pub fn end(&mut self, tx: TxIndex, reads: usize) {
        self.ends.push((tx, reads, self.writes.len()));
    }

    /// What was read from below by all of them.
    pub fn set_reads(&mut self, reads: Digests) {
        self.reads = reads;
    }

    /// What has been read, or written, with the transaction that was the first to do so.
    fn marks<'a>(
        &'a self,
        of: &'a Digests,
        end: fn(&(TxIndex, usize, usize)) -> usize,
    ) -> impl Iterator<Item = (u64, TxIndex)> + 'a {
        let mut from = 0;
        self.ends.iter().flat_map(move |ended| {
            let range = from..end(ended);
            from = range.end;
            of.hashes().get(range).unwrap_or_default().iter().map(move |hash| (*hash, ended.0))
        })
    }

    fn read_marks(&self) -> impl Iterator<Item = (u64, TxIndex)> + '_ {
        self.marks(&self.reads, |ended| ended.1)
    }

    fn write_marks(&self) -> impl Iterator<Item = (u64, TxIndex)> + '_ {
        self.marks(&self.writes, |ended| ended.2)
    }
}

/// The end of those that have run as if in order, of lanes that began at one point and whose transactions all lie
/// below `end`.
///
/// A lane looks below itself for a location once, when its first transaction `r` reads it, and later ones
/// find it in the lane. If the first transaction of another lane to write it is `w`, those of the lane up to
/// `w` have seen what they had to see; those above it may not have. So everything holds that is not above
/// both: below `r` where that is the higher one, and up to `w` otherwise. Who writes a location has read it, or
/// changes besides the account that it belongs to, which has been read by everybody who reads or changes the
/// location: so two lanes never change the same one unnoticed.
#[must_use]
pub fn in_order_below(trails: &[&Trail], end: TxIndex) -> TxIndex {
    let hasher = |writers: &Writers| writers.hash;
    let mut written: HashTable<Writers> =
        HashTable::with_capacity(trails.iter().map(|trail| trail.writes.len()).sum());
    for (lane, trail) in trails.iter().enumerate() {
        for (hash, tx) in trail.write_marks() {
            let first = Writers { hash, lowest: (lane, tx), other: None };
            let entry = written.entry(hash, |other| other.hash == hash, hasher).or_insert(first);
            let writers = entry.into_mut();
            let (lowest_lane, lowest) = writers.lowest;
            if lane == lowest_lane {
                continue;
            }
            let higher = if tx < lowest {
                writers.lowest = (lane, tx);
                lowest
            } else {
                tx
            };
            writers.other = Some(writers.other.map_or(higher, |other| other.min(higher)));
        }
    }
    let mut below = end;
    for (lane, trail) in trails.iter().enumerate() {
        for (hash, reader) in trail.read_marks() {
            let Some(writers) = written.find(hash, |other| other.hash == hash) else { continue };
            let (lowest_lane, lowest) = writers.lowest;
            let writer = if lane == lowest_lane { writers.other } else { Some(lowest) };
            if let Some(writer) = writer {
                below = below.min(if writer < reader { reader } else { writer.next() });
            }
        }
    }
    below
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mv::Footprint;
    use core::hash::BuildHasher;

    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    struct Slot(u32);

    impl Location for Slot {
        type Value = u32;
        type Delta = u32;

        fn scope(&self) -> Option<Self> {
            None
        }

        fn is_scope(&self) -> bool {
            false
        }

        fn destroyed(&self) -> u32 {
            0
        }

        fn fold(value: &mut u32, delta: &u32) {
            *value += delta;
        }
    }

    type Tx<'a> = (u32, &'a [u32], &'a [u32]);
    type OwnTx = (u32, Vec<u32>, Vec<u32>);

    fn trail(none: &Digests, transactions: &[Tx<'_>]) -> Trail {
        let (mut trail, mut reads) = (Trail::new(none), none.clone());
        for (tx, read, written) in transactions {
            read.iter().for_each(|slot| reads.add(&Slot(*slot)));
            written.iter().for_each(|slot| trail.write(&Slot(*slot)));
            trail.end(TxIndex(*tx), reads.len());
        }
        trail.set_reads(reads);
        trail
    }

    fn below(lanes: &[&[Tx<'_>]]) -> u32 {
        let none = Footprint::default().digests();
        let trails: Vec<_> = lanes.iter().map(|lane| trail(&none, lane)).collect();
        in_order_below(&trails.iter().collect::<Vec<_>>(), TxIndex(100)).0
    }

    #[test]
    fn lanes_that_share_nothing_but_what_they_read_hold() {
        assert_eq!(below(&[&[(0, &[1, 9], &[1]), (2, &[2], &[1, 2])], &[(1, &[3, 9], &[3])]]), 100);
        assert_eq!(below(&[]), 100);
    }

    #[test]
    fn who_reads_what_a_lower_one_of_another_lane_wrote_does_not_hold() {
        assert_eq!(below(&[&[(0, &[1], &[1])], &[(1, &[2], &[]), (3, &[1], &[])]]), 3);
    }

    #[test]
    fn who_read_before_it_was_written_holds_and_those_after_it_may_not() {
        // The second lane has slot 1 in its hands from transaction 1 on.
        assert_eq!(
            below(&[&[(4, &[1], &[1])], &[(1, &[1], &[]), (3, &[2], &[]), (7, &[5], &[])]]),
            5
        );
    }

    #[test]
    fn the_lowest_writer_of_another_lane_counts() {
        let lanes: [&[Tx<'_>]; 3] = [
            &[(2, &[1], &[1]), (8, &[], &[1])],
            &[(5, &[1], &[1])],
            &[(0, &[7], &[]), (9, &[1], &[])],
        ];
        assert_eq!(below(&lanes), 5);
        assert_eq!(below(&lanes[1..]), 9);
        assert_eq!(below(&[lanes[0], lanes[2]]), 9);
        assert_eq!(below(&[lanes[2], lanes[1], lanes[0]]), 5);
    }

    /// Random lanes against what their transactions would have seen in order.
    #[test]
    fn everything_below_has_seen_what_it_had_to_see() {
        let none = Footprint::default().digests();
        let (mut some, mut all) = (0, 0);
        for seed in 0..3_000_u64 {
            let random = |what: u64| foldhash::fast::FixedState::with_seed(seed).hash_one(what);
            let count = 12;
            let lane_of = |tx: u64| random(tx) % 3;
            let slot = |tx: u64, which: u64| (random(100 + 10 * tx + which) % 24) as u32;
            let mut lanes: [Vec<OwnTx>; 3] = Default::default();
            // What a transaction sees at a slot: who wrote it last, in order and in its lane.
            let mut in_order: Vec<Option<u64>> = vec![None; 24];
            let mut in_lane: Vec<Vec<Option<Option<u64>>>> = vec![vec![None; 24]; 3];
            let mut wrong = None;
            for tx in 0..count {
                let lane = lane_of(tx) as usize;
                let (read, written) = ([slot(tx, 0), slot(tx, 1)], [slot(tx, 1)]);
                let mut from_below = Vec::new();
                for at in read {
                    let own = &mut in_lane[lane][at as usize];
                    if own.is_none() {
                        from_below.push(at);
                        *own = Some(None);
                    }
                    if *own != Some(in_order[at as usize]) && wrong.is_none() {
                        wrong = Some(tx as u32);
                    }
                }
                for at in written {
                    in_order[at as usize] = Some(tx);
                    in_lane[lane][at as usize] = Some(Some(tx));
                }
                lanes[lane].push((tx as u32, from_below, written.to_vec()));
            }
            let trails: Vec<_> = lanes
                .iter()
                .map(|lane| {
                    let lane: Vec<Tx<'_>> =
                        lane.iter().map(|(tx, r, w)| (*tx, &r[..], &w[..])).collect();
                    trail(&none, &lane)
                })
                .collect();
            let below = in_order_below(&trails.iter().collect::<Vec<_>>(), TxIndex(count as u32)).0;
            assert!(
                wrong.is_none_or(|wrong| below <= wrong),
                "{seed}: {below}, wrong at {wrong:?}"
            );
            assert!(below > 0, "the first one always holds");
            some += usize::from(below < count as u32);
            all += usize::from(below == count as u32);
        }
        assert!(some > 300 && all > 10, "{some}, {all}");
    }
}
