//! Rare features of blocks: deposits by logs, failing system contracts, chain-specific rules.

use super::Case;
use super::draw::Draw;
use alloy_eips::{eip2935, eip4788, eip7002, eip7251};
use alloy_primitives::{Address, B256, Bytes, U256, b256};
use braid_blocks::code::Code;
use braid_blocks::memory::MemoryAccount;
use revm::bytecode::opcode;

/// First topic of `DepositEvent(bytes,bytes,bytes,bytes,bytes)` (EIP-6110).
const DEPOSIT_EVENT: B256 =
    b256!("649bbc62d0e31342afea4e5cd82d4049e7e1ee912fc0889aa790803be39038c5");
/// Position of each field in the event's data: (offset, length).
const FIELDS: [(u16, u8); 5] = [(160, 48), (256, 32), (320, 8), (384, 96), (512, 8)];
/// Length of the event's data.
const LENGTH: usize = 576;

/// System contracts, those called before the transactions first.
const SYSTEM: [Address; 4] = [
    eip2935::HISTORY_STORAGE_ADDRESS,
    eip4788::BEACON_ROOTS_ADDRESS,
    eip7002::WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS,
    eip7251::CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS,
];

/// Draws the rare features. This comes last, so that other blocks stay the same.
pub(super) fn change(draw: &mut Draw<'_, '_>, case: &mut Case) {
    if draw.percent(10) {
        deposits(draw, case);
    }
    if draw.percent(4) {
        failing_system_contract(draw, case);
    }
    let rules = &mut case.block.rules;
    if draw.percent(10) {
        rules.system_calls = false;
    }
    if draw.percent(10) {
        rules.block_reward = Some(draw.pick(&[0, 1, 1_000_000]));
    }
    if draw.percent(1) {
        case.block.parent_beacon_block_root = None;
    }
}

/// Turns one of the contracts into the deposit contract: it counts its calls, and logs an event for
/// each.
fn deposits(draw: &mut Draw<'_, '_>, case: &mut Case) {
    let contract = Address::repeat_byte(0xc0);
    let Some(account) = case.accounts.get_mut(&contract) else { return };
    let mut event = deposit_event();
    // Data that the EIP forbids and the oracle accepts (a byte less, a longer field) is tested in
    // the unit tests of `src/evm/block/requests.rs`.
    match draw.below(8) {
        6 => event.truncate(LENGTH - 96),
        7 => event[draw.pick(&[0, 31, 63])] ^= 1,
        _ => {}
    }
    let code = Code::new().increment(0, 1).memory(&event);
    let code = match draw.percent(20) {
        // Its other logs are no deposits.
        true => code.push(event.len() as u64).push(0).op(opcode::LOG0),
        false => code,
    };
    let topic = U256::from_be_bytes(DEPOSIT_EVENT.0);
    let code = code.push(topic).push(event.len() as u64).push(0).op(opcode::LOG1);
    account.code = code.bytes();
    case.block.rules.deposit_contract = Some(contract);
}

fn deposit_event() -> Vec<u8> {
    let mut data = vec![0; LENGTH];
    for (index, (offset, length)) in FIELDS.into_iter().enumerate() {
        data[32 * index + 30..32 * index + 32].copy_from_slice(&offset.to_be_bytes());
        let at = usize::from(offset);
        data[at + 31] = length;
        data[at + 32..at + 32 + usize::from(length)].fill(index as u8 + 1);
    }
    data
}

fn failing_system_contract(draw: &mut Draw<'_, '_>, case: &mut Case) {
    let address = draw.pick(&SYSTEM);
    let ends: [&'static [u8]; 3] = [
        &[opcode::INVALID],
        &[opcode::PUSH1, 0, opcode::PUSH1, 0, opcode::REVERT],
        // Pops from an empty stack, after a change that must be reverted.
        &[opcode::PUSH1, 1, opcode::PUSH1, 0, opcode::SSTORE, opcode::POP],
    ];
    let code = Bytes::from_static(draw.pick(&ends));
    case.accounts.insert(address, MemoryAccount { nonce: 1, code, ..Default::default() });
}
