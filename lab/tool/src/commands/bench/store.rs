//! `braid-lab bench --store`: the state before each block in an embedded store.

#[cfg(feature = "redb")]
use crate::bench::Redb;
#[cfg(braid_rocksdb)]
use crate::bench::RocksDb;
use crate::bench::{Store, StoreFolder};
use braid_cli::{
    bench::{BenchError, Figures, Subject},
    commands::bench::{BenchArgs, Loaded, Measure, measured},
};
use braid_evm::Executor;
use clap::ValueEnum;

/// Embedded stores, with a cache of one mebibyte.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum StoreArg {
    /// redb: a B-tree in one file; it caches one mebibyte
    #[cfg(feature = "redb")]
    Redb,
    /// RocksDB: sorted runs in many files; it caches one mebibyte
    #[cfg(braid_rocksdb)]
    Rocksdb,
}

impl StoreArg {
    /// Measures blocks on this store.
    pub(super) const fn measure(self) -> Measure<'static> {
        match self {
            #[cfg(feature = "redb")]
            Self::Redb => &stored::<Redb>,
            #[cfg(braid_rocksdb)]
            Self::Rocksdb => &stored::<RocksDb>,
        }
    }
}

/// Measures a block on a store of kind `S`.
fn stored<S: Store>(
    args: &BenchArgs,
    executors: &mut [Executor],
    Loaded { name, file, block, shared }: Loaded<'_>,
) -> Result<Vec<Figures>, BenchError> {
    let folder = StoreFolder::<S>::write(file);
    let folder = folder.map_err(|error| BenchError::Invalid(error.to_string()))?;
    let subject = Subject { name, block, shared, database: &|| folder.cold(), reads: None };
    measured(args, executors, &subject)
}
