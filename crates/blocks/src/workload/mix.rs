//! Blocks of several kinds of traffic on one state.

use super::{
    Hot, Parties, Spread, WorkloadError,
    apps::{App, AppTraffic},
    choice::Picker,
    dex::{Dex, Kind},
    erc20::Erc20,
    random::Random,
    transfers::Transfers,
    world::{Call, Payments, Traffic, World},
};
use std::num::NonZeroU32;

/// Kinds of traffic, each with its number of transactions, in block order.
type Parts = Vec<(Box<dyn Traffic>, u32)>;

/// Generates a block of a payments chain: 60 % of its gas is native transfers, 20 % transfers of
/// three tokens, 20 % swaps on two pools, one kind after the other; 30 % of all senders and
/// recipients belong to a tenth of 100,000 accounts.
pub(super) fn hybrid(world: &mut World, transactions: u32) -> Result<Vec<Call>, WorkloadError> {
    let accounts = Spread::among(100_000);
    let parties = Parties { senders: accounts, recipients: accounts, shared: true };
    let hot = Hot { percent: 30, parties: among(10_000) };
    let payments = || Payments::new(parties, hot).with_hot_senders(parties, hot);
    // Gives the kinds their shares of the gas.
    let (transfers, tokens) = (share(transactions, 7_811), share(transactions, 1_798));
    let swaps = transactions.saturating_sub(transfers).saturating_sub(tokens);
    let markets = Picker::new(Spread::among(2), Hot::NONE);
    let traders = Picker::new(accounts, hot);
    let parts: Parts = vec![
        (Box::new(Transfers::new(payments())), transfers),
        (Box::new(Erc20::new(Spread::among(3), payments())?), tokens),
        (Box::new(Dex::new(world, Kind::Range, markets, traders)?), swaps),
    ];
    calls(parts, world)
}

/// Generates a block like mainnet's: of 400 transactions, 220 are swaps on 30 pools and 110
/// transfers of 12 tokens, few of either popular, and 70 are native transfers, half of them to four
/// hubs; shuffled.
pub(super) fn mainnet(world: &mut World, transactions: u32) -> Result<Vec<Call>, WorkloadError> {
    let accounts = Spread::among(2_000);
    let parties = Parties { senders: accounts, recipients: accounts, shared: true };
    let hubs = Hot { percent: 50, parties: among(4) };
    let (swaps, tokens) = (share(transactions, 5_500), share(transactions, 2_750));
    let transfers = transactions.saturating_sub(swaps).saturating_sub(tokens);
    let markets = Picker::new(Spread::Skewed(among(30)), Hot::NONE);
    let traders = Picker::new(accounts, Hot::NONE);
    let popular = Spread::Skewed(among(12));
    let parts: Parts = vec![
        (Box::new(Dex::new(world, Kind::Range, markets, traders)?), swaps),
        (Box::new(Erc20::new(popular, Payments::new(parties, Hot::NONE))?), tokens),
        (Box::new(Transfers::new(Payments::new(parties, hubs))), transfers),
    ];
    Ok(shuffled(calls(parts, world)?, world))
}

/// Generates a block of one application.
pub(super) fn application(
    world: &mut World,
    app: App,
    transactions: u32,
) -> Result<Vec<Call>, WorkloadError> {
    let traffic = AppTraffic::new(world, app)?;
    calls(vec![(Box::new(traffic), transactions)], world)
}

/// Generates a block of all applications, native transfers, tokens and swaps, about equally many of
/// each; shuffled.
pub(super) fn mixed(world: &mut World, transactions: u32) -> Result<Vec<Call>, WorkloadError> {
    let accounts = Spread::among(10_000);
    let parties = Parties { senders: accounts, recipients: accounts, shared: true };
    let payments = || Payments::new(parties, Hot::NONE);
    let markets = Picker::new(Spread::Skewed(among(30)), Hot::NONE);
    let traders = Picker::new(accounts, Hot::NONE);
    let popular = Spread::Skewed(among(12));
    let each = transactions / (App::ALL.len() as u32 + 3);
    let mut parts: Parts = vec![
        (Box::new(Dex::new(world, Kind::Range, markets, traders)?), each),
        (Box::new(Erc20::new(popular, payments())?), each),
    ];
    for app in App::ALL {
        parts.push((Box::new(AppTraffic::new(world, app)?), each));
    }
    let rest = transactions.saturating_sub(each.saturating_mul(parts.len() as u32));
    parts.push((Box::new(Transfers::new(payments())), rest));
    Ok(shuffled(calls(parts, world)?, world))
}

/// Returns the calls in random order.
pub(super) fn shuffled(mut calls: Vec<Call>, world: &World) -> Vec<Call> {
    Random::new(world.seed, "order").shuffle(&mut calls);
    calls
}

fn calls(parts: Parts, world: &mut World) -> Result<Vec<Call>, WorkloadError> {
    let mut random = Random::new(world.seed, "calls");
    let mut calls = Vec::new();
    for (mut traffic, count) in parts {
        for _ in 0..count {
            calls.push(traffic.call(world, &mut random)?);
        }
    }
    Ok(calls)
}

/// Returns a share of `whole`, in ten-thousandths.
fn share(whole: u32, parts: u64) -> u32 {
    u32::try_from(u64::from(whole) * parts / 10_000).unwrap_or(whole)
}

/// Converts a literal that is not 0.
fn among(count: u32) -> NonZeroU32 {
    NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN)
}
