//! A store that fails at the read or write with a given number, on any thread.

use alloy_primitives::keccak256;
use braid_chain::{Entry, Snapshot, StateStore, StoreError, Table, Writes};
use std::{
    error::Error,
    fmt,
    iter::once,
    panic::resume_unwind,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

/// Kind of an injected fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// A read returns an error.
    ReadFails,
    /// A read panics.
    ReadPanics,
    /// A read is slow.
    ReadSlow,
    /// A write returns an error and writes nothing.
    WriteFails,
    /// A write returns an error, but has written everything.
    WriteFailsLate,
    /// A write panics and writes nothing.
    WritePanics,
    /// A write is slow.
    WriteSlow,
    /// The block is cancelled, during a read or after some time.
    Cancelled,
}

impl Kind {
    pub(crate) const ALL: [Self; 8] = [
        Self::ReadFails,
        Self::ReadPanics,
        Self::ReadSlow,
        Self::WriteFails,
        Self::WriteFailsLate,
        Self::WritePanics,
        Self::WriteSlow,
        Self::Cancelled,
    ];

    fn is_of_writes(self) -> bool {
        matches!(
            self,
            Self::WriteFails | Self::WriteFailsLate | Self::WritePanics | Self::WriteSlow
        )
    }
}

/// The injected error, which is also the payload of injected panics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Asked;

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the test asked for it")
    }
}

impl Error for Asked {}

/// A fault, and the time of its injection.
#[derive(Debug)]
pub(crate) struct Trouble {
    pub(crate) kind: Kind,
    /// Number of the failing read or write, counted from 0 while the fault is armed.
    at: u64,
    /// Whether all later ones fail, too.
    lasts: bool,
    armed: AtomicBool,
    counted: AtomicU64,
    /// Whether the block is to be cancelled.
    pub(crate) cancelled: AtomicBool,
}

impl Trouble {
    /// Returns the fault for `seed`, not armed.
    pub(crate) fn new(seed: u64) -> Arc<Self> {
        let random = keccak256(seed.to_be_bytes());
        let kind = Kind::ALL[usize::from(random[0]) % Kind::ALL.len()];
        // Few blocks take a thousand reads, and each block is one write.
        let most = if kind.is_of_writes() { 4 } else { [6, 40, 200, 800][random[1] as usize % 4] };
        let at = u64::from(u16::from_be_bytes([random[2], random[3]])) % most;
        Arc::new(Self::of(kind, at, random[4].is_multiple_of(2)))
    }

    const fn of(kind: Kind, at: u64, lasts: bool) -> Self {
        let (armed, cancelled) = (AtomicBool::new(false), AtomicBool::new(false));
        Self { kind, at, lasts, armed, counted: AtomicU64::new(0), cancelled }
    }

    /// Arms or disarms the fault. Disarming resets the count.
    pub(crate) fn arm(&self, armed: bool) {
        self.cancelled.store(false, SeqCst);
        if !armed {
            self.counted.store(0, SeqCst);
        }
        self.armed.store(armed, SeqCst);
    }

    /// Returns the time at which the block is cancelled, if not during a read.
    pub(crate) fn moment(&self) -> Option<Duration> {
        let after = self.kind == Kind::Cancelled && self.lasts && self.armed.load(SeqCst);
        after.then(|| Duration::from_micros(5 * self.at))
    }

    fn strikes(&self) -> bool {
        if !self.armed.load(SeqCst) {
            return false;
        }
        let number = self.counted.fetch_add(1, SeqCst);
        number == self.at || (self.lasts && number > self.at)
    }

    fn read(&self) -> Result<(), StoreError> {
        if self.kind.is_of_writes() || !self.strikes() {
            return Ok(());
        }
        match self.kind {
            Kind::ReadFails => return Err(StoreError::backend(Asked)),
            // Unlike `panic!`, this prints nothing to standard error.
            Kind::ReadPanics => resume_unwind(Box::new(Asked)),
            Kind::Cancelled if self.lasts => {}
            Kind::Cancelled => self.cancelled.store(true, SeqCst),
            _ => thread::sleep(Duration::from_micros(if self.lasts { 10 } else { 2_000 })),
        }
        Ok(())
    }
}

/// A store with an injected fault.
#[derive(Clone, Debug)]
pub(crate) struct Troubled<S> {
    pub(crate) inner: S,
    pub(crate) trouble: Arc<Trouble>,
}

impl<S> Troubled<S> {
    /// Makes all reads or writes of `kind` fail from number `at` on, counted from 0.
    pub(crate) fn lasting(inner: S, kind: Kind, at: u64) -> Self {
        let trouble = Trouble::of(kind, at, true);
        trouble.arm(true);
        Self { inner, trouble: Arc::new(trouble) }
    }
}

impl<S: StateStore> StateStore for Troubled<S> {
    type Snapshot = Troubled<S::Snapshot>;

    fn snapshot(&self) -> Result<Self::Snapshot, StoreError> {
        let trouble = Arc::clone(&self.trouble);
        Ok(Troubled { inner: self.inner.snapshot()?, trouble })
    }

    fn write(&self, writes: Writes) -> Result<(), StoreError> {
        if !self.trouble.kind.is_of_writes() || !self.trouble.strikes() {
            return self.inner.write(writes);
        }
        match self.trouble.kind {
            Kind::WriteFails => return Err(StoreError::backend(Asked)),
            Kind::WritePanics => resume_unwind(Box::new(Asked)),
            Kind::WriteFailsLate => {
                self.inner.write(writes)?;
                return Err(StoreError::backend(Asked));
            }
            _ => thread::sleep(Duration::from_millis(2)),
        }
        self.inner.write(writes)
    }
}

impl<S: Snapshot> Snapshot for Troubled<S> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.trouble.read()?;
        self.inner.get(table, key)
    }

    fn scan(
        &self,
        table: Table,
        prefix: &[u8],
    ) -> Box<dyn Iterator<Item = Result<Entry, StoreError>> + '_> {
        match self.trouble.read() {
            Ok(()) => self.inner.scan(table, prefix),
            Err(error) => Box::new(once(Err(error))),
        }
    }
}
