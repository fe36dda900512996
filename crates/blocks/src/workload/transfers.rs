//! Native transfers.

use super::{
    WorkloadError,
    random::Random,
    world::{Call, Payments, Traffic, World},
};
use alloy_primitives::{Bytes, U256};

/// Gas of a transfer to an account without code.
const GAS: u64 = 21_000;

/// Payments in ether between accounts without code.
#[derive(Debug)]
pub(super) struct Transfers {
    payments: Payments,
}

impl Transfers {
    pub(super) const fn new(payments: Payments) -> Self {
        Self { payments }
    }
}

impl Traffic for Transfers {
    fn call(&mut self, world: &mut World, random: &mut Random) -> Result<Call, WorkloadError> {
        let payment = self.payments.next(world, random)?;
        if payment.known {
            world.state.fund(payment.to, U256::from(1));
        }
        Ok(Call {
            sender: payment.sender,
            to: payment.to,
            value: U256::from(random.between(1, 1_000_000_000_000_000)),
            input: Bytes::new(),
            gas_limit: GAS,
        })
    }
}
