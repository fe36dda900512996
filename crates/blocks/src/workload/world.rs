//! The context of the transactions of a workload: the state, the senders, and the calls they make.

use super::{
    Parties, WorkloadError,
    choice::{Hot, Picker},
    random::{self, Random},
    state::State,
    wallet::{Signing, Wallet, Wallets},
};
use alloy_eips::{
    eip2935::{HISTORY_STORAGE_ADDRESS, HISTORY_STORAGE_CODE},
    eip4788::{BEACON_ROOTS_ADDRESS, BEACON_ROOTS_CODE},
    eip7002::{WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS, WITHDRAWAL_REQUEST_PREDEPLOY_CODE},
    eip7251::{CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS, CONSOLIDATION_REQUEST_PREDEPLOY_CODE},
};
use alloy_primitives::{Address, Bytes, U256};

/// One ether in wei.
const ETHER: U256 = U256::from_limbs([1_000_000_000_000_000_000, 0, 0, 0]);

/// A call; nonce and fees are added when the block is assembled.
#[derive(Clone, Debug)]
pub(super) struct Call {
    /// Index of the sender among the wallets.
    pub(super) sender: u64,
    pub(super) to: Address,
    /// Value in wei.
    pub(super) value: U256,
    pub(super) input: Bytes,
    pub(super) gas_limit: u64,
}

/// The state before the first block, and all senders of transactions.
#[derive(Debug)]
pub(super) struct World {
    pub(super) seed: u64,
    /// Time of the first block, in Unix seconds.
    pub(super) time: u64,
    pub(super) state: State,
    pub(super) wallets: Wallets,
}

impl World {
    /// Creates a world with the system contracts, a beneficiary, and no other accounts.
    pub(super) fn new(seed: u64, signing: Signing, time: u64) -> Self {
        let mut state = State::default();
        for (address, code) in [
            (BEACON_ROOTS_ADDRESS, &BEACON_ROOTS_CODE),
            (HISTORY_STORAGE_ADDRESS, &HISTORY_STORAGE_CODE),
            (WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS, &WITHDRAWAL_REQUEST_PREDEPLOY_CODE),
            (CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS, &CONSOLIDATION_REQUEST_PREDEPLOY_CODE),
        ] {
            state.deploy_code(address, code);
        }
        state.fund(beneficiary(seed), ETHER);
        Self { seed, time, state, wallets: Wallets::new(seed, signing) }
    }

    /// Returns the sender at index `place`, with funds for any number of transactions.
    pub(super) fn sender(&mut self, place: u64) -> Result<Wallet, WorkloadError> {
        let wallet = self.wallets.get(place)?;
        self.state.fund(wallet.address, ETHER * U256::from(1_000));
        Ok(wallet)
    }

    /// Returns the address of the object called `name` at index `place`.
    pub(super) fn address(&self, name: &str, place: u64) -> Address {
        random::address(self.seed, name, place)
    }
}

/// Returns the account that receives the fees.
pub(super) fn beneficiary(seed: u64) -> Address {
    random::address(seed, "beneficiary", 0)
}

/// Makes the calls of one kind of workload.
pub(super) trait Traffic {
    /// Returns the next call, after adding whatever it needs to the world.
    fn call(&mut self, world: &mut World, random: &mut Random) -> Result<Call, WorkloadError>;
}

/// Picks senders and recipients of payments.
#[derive(Clone, Debug)]
pub(super) struct Payments {
    senders: Picker,
    recipients: Picker,
    shared: bool,
}

/// Sender and recipient of one payment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Payment {
    pub(super) sender: u64,
    pub(super) from: Address,
    pub(super) to: Address,
    /// Whether the recipient already exists in the state.
    pub(super) known: bool,
}

impl Payments {
    pub(super) const fn new(parties: Parties, hot: Hot) -> Self {
        Self {
            senders: Picker::new(parties.senders, Hot::NONE),
            recipients: Picker::new(parties.recipients, hot),
            shared: parties.shared,
        }
    }

    /// Sends a share of the payments from a few hot senders.
    pub(super) const fn with_hot_senders(mut self, parties: Parties, hot: Hot) -> Self {
        self.senders = Picker::new(parties.senders, hot);
        self
    }

    pub(super) fn next(
        &mut self,
        world: &mut World,
        random: &mut Random,
    ) -> Result<Payment, WorkloadError> {
        let sender = self.senders.pick(random).place;
        let from = world.sender(sender)?.address;
        let pick = self.recipients.pick(random);
        let (to, known) = if self.shared {
            (world.sender(pick.place)?.address, true)
        } else {
            (world.address("recipient", pick.place), !pick.fresh)
        };
        Ok(Payment { sender, from, to, known })
    }
}
