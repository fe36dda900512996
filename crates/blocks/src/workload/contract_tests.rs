//! Tests of the contracts themselves, which are called by transactions of a block that the
//! sequential oracle executes.
//!
//! 1. State that the generator writes reads back through the contracts' own functions.
//! 2. Shares can be bought, earn fees and be redeemed; a pool's debts are always covered.
//! 3. The pool's oracle ring answers according to its observations.
//! 4. The router serves known pools only.

use super::{
    assemble::{Assembly, Placement},
    choice::{Hot, Picker, Spread},
    dex::{Dex, Kind},
    pool::{Pool, START_TICK},
    random::Random,
    wallet::Signing,
    world::{Call, Traffic, World},
};
use crate::sequential::{self, SequentialOutcome};
use alloy_primitives::{Address, Bytes, U256, keccak256};

/// A world with one pool and one trader, who holds both tokens and has approved the router.
struct Market {
    world: World,
    dex: Dex,
    pool: Pool,
    trader: Address,
    trade: Call,
    calls: Vec<Call>,
}

impl Market {
    fn new() -> Self {
        let time = Placement::DEFAULT.timestamp;
        let mut world = World::new(3, Signing::Unsigned, time);
        let one = || Picker::new(Spread::ONE, Hot::NONE);
        let mut dex = Dex::new(&mut world, Kind::Product, one(), one()).unwrap();
        let trade = dex.call(&mut world, &mut Random::new(3, "trade")).unwrap();
        let pool = dex.pool(&mut world, 0).unwrap();
        let trader = world.sender(0).unwrap().address;
        Self { world, dex, pool, trader, trade, calls: Vec::new() }
    }

    fn call(&mut self, to: Address, signature: &str, arguments: &[U256]) {
        let mut input = keccak256(signature)[..4].to_vec();
        arguments.iter().for_each(|argument| input.extend(argument.to_be_bytes::<32>()));
        let input = Bytes::from(input);
        self.calls.push(Call { sender: 0, to, value: U256::ZERO, input, gas_limit: 1_000_000 });
    }

    /// Executes the calls so far. Returns the words that each one returned, or `None` if it failed.
    fn run(mut self) -> Vec<Option<Vec<U256>>> {
        let file = Assembly::new(3)
            .block(&mut self.world.wallets, self.world.state, &self.calls, &Placement::DEFAULT)
            .unwrap();
        let (block, database) = file.to_block().unwrap();
        let output = sequential::execute(&block, database).unwrap();
        output.outcomes.iter().map(words).collect()
    }
}

fn words(outcome: &SequentialOutcome) -> Option<Vec<U256>> {
    let SequentialOutcome::Executed(result) = outcome else { panic!("left out: {outcome:?}") };
    let output = result.output().filter(|_| result.is_success())?;
    Some(output.chunks(32).map(U256::from_be_slice).collect())
}

fn word(address: Address) -> U256 {
    address.into_word().into()
}

fn number(value: u64) -> U256 {
    U256::from(value)
}

#[test]
fn what_the_generator_writes_reads_back() {
    let mut market = Market::new();
    let (pool, trader) = (market.pool, market.trader);
    let (address, router) = (pool.address, market.trade.to);
    market.call(pool.token0, "balanceOf(address)", &[word(trader)]);
    market.call(pool.token0, "allowance(address,address)", &[word(trader), word(router)]);
    market.call(pool.token0, "symbol()", &[]);
    market.call(address, "market()", &[]);
    market.call(address, "token1()", &[]);
    market.call(address, "owner()", &[]);
    market.call(address, "positions(address)", &[word(pool.owner)]);
    market.call(router, "isPool(address)", &[word(address)]);
    let results: Vec<_> = market.run().into_iter().map(Option::unwrap).collect();

    assert_eq!(results[0], [number(1_000_000) * super::token::TOKEN]);
    assert_eq!(results[1], [U256::MAX]);
    // A string: offset, length, left-aligned bytes.
    assert_eq!(results[2][1], number(5));
    assert_eq!(results[2][2].to_be_bytes::<32>()[..5], *b"T1000");
    assert_eq!(results[3][0], number(START_TICK));
    assert_eq!(results[3][4], number(3_000), "fee");
    assert_eq!(results[3][6], U256::ZERO, "not entered");
    assert_eq!(results[3][7], results[6][0], "all shares are the owner's");
    assert_eq!(results[4], [word(pool.token1)]);
    assert_eq!(results[5], [word(pool.owner)]);
    assert_eq!(results[7], [number(1)]);
}

#[test]
fn shares_earn_fees_and_can_be_redeemed() {
    let mut market = Market::new();
    let (Pool { address, token0, token1, .. }, me) = (market.pool, word(market.trader));
    let thousand = number(1_000) * super::token::TOKEN;
    for token in [token0, token1] {
        market.call(token, "approve(address,uint256)", &[word(address), U256::MAX]);
    }
    market.call(address, "deposit(uint256,uint256,address)", &[thousand, thousand, me]);
    let (trade, deposit) = (market.trade.clone(), market.calls.len() - 1);
    market.calls.extend([trade.clone(), trade]);
    let shares = number(990) * super::token::TOKEN;
    market.call(address, "withdraw(uint128)", &[shares]);
    let withdrawal = market.calls.len() - 1;
    market.call(address, "collect(address)", &[me]);
    market.call(address, "collect(address)", &[me]);
    for token in [token0, token1] {
        market.call(token, "balanceOf(address)", &[word(address)]);
    }
    market.call(address, "reserves()", &[]);
    market.call(address, "protocolFees()", &[]);
    let results: Vec<_> = market.run().into_iter().map(Option::unwrap).collect();

    assert!(results[deposit][0] >= shares, "shares for a thousand of each token");
    let (withdrawn, collected) = (&results[withdrawal], &results[withdrawal + 1]);
    let fees: Vec<_> = (0..2).map(|side| collected[side] - withdrawn[side]).collect();
    assert_eq!(fees.iter().filter(|fee| fee.is_zero()).count(), 1, "fees of one side: {fees:?}");
    assert_eq!(results[withdrawal + 2], [U256::ZERO, U256::ZERO], "nothing is paid twice");
    for side in 0..2 {
        let balance = results[withdrawal + 3 + side][0];
        let owed = results[withdrawal + 5][side] + results[withdrawal + 6][side];
        assert!(balance >= owed, "side {side}: {balance} below {owed}");
    }
}

#[test]
fn the_oracle_answers_from_its_observations() {
    let mut market = Market::new();
    let address = market.pool.address;
    for seconds in [0, 60, 600] {
        market.call(address, "meanTick(uint32)", &[number(seconds)]);
    }
    market.call(address, "growObservations(uint16)", &[number(16)]);
    let trade = market.trade.clone();
    market.calls.push(trade);
    market.call(address, "meanTick(uint32)", &[number(60)]);
    // There is no observation before the first.
    market.call(address, "meanTick(uint32)", &[number(100_000)]);
    market.call(address, "growObservations(uint16)", &[number(16)]);
    let results = market.run();

    let tick = Some(vec![number(START_TICK)]);
    assert_eq!(results[..3], [tick.clone(), tick.clone(), tick.clone()]);
    assert_eq!(results[5], tick, "the mean has not moved at the second of the trade");
    assert_eq!(results[6..], [None, None]);
}

#[test]
fn the_router_serves_known_pools_only() {
    let mut market = Market::new();
    let router = market.trade.to;
    let stranger = word(market.pool.token0);
    let me = word(market.trader);
    let deadline = number(u64::MAX);
    let signature = "swap(address,bool,uint256,uint256,address,uint256)";
    market.call(router, signature, &[stranger, U256::ZERO, number(1), U256::ZERO, me, deadline]);
    let known = word(market.pool.address);
    market.call(router, signature, &[known, U256::ZERO, number(1_000), U256::ZERO, me, U256::ZERO]);
    market.call(router, signature, &[known, U256::ZERO, number(1_000), U256::MAX, me, deadline]);
    market.call(router, signature, &[known, U256::ZERO, number(1_000), U256::ZERO, me, deadline]);
    market.call(router, "addPool(address)", &[stranger]);
    let second = market.dex.pool(&mut market.world, 1).unwrap();
    assert_ne!(second.address, market.pool.address);
    let succeeded: Vec<_> = market.run().iter().map(Option::is_some).collect();
    // Unknown pool, too late, too little output, correct, not the owner.
    assert_eq!(succeeded, [false, false, false, true, false]);
}
