//! Senders: addresses, and where blocks are signed, the keys behind them.

use super::{WorkloadError, random};
use alloy_consensus::crypto::secp256k1::sign_message;
use alloy_primitives::{Address, B256, Signature, U256};
use k256::{
    AffinePoint, ProjectivePoint, Scalar,
    ecdsa::{SigningKey, VerifyingKey},
    elliptic_curve::sec1::ToEncodedPoint,
};

/// Whether the transactions of a block carry signatures of their senders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signing {
    /// Real keys, derived from the seed. About a tenth of a millisecond a transaction.
    Signed,
    /// Made-up signatures: `from` is right, recovering it from the signature fails.
    Unsigned,
}

/// One sender.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wallet {
    pub(super) address: Address,
    secret: Option<B256>,
}

impl Wallet {
    /// The signature under a transaction whose signature hash is `hash`.
    pub(super) fn sign(&self, hash: B256) -> Result<Signature, WorkloadError> {
        match self.secret {
            Some(secret) => sign_message(secret, hash)
                .map_err(|error| WorkloadError::Signing(error.to_string())),
            // Both numbers are in range, and different transactions get different ones.
            None => Ok(Signature::new(U256::from_be_slice(&hash[1..]), U256::from(1), false)),
        }
    }
}

/// The senders of a workload, made as they are asked for.
#[derive(Debug)]
pub(super) struct Wallets {
    seed: u64,
    keys: Option<Keys>,
    made: Vec<Wallet>,
}

impl Wallets {
    pub(super) fn new(seed: u64, signing: Signing) -> Result<Self, WorkloadError> {
        let keys = match signing {
            Signing::Signed => Some(Keys::new(seed)?),
            Signing::Unsigned => None,
        };
        Ok(Self { seed, keys, made: Vec::new() })
    }

    /// The sender at place `index`.
    pub(super) fn get(&mut self, index: u64) -> Result<Wallet, WorkloadError> {
        loop {
            let made = self.made.len() as u64;
            if let Some(wallet) = usize::try_from(index).ok().and_then(|at| self.made.get(at)) {
                return Ok(*wallet);
            }
            let wallet = match &mut self.keys {
                Some(keys) => keys.next()?,
                None => {
                    Wallet { address: random::address(self.seed, "sender", made), secret: None }
                }
            };
            self.made.push(wallet);
        }
    }
}

/// Consecutive secret keys. The next public key is one addition of points away, which costs a
/// fraction of a multiplication. Nobody's funds depend on these keys being hard to guess.
#[derive(Debug)]
struct Keys {
    secret: Scalar,
    public: ProjectivePoint,
}

impl Keys {
    fn new(seed: u64) -> Result<Self, WorkloadError> {
        let first = SigningKey::from_slice(random::derive(seed, "secret", 0).as_slice())
            .map_err(|error| WorkloadError::Signing(error.to_string()))?;
        let public = ProjectivePoint::from(*first.verifying_key().as_affine());
        Ok(Self { secret: *first.as_nonzero_scalar().as_ref(), public })
    }

    fn next(&mut self) -> Result<Wallet, WorkloadError> {
        let affine: AffinePoint = self.public.to_affine();
        let key = VerifyingKey::from_affine(affine)
            .map_err(|error| WorkloadError::Signing(error.to_string()))?;
        let point = key.as_affine().to_encoded_point(false);
        // The first byte says that the point is not compressed; it is no part of what is hashed.
        let address = Address::from_raw_public_key(point.as_bytes().get(1..).unwrap_or_default());
        let secret = B256::from_slice(&self.secret.to_bytes());
        self.secret += Scalar::ONE;
        self.public += ProjectivePoint::GENERATOR;
        Ok(Wallet { address, secret: Some(secret) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_consensus::crypto::secp256k1::recover_signer;

    #[test]
    fn signatures_recover_to_their_wallets() {
        let mut wallets = Wallets::new(5, Signing::Signed).unwrap();
        for index in [3, 0, 1, 2, 40] {
            let wallet = wallets.get(index).unwrap();
            let hash = random::derive(5, "message", index);
            let signature = wallet.sign(hash).unwrap();
            assert_eq!(recover_signer(&signature, hash).unwrap(), wallet.address, "{index}");
        }
        assert_eq!(wallets.made.len(), 41);
    }

    #[test]
    fn unsigned_wallets_have_addresses_of_their_own() {
        let mut wallets = Wallets::new(5, Signing::Unsigned).unwrap();
        let (one, other) = (wallets.get(0).unwrap(), wallets.get(1).unwrap());
        assert_ne!(one.address, other.address);
        let hash = random::derive(5, "message", 0);
        assert_ne!(recover_signer(&one.sign(hash).unwrap(), hash).ok(), Some(one.address));
    }
}
