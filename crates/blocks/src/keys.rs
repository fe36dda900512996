//! Keys with which senders sign.

use alloy_primitives::{Address, B256, Signature};
use secp256k1::{Message, SECP256K1, SecretKey};
use thiserror::Error;

/// A private key on the curve secp256k1, and the address of its account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    secret: SecretKey,
    address: Address,
}

/// The number is zero, or not below the order of the curve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "not a private key of secp256k1: expected a number from 1 to the order of the curve less 1"
)]
pub struct InvalidKey;

impl Key {
    /// Returns the key with this number.
    ///
    /// # Errors
    /// Returns [`InvalidKey`] if the curve has no such key.
    pub fn new(secret: B256) -> Result<Self, InvalidKey> {
        let secret = SecretKey::from_byte_array(secret.0).map_err(|_| InvalidKey)?;
        let public = secret.public_key(SECP256K1).serialize_uncompressed();
        // The first byte marks an uncompressed point and is not hashed.
        let (_, point) = public.split_at(1);
        Ok(Self { secret, address: Address::from_raw_public_key(point) })
    }

    /// Returns the number that is the key.
    #[must_use]
    pub fn secret(&self) -> B256 {
        B256::new(self.secret.secret_bytes())
    }

    /// Returns the address of the account that the key signs for.
    #[must_use]
    pub const fn address(&self) -> Address {
        self.address
    }

    /// Signs a hash, always with the same signature (RFC 6979), whose `s` is in the lower half.
    #[must_use]
    pub fn sign(&self, hash: B256) -> Signature {
        let signed = SECP256K1.sign_ecdsa_recoverable(Message::from_digest(hash.0), &self.secret);
        let (recovery, bytes) = signed.serialize_compact();
        // As `s` is in the lower half, the recovery id is the parity.
        Signature::from_bytes_and_parity(&bytes, i32::from(recovery) & 1 == 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_consensus::crypto::secp256k1::recover_signer;
    use alloy_primitives::{U256, address, keccak256};

    #[test]
    fn a_signature_recovers_to_the_address() {
        // The first account of the mnemonic "test test ... junk".
        let secret = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
        let key = Key::new(secret.parse().expect("32 bytes")).expect("a key");
        assert_eq!(key.address(), address!("f39fd6e51aad88f6f4ce6ab8827279cfffb92266"));
        assert_eq!(key.secret(), secret.parse::<B256>().expect("32 bytes"));
        let parities = (0_u8..32).map(|number| {
            let hash = keccak256([number]);
            let signature = key.sign(hash);
            assert_eq!(recover_signer(&signature, hash).ok(), Some(key.address()));
            signature.v()
        });
        let odd = parities.filter(|odd| *odd).count();
        assert!((1..32).contains(&odd), "{odd} of 32 signatures have the other parity");
    }

    #[test]
    fn numbers_outside_the_curve_are_no_keys() {
        for number in [B256::ZERO, B256::from(U256::MAX)] {
            assert_eq!(Key::new(number), Err(InvalidKey));
        }
    }
}
