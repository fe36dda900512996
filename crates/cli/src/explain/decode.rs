//! Decodes a location of the state: the balance of a holder, a counter, a pool's reserves.
//!
//! A slot is decoded from evidence, not from its number: the hashes of the block that lead to it,
//! and changes of its value that agree with what the contract logged in the same transaction.

use super::{
    location::Location,
    names::Field,
    preimages::{SlotPath, Step},
    record::{Recorded, Recording},
    standards::Event,
};
use alloy_primitives::{Address, B256, U256};
use serde::Serialize;
use std::fmt;

/// Kind of a location at which transactions conflict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Nonce of an account that sends transactions, with its balance.
    SameSender,
    /// Nonce of a contract that creates contracts.
    NonceChain,
    /// Native balance of an account.
    NativeBalance,
    /// Code of an account.
    Code,
    /// Amount of a token that one holder has.
    TokenBalance,
    /// Owner of one token.
    TokenOwner,
    /// Amount that a spender may take.
    Allowance,
    /// Total supply of a token.
    TotalSupply,
    /// State of a pool: reserves, price, fees.
    Pool,
    /// State of a vault.
    Vault,
    /// A slot that grows by the same number each time.
    Counter,
    /// Entry of a mapping without further evidence.
    MappingEntry,
    /// Element of an array, or of bytes.
    ArrayElement,
    /// A slot without further evidence.
    Slot,
}

/// Writes the kind as in JSON, with spaces.
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SameSender => "same sender",
            Self::NonceChain => "nonce chain",
            Self::NativeBalance => "native balance",
            Self::Code => "code",
            Self::TokenBalance => "token balance",
            Self::TokenOwner => "token owner",
            Self::Allowance => "allowance",
            Self::TotalSupply => "total supply",
            Self::Pool => "pool",
            Self::Vault => "vault",
            Self::Counter => "counter",
            Self::MappingEntry => "mapping entry",
            Self::ArrayElement => "array element",
            Self::Slot => "slot",
        })
    }
}

/// Meaning of a location.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meaning {
    /// Kind of the location.
    pub kind: Kind,
    /// Description of the location.
    pub words: String,
}

/// A write to a location, with the events that its contract logged in the same transaction.
struct Write {
    before: U256,
    after: U256,
    events: Vec<Event>,
}

impl Write {
    fn change(&self) -> U256 {
        self.after.wrapping_sub(self.before)
    }

    /// Returns whether the value changed by the sum of `of` over the events, and not by zero.
    fn agrees(&self, of: impl Fn(&Event) -> U256) -> bool {
        let sum = self.events.iter().map(of).fold(U256::ZERO, U256::wrapping_add);
        !sum.is_zero() && sum == self.change()
    }
}

/// Decodes `location` in the block of `recording`.
#[must_use]
pub fn decode(recording: &Recording, location: &Location) -> Meaning {
    let sends = |account: &Address| recording.transactions.iter().any(|it| it.sender == *account);
    match location {
        Location::Balance(account) => {
            let who = if sends(account) { "sender " } else { "" };
            let writes = writes(recording, location);
            let is_paid = writes.iter().all(|write| write.after > write.before);
            let only = if is_paid { ", which is only paid into" } else { "" };
            let words = format!("native balance of {who}{account}{only}");
            Meaning { kind: Kind::NativeBalance, words }
        }
        Location::Nonce(account) => {
            let (kind, words) = if sends(account) {
                (Kind::SameSender, format!("nonce of sender {account}"))
            } else {
                (Kind::NonceChain, format!("nonce of {account}, which creates contracts"))
            };
            Meaning { kind, words }
        }
        Location::Code(account) => {
            Meaning { kind: Kind::Code, words: format!("code of {account}, which changes") }
        }
        Location::Slot(contract, slot) => {
            let path = recording.preimages.path(*slot);
            let names = &recording.names;
            let slot = Slot {
                contract: *contract,
                name: names.contract(contract).unwrap_or_default(),
                fields: names.fields(contract, &path),
                path,
                writes: writes(recording, location),
            };
            slot.meaning(|| is_pool(recording, contract), || is_vault(recording, contract))
        }
    }
}

fn writes(recording: &Recording, location: &Location) -> Vec<Write> {
    let of_it = recording.transactions.iter().filter_map(|it| {
        let index = it.accesses.binary_search_by_key(location, |access| access.location).ok()?;
        let (before, after) = it.accesses[index].written?;
        Some(Write { before, after, events: events(it, &location.account()).collect() })
    });
    of_it.collect()
}

fn events<'a>(transaction: &'a Recorded, contract: &'a Address) -> impl Iterator<Item = Event> {
    let logs = transaction.logs.iter().filter(move |log| log.address == *contract);
    logs.filter_map(Event::of)
}

fn logs(recording: &Recording, contract: &Address, which: fn(&Event) -> bool) -> bool {
    recording.transactions.iter().any(|it| events(it, contract).any(|event| which(&event)))
}

fn is_pool(recording: &Recording, contract: &Address) -> bool {
    logs(recording, contract, |event| {
        matches!(event, Event::SwapV2 | Event::SwapV3 { .. } | Event::SwapV4 { .. })
    })
}

fn is_vault(recording: &Recording, contract: &Address) -> bool {
    logs(recording, contract, |event| matches!(event, Event::Vault))
}

/// A slot with all evidence about it.
struct Slot<'a> {
    contract: Address,
    /// Name of the contract; empty if unknown.
    name: &'a str,
    /// Variables that a layout names.
    fields: Vec<Field>,
    path: SlotPath,
    writes: Vec<Write>,
}

impl Slot<'_> {
    fn meaning(&self, is_pool: impl Fn() -> bool, is_vault: impl Fn() -> bool) -> Meaning {
        let Self { contract, path, .. } = self;
        let standard = match &path.steps[..] {
            [] => self.variable(),
            [Step::Key(key)] => self.entry(*key),
            [Step::Key(key), Step::Key(second)] => self.entry_of_entry(*key, *second),
            _ => None,
        };
        let fields: Vec<&str> = self.fields.iter().map(|field| field.name.as_str()).collect();
        if let Some((kind, words)) = standard {
            let name =
                if fields.is_empty() { String::new() } else { format!(" ({})", fields.join(", ")) };
            return Meaning { kind, words: words + &name };
        }
        let between = if self.name.is_empty() { "" } else { " " };
        let where_to = match &fields[..] {
            [] => format!("{} of {contract}", SlotName(path)),
            fields => format!("{} of {}{between}{contract}", fields.join(", "), self.name),
        };
        let is_entry = path.steps.iter().any(|step| matches!(step, Step::Key(_) | Step::Bytes(_)));
        let (kind, words) = match self.counts_by() {
            Some(by) => (Kind::Counter, format!("counter in {where_to}, incremented by {by}")),
            None if is_pool() => (Kind::Pool, format!("state of a pool, {where_to}")),
            None if !is_entry && is_vault() => {
                (Kind::Vault, format!("state of a vault, {where_to}"))
            }
            None if is_entry => (Kind::MappingEntry, format!("mapping entry, {where_to}")),
            None if !path.steps.is_empty() => {
                (Kind::ArrayElement, format!("array element, {where_to}"))
            }
            None => (Kind::Slot, where_to),
        };
        Meaning { kind, words }
    }

    fn any(&self, which: impl Fn(&Write) -> bool) -> bool {
        self.writes.iter().any(which)
    }

    /// Decodes a variable without keys.
    fn variable(&self) -> Option<(Kind, String)> {
        let contract = self.contract;
        if self.any(|write| write.agrees(Event::change_of_supply)) {
            return Some((Kind::TotalSupply, format!("total supply of token {contract}")));
        }
        let low = |value: U256, bits: usize| value & ((U256::ONE << bits) - U256::ONE);
        let reserves = |write: &Write, event: &Event| match event {
            Event::Reserves { one, other } => {
                low(write.after, 112) == *one && low(write.after >> 112, 112) == *other
            }
            _ => false,
        };
        let price = |write: &Write, event: &Event| match event {
            Event::SwapV3 { price, .. } => low(write.after, 160) == *price,
            _ => false,
        };
        let liquidity = |write: &Write, event: &Event| match event {
            Event::SwapV3 { liquidity, .. } => write.after == *liquidity,
            _ => false,
        };
        let says = |test: &dyn Fn(&Write, &Event) -> bool| {
            self.any(|write| write.events.iter().any(|event| test(write, event)))
        };
        let pool = |what: &str| Some((Kind::Pool, format!("{what} of pool {contract}")));
        if says(&reserves) {
            pool("reserves")
        } else if says(&price) {
            pool("price")
        } else if says(&liquidity) {
            pool("liquidity")
        } else {
            None
        }
    }

    /// Decodes an entry of a mapping.
    fn entry(&self, key: U256) -> Option<(Kind, String)> {
        let contract = self.contract;
        let holder = address(key);
        let is_balance = |holder| self.any(|write| write.agrees(|event| event.change_for(holder)));
        if let Some(holder) = holder.filter(|holder| is_balance(*holder)) {
            let words = format!("balance of {holder} in token {contract}");
            return Some((Kind::TokenBalance, words));
        }
        let owned = |write: &Write| {
            let new_owner = Address::from_word(B256::from(write.after));
            write.events.iter().any(|event| match event {
                Event::Owned { to, token, .. } => *token == key && *to == new_owner,
                _ => false,
            })
        };
        if self.any(owned) {
            return Some((Kind::TokenOwner, format!("owner of token {key} of {contract}")));
        }
        let swapped = |write: &Write| {
            write.events.iter().any(|event| matches!(event, Event::SwapV4 { pool } if *pool == key))
        };
        self.any(swapped).then(|| (Kind::Pool, format!("state of pool {key:#x} in {contract}")))
    }

    /// Decodes an entry of a mapping in a mapping.
    fn entry_of_entry(&self, first: U256, second: U256) -> Option<(Kind, String)> {
        let contract = self.contract;
        let allows = |owner: Address, spender: Address, write: &Write| {
            let set = write.events.iter().any(|event| match event {
                Event::Approved { owner: by, spender: to, amount } => {
                    *by == owner && *to == spender && *amount == write.after
                }
                _ => false,
            });
            // An allowance drops by the amount that the spender takes from the owner.
            set || (write.after < write.before && write.agrees(|event| event.change_for(owner)))
        };
        if let (Some(owner), Some(spender)) = (address(first), address(second))
            && self.any(|write| allows(owner, spender, write))
        {
            let words = format!("allowance of {owner} for {spender} in token {contract}");
            return Some((Kind::Allowance, words));
        }
        let holds = |token: U256, holder: Address, write: &Write| {
            write.agrees(|event| match *event {
                Event::MovedOf { token: of, from, to, amount } if of == token => {
                    Event::Moved { from, to, amount }.change_for(holder)
                }
                _ => U256::ZERO,
            })
        };
        for (token, holder) in [(first, second), (second, first)] {
            if let Some(holder) = address(holder)
                && self.any(|write| holds(token, holder, write))
            {
                let words = format!("balance of {holder} in token {token} of {contract}");
                return Some((Kind::TokenBalance, words));
            }
        }
        None
    }

    /// Returns the increment, if it is the same at least twice.
    fn counts_by(&self) -> Option<U256> {
        let (first, others) = self.writes.split_first()?;
        let by = first.change();
        let is_small = by < U256::from(u32::MAX);
        let is_same = others.iter().all(|write| write.change() == by);
        (!others.is_empty() && is_small && is_same).then_some(by)
    }
}

/// Returns the key as an address, if it looks like one.
fn address(key: U256) -> Option<Address> {
    let is_address = key >> 160 == U256::ZERO && key >> 32 != U256::ZERO;
    is_address.then(|| Address::from_word(B256::from(key)))
}

/// Formats the path to a slot as Solidity would write it.
struct SlotName<'a>(&'a SlotPath);

impl fmt::Display for SlotName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |f: &mut fmt::Formatter<'_>, value: U256| {
            if value < U256::from(u64::MAX) {
                write!(f, "{value}")
            } else {
                write!(f, "{value:#x}")
            }
        };
        f.write_str("slot ")?;
        number(f, self.0.root)?;
        for step in &self.0.steps {
            match step {
                Step::Key(key) => {
                    f.write_str("[")?;
                    match address(*key) {
                        Some(address) => write!(f, "{address}")?,
                        None => number(f, *key)?,
                    }
                    f.write_str("]")?;
                }
                Step::Bytes(bytes) => {
                    write!(f, "[{}]", alloy_primitives::hex::encode_prefixed(bytes))?
                }
                Step::Element(index) => write!(f, "[{index}]")?,
                Step::Member(index) => write!(f, " + {index}")?,
            }
        }
        Ok(())
    }
}
