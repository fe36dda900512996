//! Mints of a collectible, in three versions with ever fewer conflicts.

use super::{
    Workload, WorkloadError,
    artifact::{Artifact, call_data},
    choice::Picker,
    random::Random,
    world::{Call, Traffic, World},
};
use alloy_primitives::{Address, U256};

/// Gas limit, well above the cost of a mint.
const GAS_LIMIT: u64 = 200_000;
/// Tokens minted before the block, so that the counter is not zero.
const MINTED: u64 = 1_000;

/// Calls of `mint()`, each by another minter.
#[derive(Debug)]
pub(super) struct Mints {
    contract: Address,
    selector: [u8; 4],
    minters: Picker,
}

impl Mints {
    /// Deploys the version that `workload` names; for a workload that is no mint, the serial
    /// version.
    pub(super) fn new(
        world: &mut World,
        workload: Workload,
        minters: Picker,
    ) -> Result<Self, WorkloadError> {
        let artifact = match workload {
            Workload::MintParallel => Artifact::parallel_mint(),
            Workload::MintCounter => Artifact::counter_mint(),
            _ => Artifact::serial_mint(),
        }?;
        let contract = world.address("collectible", 0);
        world.state.deploy(contract, artifact.code());
        if workload != Workload::MintParallel {
            world.state.set(contract, artifact.slot("nextId")?, U256::from(MINTED));
        }
        if workload == Workload::MintSerial {
            let before = super::artifact::word(world.address("minter before", 0));
            world.state.set(contract, artifact.slot("lastMinter")?, before);
        }
        Ok(Self { contract, selector: artifact.selector("mint()")?, minters })
    }
}

impl Traffic for Mints {
    fn call(&mut self, world: &mut World, random: &mut Random) -> Result<Call, WorkloadError> {
        let sender = self.minters.pick(random).place;
        world.sender(sender)?;
        Ok(Call {
            sender,
            to: self.contract,
            value: U256::ZERO,
            input: call_data(self.selector, &[]),
            gas_limit: GAS_LIMIT,
        })
    }
}
