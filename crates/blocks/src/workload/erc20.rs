//! Transfers of ERC-20 tokens.

use super::{
    WorkloadError,
    choice::{Hot, Picker, Spread},
    random::Random,
    token::{TOKEN, Tokens},
    world::{Call, Payments, Traffic, World},
};
use alloy_primitives::{Address, U256};

/// Gas limit, well above the cost of a transfer to an account without the token.
const GAS_LIMIT: u64 = 80_000;

/// Payments in tokens.
#[derive(Debug)]
pub(super) struct Erc20 {
    tokens: Tokens,
    contracts: Picker,
    payments: Payments,
}

impl Erc20 {
    /// Creates the traffic. `contracts` is the distribution of the tokens; with [`Spread::ONE`],
    /// only the first is used.
    pub(super) fn new(contracts: Spread, payments: Payments) -> Result<Self, WorkloadError> {
        Ok(Self { tokens: Tokens::load()?, contracts: Picker::new(contracts, Hot::NONE), payments })
    }

    /// Returns the token at `place`, which is deployed on first use.
    fn token(&self, world: &mut World, place: u64) -> Address {
        let address = world.address("token", place);
        if !world.state.accounts.contains_key(&address) {
            self.tokens.deploy(&mut world.state, address, place);
        }
        address
    }

    fn endow(&self, world: &mut World, token: Address, holder: Address) {
        if !self.tokens.is_holder(&world.state, token, holder) {
            let amount = TOKEN * U256::from(1_000_000);
            self.tokens.mint(&mut world.state, token, holder, amount);
        }
    }
}

impl Traffic for Erc20 {
    fn call(&mut self, world: &mut World, random: &mut Random) -> Result<Call, WorkloadError> {
        let place = self.contracts.pick(random).place;
        let token = self.token(world, place);
        let payment = self.payments.next(world, random)?;
        self.endow(world, token, payment.from);
        if payment.known {
            self.endow(world, token, payment.to);
        }
        let amount = U256::from(random.between(1, 1_000_000_000_000_000_000));
        Ok(Call {
            sender: payment.sender,
            to: token,
            value: U256::ZERO,
            input: self.tokens.transfer(payment.to, amount),
            gas_limit: GAS_LIMIT,
        })
    }
}
