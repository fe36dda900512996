//! Attack blocks: blocks by which a sender or a block producer tries to slow execution down.
//!
//! Each block is generated from a seed and is valid, except the two with a false access list.

use super::{
    Contention, Order, Placement, Shape, Signing, ToldBy, When, WorkloadError, draft,
    world::{Call, World},
};
use crate::{
    block::Block,
    block_file::{BlockFile, FileDatabase},
    code::Code,
};
use alloy_primitives::{Address, Bytes, U256};
use core::fmt;
use revm::{bytecode::opcode, primitives::hardfork::SpecId};

/// Maximum gas limit of a transaction from Osaka on (EIP-7825).
const MOST_GAS: u64 = 1 << 24;
/// Gas of a payment.
const PAYMENT: u64 = 21_000;
/// Maximum size of a contract's code (EIP-170).
const MOST_CODE: u64 = 24_576;
/// Gas of one iteration of an empty loop.
const ITERATION: u64 = 26;
/// The precompile that multiplies a point on the curve alt_bn128.
const MULTIPLY: Address = Address::with_last_byte(7);

/// An attack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Attack {
    /// All calls increment one slot, which cannot be predicted.
    OneSlot,
    /// Each call first reads what the preceding one writes last: the newest run is always stale.
    Newest,
    /// The executor has learned sequential execution from blocks that are one chain of calls; then
    /// the calls are independent.
    TaughtChain,
    /// The executor has learned speculation from blocks of independent calls; then they are one
    /// chain.
    TaughtFree,
    /// Each call writes 60 slots whose numbers, and contracts whose addresses, differ only in the
    /// topmost bits.
    Flood,
    /// Each call reads 1,000 slots and writes one that all later ones read.
    ReadSets,
    /// Each call calls itself recursively until its gas ends.
    DeepCalls,
    /// A transaction of 30 million gas before 10,000 payments.
    GiantFirst,
    /// Same, after the payments.
    GiantLast,
    /// Each call creates a contract of the maximum size, all by one factory.
    Creations,
    /// Half of the calls use a precompile that takes 20 times as long as its gas says.
    Mispriced,
    /// The gas limit of each call is ten times what it needs.
    Limits,
    /// The block's access list is wrong at the last transaction.
    LieLast,
    /// The block's access list has no changes.
    LieAll,
}

/// How an access list is false.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    /// The last change of a slot has another value.
    Last,
    /// No slot changes.
    All,
}

/// An attack block, with its circumstances.
#[derive(Clone, Debug)]
pub struct Staged {
    /// The block.
    pub block: Block,
    /// The state before it.
    pub database: FileDatabase,
    /// A block that the executor executes several times before.
    pub before: Option<(Block, FileDatabase)>,
    /// Transactions that take 20 times as long as their gas says.
    pub mispriced: Vec<usize>,
    /// How the block's given access list is wrong, if it is.
    pub lie: Option<Lie>,
}

impl Attack {
    /// All attacks.
    pub const ALL: [Self; 14] = [
        Self::OneSlot,
        Self::Newest,
        Self::TaughtChain,
        Self::TaughtFree,
        Self::Flood,
        Self::ReadSets,
        Self::DeepCalls,
        Self::GiantFirst,
        Self::GiantLast,
        Self::Creations,
        Self::Mispriced,
        Self::Limits,
        Self::LieLast,
        Self::LieAll,
    ];

    /// Generates the block with one in `by` of its transactions, unless it has only a few.
    ///
    /// # Errors
    /// Returns an error if the generator is at fault.
    pub fn stage(self, by: u32, seed: u64) -> Result<Staged, WorkloadError> {
        let by = by.max(1);
        let calls = |slots, when| Contention {
            slots,
            order: Order::Random,
            when,
            micros: 20,
            told_by: ToldBy::Nothing,
        };
        let meeting = |slots| calls(slots, When::Middle).block(2_000 / by, seed);
        let told = Contention { told_by: ToldBy::Argument, ..calls(40, When::Middle) };
        let made = |count: u32, make: Make| self.made(count / by, seed, make);
        let mut staged = match self {
            Self::OneSlot => staged(&meeting(1)?)?,
            Self::Newest => made(1_000, newest)?,
            Self::TaughtChain => {
                Staged { before: Some(executable(&meeting(1)?)?), ..staged(&meeting(1_000)?)? }
            }
            Self::TaughtFree => {
                Staged { before: Some(executable(&meeting(1_000)?)?), ..staged(&meeting(1)?)? }
            }
            Self::Flood => made(200, flood)?,
            Self::ReadSets => made(200, read_sets)?,
            Self::DeepCalls => made(400, deep_calls)?,
            Self::GiantFirst => made(10_000, |world, count| giant(world, count, 0))?,
            Self::GiantLast => made(10_000, |world, count| giant(world, count, count))?,
            Self::Creations => made(160, creations)?,
            Self::Mispriced => made(400, mispriced)?,
            Self::Limits => {
                let contention = calls(40, When::Last);
                let shape =
                    Shape { contention, transactions: 1_200 / by, limit: 1_200, ..Shape::BASE };
                staged(&shape.block(seed)?)?
            }
            Self::LieLast | Self::LieAll => staged(&told.block(1_000 / by, seed)?)?,
        };
        match self {
            Self::Mispriced => {
                staged.mispriced = (0..staged.block.transactions.len()).step_by(2).collect();
            }
            // From Osaka on, no transaction may have such a gas limit.
            Self::GiantFirst | Self::GiantLast => {
                staged.block.cfg.set_spec_and_mainnet_gas_params(SpecId::PRAGUE);
                staged.block.cfg.tx_gas_limit_cap = None;
            }
            Self::LieLast => staged.lie = Some(Lie::Last),
            Self::LieAll => staged.lie = Some(Lie::All),
            _ => {}
        }
        Ok(staged)
    }

    fn made(self, count: u32, seed: u64, make: Make) -> Result<Staged, WorkloadError> {
        let note = format!("{self}, seed {seed}");
        let file = draft(seed, Signing::Unsigned, &Placement::DEFAULT, note, |world| {
            make(world, count.max(2).into())
        })?;
        staged(&file)
    }
}

/// Makes a number of calls.
type Make = fn(&mut World, u64) -> Result<Vec<Call>, WorkloadError>;

fn executable(file: &BlockFile) -> Result<(Block, FileDatabase), WorkloadError> {
    file.to_block().map_err(|error| WorkloadError::Execution(format!("{error:?}")))
}

fn staged(file: &BlockFile) -> Result<Staged, WorkloadError> {
    let (block, database) = executable(file)?;
    Ok(Staged { block, database, before: None, mispriced: Vec::new(), lie: None })
}

/// Makes calls of the contract with this code, each from an account of its own, with its number as
/// argument.
fn calls(
    world: &mut World,
    count: u64,
    code: Code,
    gas_limit: u64,
) -> Result<Vec<Call>, WorkloadError> {
    let to = world.address("attack", 0);
    world.state.deploy_code(to, &code.op(opcode::STOP).bytes());
    (0..count).map(|number| call(world, to, number, gas_limit)).collect()
}

fn call(
    world: &mut World,
    to: Address,
    sender: u64,
    gas_limit: u64,
) -> Result<Call, WorkloadError> {
    world.sender(sender)?;
    let mut input = vec![0xa7, 0x7a, 0xc4, 0x00];
    input.extend(U256::from(sender + 1).to_be_bytes::<32>());
    Ok(Call { sender, to, value: U256::ZERO, input: input.into(), gas_limit })
}

/// Pushes the call's number, from 1 on.
fn number(code: Code) -> Code {
    code.push(4).op(opcode::CALLDATALOAD)
}

/// Runs `body` `count` times. It finds the number of remaining iterations on top of the stack, and
/// must leave it there.
fn times(code: Code, count: u64, body: impl FnOnce(Code) -> Code) -> Code {
    let code = code.push(count);
    let start = code.len() as u64;
    let code = body(code.op(opcode::JUMPDEST)).push(1).op(opcode::SWAP1).op(opcode::SUB);
    code.op(opcode::DUP1).push(start).op(opcode::JUMPI).op(opcode::POP)
}

fn newest(world: &mut World, count: u64) -> Result<Vec<Call>, WorkloadError> {
    let code = times(Code::new().sload(0), 600, |code| code);
    world.state.set(world.address("attack", 0), U256::ZERO, U256::from(1));
    calls(world, count, code.push(1).op(opcode::ADD).sstore_top(0), 120_000)
}

fn flood(world: &mut World, count: u64) -> Result<Vec<Call>, WorkloadError> {
    // Slots are the call's number and the iteration, shifted to the top: all other bits are 0.
    let slot = |code: Code| {
        let code = number(code.push(1).op(opcode::DUP2)).push(8).op(opcode::SHL);
        code.op(opcode::ADD).push(232).op(opcode::SHL).op(opcode::SSTORE)
    };
    let code = times(Code::new(), 60, slot).op(opcode::STOP).bytes();
    let contract = |number: u64| {
        let mut address = Address::repeat_byte(0xaa);
        address.0[..8].copy_from_slice(&number.to_be_bytes());
        world.state.deploy_code(address, &code);
        call(world, address, number, 1_500_000)
    };
    (0..count).map(contract).collect()
}

fn read_sets(world: &mut World, count: u64) -> Result<Vec<Call>, WorkloadError> {
    let read = |code: Code| code.op(opcode::DUP1).op(opcode::SLOAD).op(opcode::POP);
    let code = number(times(Code::new(), 1_000, read).push(1)).op(opcode::SSTORE);
    calls(world, count, code, 2_500_000)
}

fn deep_calls(world: &mut World, count: u64) -> Result<Vec<Call>, WorkloadError> {
    let itself = world.address("attack", 0);
    let code = (0..5).fold(Code::new(), |code, _| code.push(0));
    calls(world, count, code.address(itself).op(opcode::GAS).op(opcode::CALL), MOST_GAS)
}

/// Makes `count` payments, with one call of 30 million gas after `place` of them.
fn giant(world: &mut World, count: u64, place: u64) -> Result<Vec<Call>, WorkloadError> {
    const GAS: u64 = 30_000_000;
    let contract = world.address("attack", 0);
    let code = times(Code::new(), (GAS - 3 * PAYMENT) / ITERATION, |code| code).increment(0, 1);
    world.state.deploy_code(contract, &code.op(opcode::STOP).bytes());
    let mut all = Vec::new();
    for number in 0..=count {
        if number == place {
            all.push(call(world, contract, count, GAS)?);
        }
        if number < count {
            world.sender(number)?;
            let (to, value) = (world.address("payee", number), U256::from(1));
            let input = Bytes::new();
            all.push(Call { sender: number, to, value, input, gas_limit: PAYMENT });
        }
    }
    Ok(all)
}

fn creations(world: &mut World, count: u64) -> Result<Vec<Call>, WorkloadError> {
    // Each code begins with the sender, so no two are the same.
    let init = Code::new().op(opcode::ORIGIN).push(0).op(opcode::MSTORE);
    let init = init.push(MOST_CODE).push(0).op(opcode::RETURN).bytes();
    calls(world, count, Code::new().create(&init, 0), 6_000_000)
}

/// Makes alternating calls: 40 multiplications on a curve by precompile, and a loop of equal gas.
fn mispriced(world: &mut World, count: u64) -> Result<Vec<Call>, WorkloadError> {
    let point = [1_u64, 2, u64::MAX].map(|word| U256::from(word).to_be_bytes::<32>()).concat();
    // The input is already in memory: a point and a factor.
    let multiply = |code: Code| {
        let code = code.push(0).push(0).push(96).push(0).address(MULTIPLY);
        code.push(7_000).op(opcode::STATICCALL).op(opcode::POP)
    };
    let code = times(Code::new().memory(&point), 40, multiply);
    let mut all = calls(world, count, code, 400_000)?;
    let plain = world.address("plain", 0);
    let code = times(Code::new(), 6_000, |code| code);
    world.state.deploy_code(plain, &code.op(opcode::STOP).bytes());
    all.iter_mut().skip(1).step_by(2).for_each(|call| call.to = plain);
    Ok(all)
}

impl fmt::Display for Attack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OneSlot => "all on one slot",
            Self::Newest => "the newest run is always stale",
            Self::TaughtChain => "taught a chain, then independent",
            Self::TaughtFree => "taught independence, then a chain",
            Self::Flood => "floods of alike keys",
            Self::ReadSets => "huge read sets, each written",
            Self::DeepCalls => "deep calls",
            Self::GiantFirst => "30 million gas before 10,000 payments",
            Self::GiantLast => "30 million gas behind 10,000 payments",
            Self::Creations => "largest creations by one factory",
            Self::Mispriced => "a precompile 20 times too cheap",
            Self::Limits => "ten times the gas limit",
            Self::LieLast => "access list wrong at the end",
            Self::LieAll => "access list without changes",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sequential::{OnInvalid, Prepared, SequentialOutput};

    const BY: u32 = 20;

    fn run(attack: Attack) -> (Staged, SequentialOutput) {
        let staged = attack.stage(BY, 1).expect("a block");
        let output = Prepared::new(&staged.block).run(staged.database.clone(), OnInvalid::Reject);
        let output = output.unwrap_or_else(|error| panic!("{attack}: {error}"));
        (staged, output)
    }

    #[test]
    fn every_attack_is_a_valid_block_whose_calls_succeed() {
        for attack in Attack::ALL {
            let (staged, output) = run(attack);
            assert!(output.receipts.iter().all(|receipt| receipt.success), "{attack}");
            assert_eq!(staged.before.is_some(), attack.to_string().starts_with("taught"));
            assert_eq!(staged.lie.is_some(), attack.to_string().starts_with("access list"));
        }
    }

    #[test]
    fn each_does_what_its_name_says() {
        let gas = |output: &SequentialOutput, at: usize| {
            let before = at.checked_sub(1).map_or(0, |at| output.receipts[at].cumulative_gas_used);
            output.receipts[at].cumulative_gas_used - before
        };
        let (staged, output) = run(Attack::GiantLast);
        let last = staged.block.transactions.len() - 1;
        assert!((29_000_000..30_000_000).contains(&gas(&output, last)), "{}", gas(&output, last));
        assert!((29_000_000..30_000_000).contains(&gas(&run(Attack::GiantFirst).1, 0)));
        let (staged, output) = run(Attack::Creations);
        let largest = |code: &revm::bytecode::Bytecode| code.original_bytes().len() == 24_576;
        let codes = output.bundle.contracts.values().filter(|code| largest(code)).count();
        assert_eq!(codes, staged.block.transactions.len());
        let (staged, output) = run(Attack::Flood);
        let slots = |account: &revm::database::BundleAccount| account.storage.len() == 60;
        let flooded = output.bundle.state.values().filter(|account| slots(account)).count();
        assert_eq!(flooded, staged.block.transactions.len());
        // 1,000 cold slots.
        assert!(gas(&run(Attack::ReadSets).1, 0) > 2_100_000);
        // More than 500 levels are more than 500 calls of a warm account.
        assert!(gas(&run(Attack::DeepCalls).1, 0) > 500 * 100);
        // 40 multiplications of 6,000.
        assert!(gas(&run(Attack::Mispriced).1, 0) > 240_000);
        let (staged, output) = run(Attack::Limits);
        assert!(staged.block.transactions[0].gas_limit > 10 * gas(&output, 0));
    }
}
