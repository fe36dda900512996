//! Swaps on pools of either kind.

use super::{
    WorkloadError,
    choice::Picker,
    pool::{Pool, Pools, Router, Trade},
    random::Random,
    range_pool::{PLACES_FOR_MANY, PLACES_FOR_ONE, RangePools},
    token::{TOKEN, Tokens},
    world::{Call, Traffic, World},
};
use alloy_primitives::{Address, U256};

/// Gas limit, well above the cost of a swap that enters a new range of prices or crosses some
/// boundaries.
const GAS_LIMIT: u64 = 400_000;
/// Seconds after the first block within which a trade may happen.
const PATIENCE_SECONDS: u64 = 3_600;

/// Price mechanism of pools.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Constant product of the reserves.
    Product,
    /// Concentrated liquidity in ranges of prices.
    Range,
}

/// The pools' contract.
#[derive(Debug)]
enum Contract {
    Product(Pools),
    Range(RangePools),
}

/// Trades on pools; each pool has two tokens of its own.
#[derive(Debug)]
pub(super) struct Dex {
    tokens: Tokens,
    contract: Contract,
    router: Router,
    traders: Picker,
    markets: Picker,
}

impl Dex {
    /// Creates the traffic: `markets` picks the pools, `traders` the traders.
    pub(super) fn new(
        world: &mut World,
        kind: Kind,
        markets: Picker,
        traders: Picker,
    ) -> Result<Self, WorkloadError> {
        let (router, owner) = (world.address("router", 0), world.address("owner", 0));
        Ok(Self {
            tokens: Tokens::load()?,
            contract: match kind {
                Kind::Product => Contract::Product(Pools::load()?),
                Kind::Range => Contract::Range(RangePools::load()?),
            },
            router: Router::deploy(&mut world.state, router, owner)?,
            traders,
            markets,
        })
    }

    /// Returns the pool at `place`, which is deployed with its tokens on first use.
    pub(super) fn pool(&self, world: &mut World, place: u64) -> Result<Pool, WorkloadError> {
        let mut pair =
            [world.address("pool token", 2 * place), world.address("pool token", 2 * place + 1)];
        // A pool requires its tokens in address order.
        pair.sort_unstable();
        let [token0, token1] = pair;
        let pool = Pool {
            address: world.address("pool", place),
            token0,
            token1,
            owner: world.address("owner", 0),
        };
        if !world.state.accounts.contains_key(&pool.address) {
            for (number, token) in (1_000 + 2 * place..).zip(pair) {
                self.tokens.deploy(&mut world.state, token, number);
            }
            let time = world.time;
            match &self.contract {
                Contract::Product(pools) => {
                    pools.deploy(&mut world.state, &self.tokens, pool, time)?;
                }
                Contract::Range(pools) => {
                    let places =
                        if self.markets.is_distinct() { PLACES_FOR_ONE } else { PLACES_FOR_MANY };
                    pools.deploy(&mut world.state, &self.tokens, pool, (time, places))?;
                }
            }
            self.router.add(&mut world.state, pool.address);
        }
        Ok(pool)
    }

    fn endow(&self, world: &mut World, pool: Pool, trader: Address) {
        for token in [pool.token0, pool.token1] {
            if !self.tokens.is_holder(&world.state, token, trader) {
                let amount = TOKEN * U256::from(1_000_000);
                self.tokens.mint(&mut world.state, token, trader, amount);
                self.tokens.approve(&mut world.state, token, trader, self.router.address);
            }
        }
    }
}

impl Traffic for Dex {
    fn call(&mut self, world: &mut World, random: &mut Random) -> Result<Call, WorkloadError> {
        let sender = self.traders.pick(random).place;
        let trader = world.sender(sender)?.address;
        let market = self.markets.pick(random).place;
        let pool = self.pool(world, market)?;
        self.endow(world, pool, trader);
        let trade = Trade {
            pool: pool.address,
            zero_for_one: random.percent(50),
            // A millionth of the reserves or more, so that thousands of trades do not drain a pool.
            amount: TOKEN * U256::from(random.between(1, 10)),
            trader,
            deadline: world.time + PATIENCE_SECONDS,
        };
        Ok(Call {
            sender,
            to: self.router.address,
            value: U256::ZERO,
            input: self.router.swap(trade),
            gas_limit: GAS_LIMIT,
        })
    }
}
