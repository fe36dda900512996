//! Senders: addresses and, if blocks are signed, their keys.

use super::{WorkloadError, random};
use crate::keys::Key;
use alloy_primitives::{Address, B256, Signature, U256};

/// Whether the transactions of a block have signatures of their senders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signing {
    /// Real keys, derived from the seed. Each costs some tens of microseconds.
    Signed,
    /// Invalid signatures: `from` is right, but recovering it from the signature fails.
    Unsigned,
}

/// One sender.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wallet {
    pub(super) address: Address,
    /// `None` if nothing is signed.
    key: Option<Key>,
}

/// The senders of a workload, created on first use.
#[derive(Debug)]
pub(super) struct Wallets {
    seed: u64,
    signing: Signing,
    made: Vec<Wallet>,
}

impl Wallets {
    pub(super) fn new(seed: u64, signing: Signing) -> Self {
        Self { seed, signing, made: Vec::new() }
    }

    /// Returns the sender at index `place`.
    pub(super) fn get(&mut self, place: u64) -> Result<Wallet, WorkloadError> {
        loop {
            if let Some(wallet) = usize::try_from(place).ok().and_then(|at| self.made.get(at)) {
                return Ok(*wallet);
            }
            let wallet = self.make(self.made.len() as u64)?;
            self.made.push(wallet);
        }
    }

    fn make(&self, place: u64) -> Result<Wallet, WorkloadError> {
        Ok(match self.signing {
            Signing::Unsigned => {
                Wallet { address: random::address(self.seed, "sender", place), key: None }
            }
            Signing::Signed => {
                let key = Key::new(random::derive(self.seed, "secret", place))?;
                Wallet { address: key.address(), key: Some(key) }
            }
        })
    }
}

impl Wallet {
    /// Returns the signature for a transaction whose signature hash is `hash`.
    pub(super) fn sign(&self, hash: B256) -> Signature {
        match &self.key {
            Some(key) => key.sign(hash),
            // Both numbers are in range, and different transactions get different ones.
            None => Signature::new(U256::from_be_slice(&hash[1..]), U256::from(1), false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_consensus::crypto::secp256k1::recover_signer;

    #[test]
    fn signatures_recover_to_their_wallets() {
        let mut wallets = Wallets::new(5, Signing::Signed);
        for place in [3, 0, 1, 2, 40] {
            let wallet = wallets.get(place).unwrap();
            let hash = random::derive(5, "message", place);
            let signature = wallet.sign(hash);
            assert_eq!(recover_signer(&signature, hash).unwrap(), wallet.address, "{place}");
        }
        assert_eq!(wallets.made.len(), 41);
    }

    #[test]
    fn unsigned_wallets_have_addresses_of_their_own() {
        let mut wallets = Wallets::new(5, Signing::Unsigned);
        let (one, other) = (wallets.get(0).unwrap(), wallets.get(1).unwrap());
        assert_ne!(one.address, other.address);
        let hash = random::derive(5, "message", 0);
        assert_ne!(recover_signer(&one.sign(hash), hash).ok(), Some(one.address));
    }
}
