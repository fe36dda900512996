//! Methods that control a development node, by the names that test tools use.

use super::{Answer, Args, Context, RegisterMethodError, accounts::dev, add};
use crate::{dev::Command, error::RpcError, shared::CLIENT_VERSION};
use alloy_primitives::{Address, B256, Bytes, U64, U256};
use braid_chain::{AccountEdit, Snapshot};
use jsonrpsee::RpcModule;
use serde::{Deserialize, Deserializer, de::Error as _};
use serde_json::{Value, json};
use std::time::Duration;

/// Registers the methods.
pub(super) fn add_all<S: Snapshot>(
    module: &mut RpcModule<Context<S>>,
) -> Result<(), RegisterMethodError> {
    mining(module)?;
    clock(module)?;
    snapshots(module)?;
    state(module)?;
    senders(module)
}

/// A number: a JSON number, or a string in hexadecimal or decimal. Tools use all three.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Number(U256);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let number = match &value {
            Value::Number(number) => number.as_u64().map(U256::from),
            Value::String(text) => text.parse().ok(),
            _ => None,
        };
        number
            .map(Self)
            .ok_or_else(|| D::Error::custom(format!("expected a number, found {value}")))
    }
}

impl Number {
    fn to_u64(self) -> Answer<u64> {
        let large = || RpcError::Params(format!("{} is above 64 bits", self.0));
        Ok(u64::try_from(self.0).map_err(|_| large())?)
    }
}

/// Carries out a command, and returns its result.
fn run<S: Snapshot>(it: &Context<S>, command: Command) -> Answer<u64> {
    Ok(dev(&it.shared)?.run(command).map_err(RpcError::Params)?)
}

/// Registers a method under its names of anvil and of Hardhat.
fn both<S: Snapshot>(
    module: &mut RpcModule<Context<S>>,
    names: [&'static str; 2],
    method: fn(&Context<S>, &mut Args<'_>) -> Answer<Value>,
) -> Result<(), RegisterMethodError> {
    names.into_iter().try_for_each(|name| add(module, name, method))
}

fn mining<S: Snapshot>(module: &mut RpcModule<Context<S>>) -> Result<(), RegisterMethodError> {
    add(module, "evm_mine", |it, args| {
        let (time, blocks) = mine_options(args.maybe()?)?;
        if let Some(time) = time {
            set_next(it, time)?;
        }
        run(it, Command::Mine { blocks, interval: None })?;
        Ok("0x0")
    })?;
    both(module, ["anvil_mine", "hardhat_mine"], |it, args| {
        let (blocks, interval) = (args.maybe::<Number>()?, args.maybe::<Number>()?);
        let blocks = blocks.map_or(Ok(1), Number::to_u64)?;
        let interval = interval.map(Number::to_u64).transpose()?;
        run(it, Command::Mine { blocks, interval })?;
        Ok(Value::Null)
    })?;
    for name in ["evm_setAutomine", "anvil_setAutomine"] {
        add(module, name, |it, args| {
            run(it, Command::SetAutomine(args.next()?))?;
            Ok(true)
        })?;
    }
    both(module, ["anvil_getAutomine", "hardhat_getAutomine"], |it, _| {
        Ok((run(it, Command::GetAutomine)? == 1).into())
    })?;
    for name in ["evm_setIntervalMining", "anvil_setIntervalMining"] {
        add(module, name, |it, args| {
            let interval = args.next::<Number>()?.to_u64()?;
            // anvil takes seconds, Hardhat and ganache take milliseconds, under the same name.
            let interval = match interval {
                1_000.. => Duration::from_millis(interval),
                _ => Duration::from_secs(interval),
            };
            run(it, Command::SetInterval(interval))?;
            Ok(true)
        })?;
    }
    both(module, ["anvil_dropTransaction", "hardhat_dropTransaction"], |it, args| {
        let hash = args.next::<B256>()?;
        let is_dropped = run(it, Command::Drop(hash))? == 1;
        Ok(if is_dropped { json!(hash) } else { Value::Null })
    })?;
    add(module, "anvil_dropAllTransactions", |it, _| {
        run(it, Command::DropAll)?;
        Ok(Value::Null)
    })
}

/// Returns time and number of the blocks that `evm_mine` makes: it takes a time, or an object.
fn mine_options(options: Option<Value>) -> Answer<(Option<u64>, u64)> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Options {
        timestamp: Option<Number>,
        blocks: Option<Number>,
    }
    let wrong = |error: serde_json::Error| RpcError::Params(error.to_string());
    let options = match options {
        None | Some(Value::Null) => Options { timestamp: None, blocks: None },
        Some(value @ Value::Object(_)) => serde_json::from_value(value).map_err(wrong)?,
        Some(value) => {
            Options { timestamp: Some(serde_json::from_value(value).map_err(wrong)?), blocks: None }
        }
    };
    let time = options.timestamp.map(Number::to_u64).transpose()?;
    Ok((time, options.blocks.map_or(Ok(1), Number::to_u64)?))
}

fn clock<S: Snapshot>(module: &mut RpcModule<Context<S>>) -> Result<(), RegisterMethodError> {
    for name in ["evm_increaseTime", "anvil_increaseTime"] {
        add(module, name, |it, args| {
            let seconds = args.next::<Number>()?.to_u64()?;
            let large = |_| RpcError::Params(format!("{seconds} seconds are too many"));
            let seconds = i64::try_from(seconds).map_err(large)?;
            Ok(it.shared.producer.clock.advance(seconds))
        })?;
    }
    for name in ["evm_setNextBlockTimestamp", "anvil_setNextBlockTimestamp"] {
        add(module, name, |it, args| {
            let time = args.next::<Number>()?.to_u64()?;
            set_next(it, time)?;
            Ok(time)
        })?;
    }
    add(module, "anvil_setBlockTimestampInterval", |it, args| {
        it.shared.producer.clock.set_interval(Some(args.next::<Number>()?.to_u64()?));
        Ok(Value::Null)
    })?;
    add(module, "anvil_removeBlockTimestampInterval", |it, _| {
        it.shared.producer.clock.set_interval(None);
        Ok(true)
    })
}

/// Sets the time of the next block.
fn set_next<S: Snapshot>(it: &Context<S>, time: u64) -> Answer<()> {
    let last = it.shared.made().head.header.timestamp;
    if time < last {
        let words = format!("timestamp {time} is lower than the previous block's timestamp {last}");
        return Err(RpcError::Params(words).into());
    }
    it.shared.producer.clock.set_next(time);
    Ok(())
}

fn snapshots<S: Snapshot>(module: &mut RpcModule<Context<S>>) -> Result<(), RegisterMethodError> {
    for name in ["evm_snapshot", "anvil_snapshot"] {
        add(module, name, |it, _| Ok(U64::from(run(it, Command::Snapshot)?)))?;
    }
    for name in ["evm_revert", "anvil_revert"] {
        add(module, name, |it, args| {
            let id = args.next::<Number>()?.to_u64()?;
            Ok(run(it, Command::Revert(id))? == 1)
        })?;
    }
    both(module, ["anvil_reset", "hardhat_reset"], |it, args| {
        let options = args.maybe::<serde_json::Map<String, Value>>()?.unwrap_or_default();
        // viem always sends the object, with null in its fields.
        let forking = options.get("forking").and_then(Value::as_object);
        if forking.is_some_and(|forking| forking.values().any(|value| !value.is_null())) {
            let words = "forking is not supported: this node does not read another node's state";
            return Err(RpcError::Params(words.to_owned()).into());
        }
        run(it, Command::Reset)?;
        dev(&it.shared)?.reset();
        Ok(true.into())
    })
}

fn state<S: Snapshot>(module: &mut RpcModule<Context<S>>) -> Result<(), RegisterMethodError> {
    both(module, ["anvil_setBalance", "hardhat_setBalance"], |it, args| {
        let (address, balance) = (args.next()?, args.next::<Number>()?);
        edit(it, address, AccountEdit { balance: Some(balance.0), ..AccountEdit::default() })
    })?;
    both(module, ["anvil_setNonce", "hardhat_setNonce"], |it, args| {
        let (address, nonce) = (args.next()?, args.next::<Number>()?.to_u64()?);
        edit(it, address, AccountEdit { nonce: Some(nonce), ..AccountEdit::default() })
    })?;
    both(module, ["anvil_setCode", "hardhat_setCode"], |it, args| {
        let (address, code) = (args.next()?, args.next::<Bytes>()?);
        edit(it, address, AccountEdit { code: Some(code), ..AccountEdit::default() })
    })?;
    both(module, ["anvil_setStorageAt", "hardhat_setStorageAt"], |it, args| {
        let (address, slot, value) = (args.next()?, args.next::<Number>()?, args.next::<U256>()?);
        edit(it, address, AccountEdit { slots: [(slot.0, value)].into(), ..AccountEdit::default() })
    })
}

fn edit<S: Snapshot>(it: &Context<S>, address: Address, edit: AccountEdit) -> Answer<Value> {
    run(it, Command::Edit(address, edit))?;
    Ok(true.into())
}

fn senders<S: Snapshot>(module: &mut RpcModule<Context<S>>) -> Result<(), RegisterMethodError> {
    let names = ["anvil_impersonateAccount", "hardhat_impersonateAccount"];
    both(module, names, |it, args| {
        dev(&it.shared)?.impersonate(args.next()?, true);
        Ok(true.into())
    })?;
    let names = ["anvil_stopImpersonatingAccount", "hardhat_stopImpersonatingAccount"];
    both(module, names, |it, args| {
        dev(&it.shared)?.impersonate(args.next()?, false);
        Ok(true.into())
    })?;
    add(module, "anvil_autoImpersonateAccount", |it, args| {
        dev(&it.shared)?.impersonate_everyone(args.next()?);
        Ok(Value::Null)
    })?;
    both(module, ["anvil_metadata", "hardhat_metadata"], |it, _| {
        let head = it.shared.view().head.clone();
        Ok(json!({
            "clientVersion": it.shared.client_version(),
            "clientSemver": CLIENT_VERSION,
            "chainId": it.shared.producer.rules.chain_id(),
            "latestBlockNumber": head.number(),
            "latestBlockHash": head.hash,
        }))
    })
}
