//! Blocks at fixed times or on demand, and the commands of a development node's clients.

use super::{Mined, Node, Observer, view};
use crate::{
    clock::{Shift, now},
    dev::Command,
    error::NodeError,
    shared::account,
};
use alloy_primitives::Address;
use braid_chain::{AccountEdit, Edited, Head, StateStore};
use crossbeam_channel::{Receiver, after, never, select};
use std::{
    collections::BTreeMap,
    convert::Infallible,
    time::{Duration, Instant},
};

/// When a node makes blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mining {
    /// As soon as a transaction comes.
    Automatic,
    /// At this interval, also without transactions.
    Every(Duration),
    /// Only when a client asks for it.
    OnDemand,
}

/// Maximum number of blocks that one command makes.
const BLOCKS: u64 = 100_000;

/// State of the commands, which ends with the process.
struct Control {
    automine: bool,
    interval: Option<Duration>,
    /// When the next block is made, with an interval.
    due: Instant,
    /// Edits that have not been undone, with the number of the block after which they were made.
    edits: Vec<(u64, Edited)>,
    snapshots: BTreeMap<u64, Point>,
    next_snapshot: u64,
}

/// A state to which a client may return.
struct Point {
    number: u64,
    edits: usize,
    clock: (Shift, u64),
}

impl Control {
    fn new(mining: Mining) -> Self {
        let interval = match mining {
            Mining::Every(interval) => Some(interval),
            Mining::Automatic | Mining::OnDemand => None,
        };
        let mut control = Self {
            automine: mining == Mining::Automatic,
            interval: None,
            due: Instant::now(),
            edits: Vec::new(),
            snapshots: BTreeMap::new(),
            next_snapshot: 0,
        };
        control.set_interval(interval.unwrap_or_default());
        control
    }

    fn set_interval(&mut self, interval: Duration) {
        self.interval = (!interval.is_zero()).then_some(interval);
        self.wait();
    }

    /// Begins to wait for the next block.
    fn wait(&mut self) {
        let now = Instant::now();
        self.due = now.checked_add(self.interval.unwrap_or_default()).unwrap_or(now);
    }

    fn tick(&self) -> Receiver<Instant> {
        let until = self.due.saturating_duration_since(Instant::now());
        self.interval.map_or_else(never, |_| after(until))
    }
}

impl<S: StateStore> Node<S> {
    /// Makes blocks as `mining` says, until `stopped` is disconnected; all blocks are durable when
    /// it returns. `observer` is notified of each block. If the node is one for
    /// [development](crate::NodeConfig::is_dev), carries out the commands of its clients.
    ///
    /// # Errors
    /// As for [`run`](Self::run).
    pub fn mine(
        &mut self,
        mining: Mining,
        stopped: &Receiver<Infallible>,
        observer: &mut impl Observer,
    ) -> Result<Head, NodeError> {
        let ran = self.obey_all(&mut Control::new(mining), stopped, observer);
        self.end(ran)
    }

    fn obey_all(
        &mut self,
        control: &mut Control,
        stopped: &Receiver<Infallible>,
        observer: &mut impl Observer,
    ) -> Result<(), NodeError> {
        let (woken, commands) = (self.woken.clone(), self.commands.clone());
        loop {
            let tick = control.tick();
            select! {
                recv(stopped) -> _ => return Ok(()),
                recv(tick) -> _ => {
                    control.wait();
                    self.observed(observer)?;
                }
                recv(woken) -> _ => self.settle(control, observer)?,
                recv(commands) -> request => {
                    let Ok((command, reply)) = request else { continue };
                    let result = self.obey(command, control, observer)?;
                    // A client may have left.
                    let _ = reply.send(result);
                }
            }
        }
    }

    /// Carries out a command. The inner error is the client's, the outer one ends the node.
    fn obey(
        &mut self,
        command: Command,
        control: &mut Control,
        observer: &mut impl Observer,
    ) -> Result<Result<u64, String>, NodeError> {
        let mut result = 0;
        match command {
            Command::Settle => self.settle(control, observer)?,
            Command::Mine { blocks, .. } if blocks > BLOCKS => {
                return Ok(Err(format!("more than {BLOCKS} blocks: ask for less at a time")));
            }
            Command::Mine { blocks, interval } => self.mine_many(blocks, interval, observer)?,
            Command::Snapshot => {
                result = control.next_snapshot;
                control.next_snapshot = result.saturating_add(1);
                let point = self.point(control);
                control.snapshots.insert(result, point);
            }
            Command::Revert(id) => {
                let Some(point) = control.snapshots.remove(&id) else { return Ok(Ok(0)) };
                control.snapshots.split_off(&id);
                return Ok(self.return_to(&point, control)?.map(|()| 1));
            }
            Command::Reset => {
                control.snapshots.clear();
                let number = self.shared.history().oldest().unwrap_or_default();
                let first = Point { number, edits: 0, clock: Default::default() };
                return Ok(self.return_to(&first, control)?.map(|()| 0));
            }
            Command::Edit(address, edit) => self.edit(address, &edit, control)?,
            Command::Drop(hash) => result = u64::from(self.pool.handle().remove(&hash)),
            Command::DropAll => self.pool.reset(self.chain.head(), self.next_base_fee()),
            Command::SetAutomine(automine) => {
                control.automine = automine;
                self.settle(control, observer)?;
            }
            Command::SetInterval(interval) => control.set_interval(interval),
            Command::GetAutomine => result = u64::from(control.automine),
        }
        Ok(Ok(result))
    }

    /// Makes the blocks for which transactions wait, if they are made automatically, and shows them
    /// to clients.
    fn settle(&mut self, control: &Control, observer: &mut impl Observer) -> Result<(), NodeError> {
        if control.automine {
            observer.begin();
            while let Some(mined) = self.step(now())? {
                observer.mined(&mined);
                observer.begin();
            }
        }
        self.show()
    }

    /// Shows all blocks to clients.
    fn show(&self) -> Result<(), NodeError> {
        self.chain.flush()?;
        self.shared.show();
        Ok(())
    }

    /// Makes a block, even an empty one, and tells the observer.
    fn observed(&mut self, observer: &mut impl Observer) -> Result<(), NodeError> {
        observer.begin();
        let mined: Mined = self.force(now())?;
        observer.mined(&mined);
        Ok(())
    }

    fn mine_many(
        &mut self,
        blocks: u64,
        interval: Option<u64>,
        observer: &mut impl Observer,
    ) -> Result<(), NodeError> {
        for index in 0..blocks {
            let parent = self.parent.header.timestamp;
            if let Some(seconds) = interval.filter(|_| index > 0) {
                self.shared.producer.clock.set_next(parent.saturating_add(seconds));
            }
            self.observed(observer)?;
        }
        self.show()
    }

    fn next_base_fee(&self) -> u64 {
        self.shared.made().next_base_fee
    }

    /// Returns the current state.
    fn point(&self, control: &Control) -> Point {
        Point {
            number: self.chain.head().number,
            edits: control.edits.len(),
            clock: self.shared.producer.clock.read(),
        }
    }

    /// Unwinds blocks and undoes edits, in the reverse order. The inner error is the client's.
    fn return_to(
        &mut self,
        point: &Point,
        control: &mut Control,
    ) -> Result<Result<(), String>, NodeError> {
        self.show()?;
        let Some(parent) = self.shared.history().by_number(point.number) else {
            return Ok(Err(format!("block {} is not kept any more", point.number)));
        };
        loop {
            let head = self.chain.head().number;
            let is_undone = control.edits.len() > point.edits;
            let last = control.edits.last().map(|(number, _)| *number).filter(|_| is_undone);
            if last == Some(head) {
                if let Some((_, edited)) = control.edits.pop() {
                    self.chain.undo_edit(edited)?;
                }
            } else if head > point.number {
                self.chain.unwind(head - last.unwrap_or_default().max(point.number))?;
            } else {
                break;
            }
        }
        self.parent = parent;
        self.shared.producer.clock.restore(point.clock);
        let view = view(&self.shared.producer, &self.parent, self.chain.state()?);
        let base_fee = view.next_base_fee;
        self.pool.set_blob_fee(view.next_blob_fee);
        self.shared.rewind(view);
        self.pool.reset(self.chain.head(), base_fee);
        Ok(Ok(()))
    }

    /// Changes an account in the state after the last block.
    fn edit(
        &mut self,
        address: Address,
        edit: &AccountEdit,
        control: &mut Control,
    ) -> Result<(), NodeError> {
        let edited = self.chain.edit(address, edit)?;
        let head = self.chain.head();
        control.edits.push((head.number, edited));
        let view = view(&self.shared.producer, &self.parent, self.chain.state()?);
        let (base_fee, account) = (view.next_base_fee, account(&view.state, address, true)?);
        self.shared.rewind(view);
        self.pool.applied(head, base_fee, [(address, account)]);
        Ok(())
    }
}
