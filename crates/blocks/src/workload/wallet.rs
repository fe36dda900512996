//! Senders: addresses and, if blocks are signed, their keys.

use super::{WorkloadError, random};
use alloy_primitives::{Address, B256, Signature, U256};
use secp256k1::{All, Message, Secp256k1, SecretKey};

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
    secret: Option<SecretKey>,
}

/// The senders of a workload, created on first use.
#[derive(Debug)]
pub(super) struct Wallets {
    seed: u64,
    /// Tables of the curve; `None` if nothing is signed.
    curve: Option<Secp256k1<All>>,
    made: Vec<Wallet>,
}

impl Wallets {
    pub(super) fn new(seed: u64, signing: Signing) -> Self {
        let curve = match signing {
            Signing::Signed => Some(Secp256k1::new()),
            Signing::Unsigned => None,
        };
        Self { seed, curve, made: Vec::new() }
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
        let Some(curve) = &self.curve else {
            let address = random::address(self.seed, "sender", place);
            return Ok(Wallet { address, secret: None });
        };
        let secret = SecretKey::from_byte_array(random::derive(self.seed, "secret", place).0)?;
        let public = secret.public_key(curve).serialize_uncompressed();
        // The first byte marks an uncompressed point and is not hashed.
        let address = Address::from_raw_public_key(&public[1..]);
        Ok(Wallet { address, secret: Some(secret) })
    }

    /// Returns the signature of `wallet` for a transaction whose signature hash is `hash`.
    pub(super) fn sign(&self, wallet: &Wallet, hash: B256) -> Signature {
        let (Some(curve), Some(secret)) = (&self.curve, &wallet.secret) else {
            // Both numbers are in range, and different transactions get different ones.
            return Signature::new(U256::from_be_slice(&hash[1..]), U256::from(1), false);
        };
        let signed = curve.sign_ecdsa_recoverable(Message::from_digest(hash.0), secret);
        let (recovery, bytes) = signed.serialize_compact();
        let [r, s] = [&bytes[..32], &bytes[32..]].map(U256::from_be_slice);
        // The library returns `s` in the lower half, so the recovery id is the parity.
        Signature::new(r, s, i32::from(recovery) & 1 == 1)
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
            let signature = wallets.sign(&wallet, hash);
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
        assert_ne!(recover_signer(&wallets.sign(&one, hash), hash).ok(), Some(one.address));
    }
}
