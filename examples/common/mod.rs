//! Set-up that the examples share: accounts with ether, and a contract that counts its calls.

#![allow(dead_code, reason = "each example uses some of it")]

use braid_evm::ChainRules;
use revm::bytecode::Bytecode;
use revm::context::TxEnv;
use revm::database::{CacheDB, EmptyDB};
use revm::primitives::{Address, U256, hex};
use revm::state::AccountInfo;

/// Rules of a chain without system contracts: the states of these examples have none.
pub(crate) fn rules() -> ChainRules {
    ChainRules { system_calls: false, ..ChainRules::default() }
}

/// Returns the address of an account.
pub(crate) fn account(number: u64) -> Address {
    Address::from_word(U256::from(0xa000 + number).into())
}

/// Returns a state in which the first `count` accounts own `wei` each.
pub(crate) fn funded(count: u64, wei: u64) -> CacheDB<EmptyDB> {
    let mut state = CacheDB::new(EmptyDB::new());
    for number in 0..count {
        state.insert_account_info(account(number), AccountInfo::from_balance(U256::from(wei)));
    }
    state
}

/// A contract that adds one to its slot 0, so that each call depends on the preceding one.
pub(crate) const COUNTER: Address = Address::repeat_byte(0xc0);

/// Returns [`funded`] with the contract [`COUNTER`].
pub(crate) fn with_counter(count: u64) -> CacheDB<EmptyDB> {
    let mut state = funded(count, 100);
    let code = Bytecode::new_raw(hex!("600054600101600055").into());
    state.insert_account_info(COUNTER, AccountInfo::default().with_code(code));
    state
}

/// Returns a call of [`COUNTER`] by an account.
pub(crate) fn call_counter(caller: u64) -> TxEnv {
    let call = TxEnv::builder().caller(account(caller)).to(COUNTER).gas_limit(50_000);
    call.build_fill()
}
