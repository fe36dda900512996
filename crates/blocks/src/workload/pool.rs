//! Pools and their router in the state, and calls of them.

use super::{
    WorkloadError,
    artifact::{Artifact, call_data, mapping_slot, word},
    state::State,
    token::{TOKEN, Tokens},
};
use alloy_primitives::{Address, B256, Bytes, U256};

/// Number of initialised entries of the oracle's ring.
const CARDINALITY: u64 = 8;
/// The tick of 1.003, the initial price of a pool: the middle of the range of ticks 0 to 59, which
/// small trades do not leave at once.
pub(super) const START_TICK: u64 = 29;
/// Seconds between the last trade of a pool and the block.
const QUIET_SECONDS: u64 = 600;

/// The pool contract.
#[derive(Debug)]
pub(super) struct Pools {
    artifact: Artifact,
    code: (B256, Bytes),
}

/// Addresses of a pool, its tokens and its owner.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pool {
    pub(super) address: Address,
    pub(super) token0: Address,
    pub(super) token1: Address,
    pub(super) owner: Address,
}

impl Pools {
    pub(super) fn load() -> Result<Self, WorkloadError> {
        let artifact = Artifact::pool()?;
        Ok(Self { code: artifact.code(), artifact })
    }

    /// Writes a pool with reserves, a price, a history and one holder of shares into the state, as
    /// it is before a block at second `time`.
    pub(super) fn deploy(
        &self,
        state: &mut State,
        tokens: &Tokens,
        pool: Pool,
        time: u64,
    ) -> Result<(), WorkloadError> {
        let reserve0 = TOKEN * U256::from(1_000_000);
        let reserve1 = TOKEN * U256::from(1_003_000);
        // About the square root of the product of the reserves.
        let shares = TOKEN * U256::from(1_001_498);
        let growth = U256::from(1) << 120;
        let fees = TOKEN * U256::from(100);
        state.deploy(pool.address, self.code.clone());
        let mut writer = Writer { artifact: &self.artifact, state, address: pool.address };
        writer.word("_owner", word(pool.owner))?;
        writer.word("token0", word(pool.token0))?;
        writer.word("token1", word(pool.token1))?;
        writer.word("growth0X128", growth)?;
        writer.word("growth1X128", growth)?;
        writer.pair("reserves", reserve0, reserve1)?;
        writer.pair("protocolFees", fees, fees)?;
        let position = mapping_slot(word(pool.owner), self.artifact.slot("positions")?);
        writer.members(position, "Pool.Position", &[("shares", shares)])?;
        writer.market(shares, U256::from(time.saturating_sub(QUIET_SECONDS)))?;
        writer.band(growth)?;
        // The pool's holdings cover the reserves, the owner's fees and those of the shares.
        let growth_owed = (growth * shares) >> 128;
        tokens.mint(state, pool.token0, pool.address, reserve0 + fees + growth_owed);
        tokens.mint(state, pool.token1, pool.address, reserve1 + fees + growth_owed);
        Ok(())
    }
}

/// Writes the variables of one pool.
struct Writer<'a> {
    artifact: &'a Artifact,
    state: &'a mut State,
    address: Address,
}

impl Writer<'_> {
    fn word(&mut self, variable: &str, value: U256) -> Result<(), WorkloadError> {
        self.state.set(self.address, self.artifact.slot(variable)?, value);
        Ok(())
    }

    fn members(
        &mut self,
        slot: U256,
        name: &str,
        values: &[(&str, U256)],
    ) -> Result<(), WorkloadError> {
        for (distance, value) in self.artifact.members(name)?.pack(values)? {
            self.state.set(self.address, slot + U256::from(distance), value);
        }
        Ok(())
    }

    fn pair(&mut self, variable: &str, one: U256, other: U256) -> Result<(), WorkloadError> {
        let slot = self.artifact.slot(variable)?;
        self.members(slot, "Pool.Pair", &[("amount0", one), ("amount1", other)])
    }

    /// Writes the price, and the oracle's ring with the observation of the last trade.
    fn market(&mut self, shares: U256, last_trade: U256) -> Result<(), WorkloadError> {
        let market = [
            ("tick", U256::from(START_TICK)),
            ("newest", U256::ZERO),
            ("cardinality", U256::from(CARDINALITY)),
            ("updatedAt", last_trade),
            ("feePips", U256::from(3_000)),
            ("protocolShare", U256::from(6)),
            ("shares", shares),
        ];
        self.members(self.artifact.slot("market")?, "Pool.Market", &market)?;
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

    /// Writes the current range of prices, with the volume traded there.
    fn band(&mut self, growth: U256) -> Result<(), WorkloadError> {
        let volume = TOKEN * U256::from(1_000);
        let traded = [
            ("volume0", volume),
            ("volume1", volume),
            ("secondsInside", U256::from(QUIET_SECONDS)),
            ("growth0X128", growth),
            ("growth1X128", growth),
        ];
        let band = mapping_slot(U256::ZERO, self.artifact.slot("bands")?);
        self.members(band, "Pool.Band", &traded)?;
        let visited = mapping_slot(U256::ZERO, self.artifact.slot("visitedBands")?);
        self.state.set(self.address, visited, U256::from(1));
        Ok(())
    }
}

/// The router that all traders of a state use.
#[derive(Debug)]
pub(super) struct Router {
    pub(super) address: Address,
    pools: U256,
    swap: [u8; 4],
}

/// One trade: exactly `amount` of one token for as much of the other as the pool gives.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trade {
    pub(super) pool: Address,
    pub(super) zero_for_one: bool,
    pub(super) amount: U256,
    pub(super) trader: Address,
    /// Last second at which the trade may happen.
    pub(super) deadline: u64,
}

impl Router {
    /// Deploys the router at `address`.
    pub(super) fn deploy(
        state: &mut State,
        address: Address,
        owner: Address,
    ) -> Result<Self, WorkloadError> {
        let artifact = Artifact::router()?;
        state.deploy(address, artifact.code());
        state.set(address, artifact.slot("_owner")?, word(owner));
        let swap = artifact.selector("swap(address,bool,uint256,uint256,address,uint256)")?;
        Ok(Self { address, pools: artifact.slot("isPool")?, swap })
    }

    /// Registers a pool with the router.
    pub(super) fn add(&self, state: &mut State, pool: Address) {
        state.set(self.address, mapping_slot(word(pool), self.pools), U256::from(1));
    }

    /// Returns the input of a trade.
    pub(super) fn swap(&self, trade: Trade) -> Bytes {
        let least = U256::from(1);
        call_data(
            self.swap,
            &[
                word(trade.pool),
                U256::from(u8::from(trade.zero_for_one)),
                trade.amount,
                least,
                word(trade.trader),
                U256::from(trade.deadline),
            ],
        )
    }
}
