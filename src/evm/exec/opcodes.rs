//! Instructions that differ from revm's. Those that may read a balance announce it first. KECCAK256
//! caches hashes of short inputs. Where a run may become useless - a helper run, a run on an access
//! list, a long speculative run - jumps end it.

use super::context::EvmContext;
use super::keccak::LONGEST_INPUT;
use super::stopped::ViewStopped;
use alloy_primitives::{Address, U256};
use revm::DatabaseRef;
use revm::bytecode::opcode::{
    BALANCE, CALL, CALLCODE, CALLDATACOPY, CODECOPY, CREATE, CREATE2, DELEGATECALL, EXP,
    EXTCODECOPY, JUMP, JUMPI, KECCAK256, MCOPY, RETURNDATACOPY, SELFBALANCE, SELFDESTRUCT,
    STATICCALL,
};
use revm::context_interface::JournalTr;
use revm::context_interface::context::ContextError;
use revm::handler::instructions::EthInstructions;
use revm::interpreter::instructions::{arithmetic, contract, control, host, memory, system};
use revm::interpreter::interpreter::EthInterpreter;
use revm::interpreter::interpreter_types::{InputsTr, MemoryTr};
use revm::interpreter::{
    Host, Instruction, InstructionContext, InstructionExecResult, InstructionResult,
};

type Call<'c, 'a, D> = InstructionContext<'c, EvmContext<'a, D>, EthInterpreter>;

/// Replaces the instructions that may read balances by ones that announce it.
pub(super) fn announced<'a, D: DatabaseRef>(
    mut instructions: EthInstructions<EthInterpreter, EvmContext<'a, D>>,
) -> EthInstructions<EthInterpreter, EvmContext<'a, D>> {
    let table = instructions.instruction_table_mut();
    for (opcode, instruction) in [
        (BALANCE, Instruction::new(balance)),
        (SELFBALANCE, Instruction::new(self_balance)),
        (CALL, Instruction::new(call::<CALL, _>)),
        (CALLCODE, Instruction::new(call::<CALLCODE, _>)),
        (CREATE, Instruction::new(create::<false, _>)),
        (CREATE2, Instruction::new(create::<true, _>)),
        (SELFDESTRUCT, Instruction::new(self_destruct)),
    ] {
        if let Some(entry) = table.get_mut(usize::from(opcode)) {
            *entry = instruction;
        }
    }
    instructions
}

/// The `n`-th word of the stack from the top. A missing word reads as zero; the instruction itself
/// will fail.
fn word<D: DatabaseRef>(context: &Call<'_, '_, D>, n: usize) -> U256 {
    let stack = context.interpreter.stack.data();
    stack.iter().nth_back(n).copied().unwrap_or_default()
}

fn address<D: DatabaseRef>(context: &Call<'_, '_, D>, n: usize) -> Address {
    Address::from_word(word(context, n).into())
}

/// Announces that the instruction reads the balance of `address`. Ends the run if the view cannot
/// answer.
fn count<D: DatabaseRef>(context: &mut Call<'_, '_, D>, address: Address) -> InstructionExecResult {
    let view = context.host.journaled_state.db_mut();
    view.count_balance(address);
    if view.inner.has_stopped() { end(context) } else { Ok(()) }
}

/// Same, for the recipient of a value transfer.
fn count_payment<D: DatabaseRef>(
    context: &mut Call<'_, '_, D>,
    to: Address,
    amount: U256,
) -> InstructionExecResult {
    let view = context.host.journaled_state.db_mut();
    view.count_payment(to, amount);
    if view.inner.has_stopped() { end(context) } else { Ok(()) }
}

fn count_own<D: DatabaseRef>(context: &mut Call<'_, '_, D>) -> InstructionExecResult {
    let own = context.interpreter.input.target_address();
    count(context, own)
}

/// Ends a useless run.
fn end<D: DatabaseRef>(context: &mut Call<'_, '_, D>) -> InstructionExecResult {
    // revm expects a failed read behind a fatal error and panics without one.
    context.host.error = Err(ContextError::Db(ViewStopped));
    Err(InstructionResult::FatalExternalError)
}

fn balance<D: DatabaseRef>(mut context: Call<'_, '_, D>) -> InstructionExecResult {
    let of = address(&context, 0);
    count(&mut context, of)?;
    host::balance(context)
}

fn self_balance<D: DatabaseRef>(mut context: Call<'_, '_, D>) -> InstructionExecResult {
    count_own(&mut context)?;
    host::selfbalance(context)
}

fn call<const KIND: u8, D: DatabaseRef>(mut context: Call<'_, '_, D>) -> InstructionExecResult {
    let amount = word(&context, 2);
    if !amount.is_zero() {
        let to = address(&context, 1);
        count_own(&mut context)?;
        count_payment(&mut context, to, amount)?;
    }
    contract::call::<KIND, _, _>(context)
}

fn create<const IS_CREATE2: bool, D: DatabaseRef>(
    mut context: Call<'_, '_, D>,
) -> InstructionExecResult {
    if !word(&context, 0).is_zero() {
        count_own(&mut context)?;
    }
    contract::create::<IS_CREATE2, _, _>(context)
}

fn self_destruct<D: DatabaseRef>(mut context: Call<'_, '_, D>) -> InstructionExecResult {
    let to = address(&context, 0);
    count_own(&mut context)?;
    let own = context.interpreter.input.target_address();
    let own = context.host.journaled_state.evm_state().get(&own);
    let amount = own.map_or(U256::ZERO, |own| own.info.balance);
    count_payment(&mut context, to, amount)?;
    host::selfdestruct(context)
}

/// Replaces KECCAK256 by one with a cache.
pub(super) fn remembering<'a, D: DatabaseRef>(
    mut instructions: EthInstructions<EthInterpreter, EvmContext<'a, D>>,
) -> EthInstructions<EthInterpreter, EvmContext<'a, D>> {
    let table = instructions.instruction_table_mut();
    if let Some(entry) = table.get_mut(usize::from(KECCAK256)) {
        *entry = Instruction::new(keccak);
    }
    instructions
}

/// KECCAK256 of a short input within the current memory, from the cache; all other cases are left
/// to revm.
fn keccak<D: DatabaseRef>(context: Call<'_, '_, D>) -> InstructionExecResult {
    let interpreter = &mut *context.interpreter;
    if let [.., length, offset] = interpreter.stack.data()[..]
        && let (Ok(length), Ok(offset)) = (usize::try_from(length), usize::try_from(offset))
        && (1..=LONGEST_INPUT).contains(&length)
        && offset.saturating_add(length) <= interpreter.memory.size()
        && (interpreter.gas.record_regular_cost(context.host.gas_params().keccak256_cost(length))
            || mutant!(HashUnpaid))
    {
        let hash = context.host.chain.hash(&interpreter.memory.slice_len(offset, length));
        interpreter.stack.pop()?;
        return interpreter.stack.set(0, hash.into());
    }
    system::keccak256(context)
}

/// Replaces instructions so that a useless run ends: at jumps, and in blocks with an access list
/// (`reads_list`, from Cancun) also before instructions that may take long, as code without loops may be
/// long, too. A precompile that has begun runs to its end.
pub(super) fn abandonable<'a, D: DatabaseRef>(
    mut instructions: EthInstructions<EthInterpreter, EvmContext<'a, D>>,
    reads_list: bool,
    caches_keccak: bool,
) -> EthInstructions<EthInterpreter, EvmContext<'a, D>> {
    let table = instructions.instruction_table_mut();
    let mut replace = |opcode: u8, instruction| {
        if let Some(entry) = table.get_mut(usize::from(opcode)) {
            *entry = instruction;
        }
    };
    replace(JUMP, Instruction::new(or_end::jump));
    replace(JUMPI, Instruction::new(or_end::jumpi));
    if reads_list {
        let hash = if caches_keccak { or_end::remembered } else { or_end::keccak256 };
        replace(KECCAK256, Instruction::new(hash));
        replace(CALL, Instruction::new(or_end::call));
        replace(CALLCODE, Instruction::new(or_end::callcode));
        replace(DELEGATECALL, Instruction::new(or_end::delegatecall));
        replace(STATICCALL, Instruction::new(or_end::staticcall));
        replace(CODECOPY, Instruction::new(or_end::codecopy));
        replace(CALLDATACOPY, Instruction::new(or_end::calldatacopy));
        replace(RETURNDATACOPY, Instruction::new(or_end::returndatacopy));
        replace(EXTCODECOPY, Instruction::new(or_end::extcodecopy));
        replace(MCOPY, Instruction::new(or_end::mcopy));
        replace(EXP, Instruction::new(or_end::exp));
    }
    instructions
}

fn go_on<D: DatabaseRef>(context: &mut Call<'_, '_, D>) -> InstructionExecResult {
    if context.host.journaled_state.db_mut().is_of_no_use() { end(context) } else { Ok(()) }
}

fn go_on_at_jump<D: DatabaseRef>(context: &mut Call<'_, '_, D>) -> InstructionExecResult {
    let view = context.host.journaled_state.db_mut();
    if view.is_of_no_use_at_jump() { end(context) } else { Ok(()) }
}

/// revm's instructions, each preceded by a check that ends a useless run.
mod or_end {
    use super::*;

    macro_rules! instructions {
        ($go_on:ident: $($name:ident: $instruction:expr),* $(,)?) => {
            $(pub(super) fn $name<D: DatabaseRef>(
                mut context: Call<'_, '_, D>,
            ) -> InstructionExecResult {
                $go_on(&mut context)?;
                $instruction(context)
            })*
        };
    }

    instructions! { go_on_at_jump:
        jump: control::jump,
        jumpi: control::jumpi,
    }

    instructions! { go_on:
        remembered: keccak,
        keccak256: system::keccak256,
        // As without a list, calls announce the balances they read.
        call: super::call::<CALL, _>,
        callcode: super::call::<CALLCODE, _>,
        delegatecall: contract::call::<DELEGATECALL, _, _>,
        staticcall: contract::call::<STATICCALL, _, _>,
        codecopy: system::codecopy,
        calldatacopy: system::calldatacopy,
        returndatacopy: system::returndatacopy,
        extcodecopy: host::extcodecopy,
        mcopy: memory::mcopy,
        exp: arithmetic::exp,
    }
}
