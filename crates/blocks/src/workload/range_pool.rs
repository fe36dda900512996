//! Pools with concentrated liquidity in the state.

use super::{
    WorkloadError,
    artifact::{Artifact, mapping_slot, word},
    pool::Pool,
    state::State,
    token::{TOKEN, Tokens},
};
use alloy_primitives::{B256, Bytes, U256, keccak256};

/// Ticks between two boundaries.
const SPACING: i64 = 60;
/// Number of boundaries on either side of price 1: sufficient for one trade.
pub(super) const PLACES_FOR_ONE: i64 = 6;
/// Same, for any number of trades in both directions, which pull the price back.
pub(super) const PLACES_FOR_MANY: i64 = 100;
/// The initial tick of a pool: the middle of the range from 0 to 59.
const START_TICK: u64 = 30;
/// 1.0001^15 in 1/2^96, rounded up: the square root of the initial price.
const START_ROOT: u128 = 79_347_087_983_666_005_045_280_518_415;
/// Number of initialised entries of the oracle's ring.
const CARDINALITY: u64 = 8;
/// Seconds between the last trade of a pool and the block.
const QUIET_SECONDS: u64 = 600;

/// The contract.
#[derive(Debug)]
pub(super) struct RangePools {
    artifact: Artifact,
    code: (B256, Bytes),
}

impl RangePools {
    pub(super) fn load() -> Result<Self, WorkloadError> {
        let artifact = Artifact::range_pool()?;
        Ok(Self { code: artifact.code(), artifact })
    }

    /// Writes a pool into the state as it is before a block at second `time`. Its owner provides
    /// liquidity over all boundaries, which are `places` (an even number) on either side of price
    /// 1, and more of it in every other range.
    pub(super) fn deploy(
        &self,
        state: &mut State,
        tokens: &Tokens,
        pool: Pool,
        (time, places): (u64, i64),
    ) -> Result<(), WorkloadError> {
        state.deploy(pool.address, self.code.clone());
        let mut writer = Writer { artifact: &self.artifact, state, pool, places };
        for (variable, value) in
            [("_owner", pool.owner), ("token0", pool.token0), ("token1", pool.token1)]
        {
            writer.word(variable, word(value))?;
        }
        writer.word("liquidity", base() + more())?;
        writer.word("growth0X128", growth())?;
        writer.word("growth1X128", growth())?;
        let fees = TOKEN * U256::from(100);
        let slot = writer.artifact.slot("protocolFees")?;
        writer.members(slot, "RangePool.Pair", &[("amount0", fees), ("amount1", fees)])?;
        writer.market(U256::from(time.saturating_sub(QUIET_SECONDS)))?;
        for place in -places..=places {
            writer.boundary(place, time)?;
        }
        writer.position(-places, places, base())?;
        // Far more than all liquidity is worth.
        for token in [pool.token0, pool.token1] {
            tokens.mint(state, token, pool.address, TOKEN * U256::from(1_000_000));
        }
        Ok(())
    }
}

/// Returns the liquidity over all boundaries: so little that a trade crosses about two of them.
fn base() -> U256 {
    TOKEN * U256::from(750)
}

/// Returns the additional liquidity in every other range.
fn more() -> U256 {
    TOKEN * U256::from(250)
}

/// Returns the fees per unit of liquidity so far.
fn growth() -> U256 {
    U256::from(1) << 120
}

/// Returns a signed number as stored by Solidity.
fn signed(number: i64) -> U256 {
    let size = U256::from(number.unsigned_abs());
    if number < 0 { size.wrapping_neg() } else { size }
}

/// Writes the variables of one pool.
struct Writer<'a> {
    artifact: &'a Artifact,
    state: &'a mut State,
    pool: Pool,
    places: i64,
}

impl Writer<'_> {
    fn word(&mut self, variable: &str, value: U256) -> Result<(), WorkloadError> {
        self.state.set(self.pool.address, self.artifact.slot(variable)?, value);
        Ok(())
    }

    fn members(
        &mut self,
        slot: U256,
        name: &str,
        values: &[(&str, U256)],
    ) -> Result<(), WorkloadError> {
        for (distance, value) in self.artifact.members(name)?.pack(values)? {
            self.state.set(self.pool.address, slot + U256::from(distance), value);
        }
        Ok(())
    }

    /// Writes the price, and the oracle's ring with the observation of the last trade.
    fn market(&mut self, last_trade: U256) -> Result<(), WorkloadError> {
        let market = [
            ("root", U256::from(START_ROOT)),
            ("tick", U256::from(START_TICK)),
            ("newest", U256::ZERO),
            ("cardinality", U256::from(CARDINALITY)),
            ("protocolShare", U256::from(6)),
        ];
        self.members(self.artifact.slot("market")?, "RangePool.Market", &market)?;
        let ring = self.artifact.slot("observations")?;
        let newest = [
            ("timestamp", last_trade),
            ("tickSeconds", U256::from(START_TICK * QUIET_SECONDS)),
            ("secondsPerShareX128", U256::from(1) << 60),
            ("written", U256::from(1)),
        ];
        self.members(ring, "Oracle.Observation", &newest)?;
        for place in 1..CARDINALITY {
            // A timestamp of 1 marks an entry that is initialised and not yet written.
            let paid = [("timestamp", U256::from(1))];
            self.members(ring + U256::from(place), "Oracle.Observation", &paid)?;
        }
        Ok(())
    }

    /// Writes a boundary: as the price rises, liquidity is added at even places and removed at odd
    /// ones.
    fn boundary(&mut self, place: i64, time: u64) -> Result<(), WorkloadError> {
        let joins = place % 2 == 0 && place != self.places;
        let leaves = place % 2 != 0;
        let mut net = U256::ZERO;
        let mut gross = U256::ZERO;
        for (amount, here, negative) in [
            (more(), joins, false),
            (more(), leaves, true),
            (base(), place == -self.places, false),
            (base(), place == self.places, true),
        ] {
            if here {
                gross += amount;
                net = if negative { net.wrapping_sub(amount) } else { net.wrapping_add(amount) };
            }
        }
        let values = [
            ("gross", gross),
            ("net", net),
            ("beyond0X128", growth() >> 1),
            ("beyond1X128", growth() >> 1),
            ("secondsBeyond", U256::from(time - QUIET_SECONDS)),
            ("secondsPerShareBeyondX128", U256::from(1) << 50),
        ];
        let slot = mapping_slot(signed(place * SPACING), self.artifact.slot("boundaries")?);
        self.members(slot, "RangePool.Boundary", &values)?;
        let marks = mapping_slot(signed(place >> 8), self.artifact.slot("marks")?);
        let marked = self.state.get(self.pool.address, marks) | U256::from(1) << (place & 0xff);
        self.state.set(self.pool.address, marks, marked);
        Ok(())
    }

    /// Writes the owner's liquidity between two places.
    fn position(&mut self, low: i64, high: i64, amount: U256) -> Result<(), WorkloadError> {
        let mut key = Vec::with_capacity(96);
        for part in [word(self.pool.owner), signed(low * SPACING), signed(high * SPACING)] {
            key.extend_from_slice(&part.to_be_bytes::<32>());
        }
        let key = U256::from_be_bytes(keccak256(key).0);
        let slot = mapping_slot(key, self.artifact.slot("positions")?);
        self.members(slot, "RangePool.Position", &[("liquidity", amount)])
    }
}
