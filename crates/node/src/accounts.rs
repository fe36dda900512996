//! The accounts of a development chain, whose keys everyone knows.

use alloy_consensus::{SignableTransaction, TypedTransaction};
use alloy_primitives::{Address, B256, Signature, U256, b256};
use braid_blocks::keys::Key;
use braid_chain::pool::SignedTransaction;

/// The mnemonic that all development nodes use.
pub(crate) const MNEMONIC: &str = "test test test test test test test test test test test junk";
/// Derivation path of the accounts, without the last index.
pub(crate) const PATH: &str = "m/44'/60'/0'/0/";
/// Balance of each account in ether.
pub(crate) const ETHER: u64 = 10_000;

/// The first keys of [`MNEMONIC`] at [`PATH`].
const KEYS: [B256; 10] = [
    b256!("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"),
    b256!("59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d"),
    b256!("5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a"),
    b256!("7c852118294e51e653712a81e05800f419141751be58f605c371e15141b007a6"),
    b256!("47e179ec197488593b187f80a00eb0da91f1b9d0b13f8733639f19c30a34926a"),
    b256!("8b3a350cf5c34c9194ca85829a2df0ec3153be0318b5e2d3348e872092edffba"),
    b256!("92db14e403b83dfe3df233f83dfa3a0d7096f21ca9b0d6d6b8d88b2b4ec1564e"),
    b256!("4bbbf85ce3377467afe5d46f804f221813b2bb87f24d81f60f1fcdbf7cbf4356"),
    b256!("dbda1821b80551c9d65939329250298aa3472ba22feea921c0cf5d620ea67b97"),
    b256!("2a871d0798f97d79848a013d4936a73bf4cc922c825d33c1cf7073dff6d409c6"),
];

/// Accounts that the node signs for.
#[derive(Debug)]
pub(crate) struct Accounts(Vec<Key>);

impl Accounts {
    /// Returns the accounts of the development mnemonic.
    pub(crate) fn new() -> Self {
        // Each constant is a valid key, as a test shows.
        Self(KEYS.iter().filter_map(|key| Key::new(*key).ok()).collect())
    }

    pub(crate) fn addresses(&self) -> Vec<Address> {
        self.0.iter().map(Key::address).collect()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Key> {
        self.0.iter()
    }

    pub(crate) fn get(&self, address: &Address) -> Option<&Key> {
        self.0.iter().find(|account| account.address() == *address)
    }
}

/// Signs a transaction with what `sign` returns for its hash; `None` for a blob transaction.
pub(crate) fn signed(
    transaction: TypedTransaction,
    sign: impl FnOnce(B256) -> Signature,
) -> Option<SignedTransaction> {
    let signature = sign(transaction.signature_hash());
    Some(match transaction {
        TypedTransaction::Legacy(tx) => SignedTransaction::Legacy(tx.into_signed(signature)),
        TypedTransaction::Eip2930(tx) => SignedTransaction::Eip2930(tx.into_signed(signature)),
        TypedTransaction::Eip1559(tx) => SignedTransaction::Eip1559(tx.into_signed(signature)),
        TypedTransaction::Eip7702(tx) => SignedTransaction::Eip7702(tx.into_signed(signature)),
        TypedTransaction::Eip4844(_) => return None,
    })
}

/// Returns the signature in a transaction of an impersonated `sender`. It names the sender, so that
/// the transactions of two senders differ, and so that [`impersonated`] finds the sender again
/// after a restart. No real signature has `s` = 0.
pub(crate) fn impersonation(sender: Address) -> Signature {
    Signature::new(U256::from_be_slice(sender.as_slice()), U256::ZERO, false)
}

/// Returns the sender that a transaction impersonates; `None` if it is really signed.
pub(crate) fn impersonated(transaction: &SignedTransaction) -> Option<Address> {
    let signature = transaction.signature();
    let is_made_up = signature.s().is_zero();
    is_made_up.then(|| Address::from_word(B256::from(signature.r())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_consensus::{TxEip1559, transaction::SignerRecoverable};
    use alloy_primitives::address;
    use hmac::{Hmac, Mac};
    use secp256k1::{SECP256K1, Scalar, SecretKey};
    use sha2::Sha512;

    fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 64] {
        let mut mac = Hmac::<Sha512>::new_from_slice(key).expect("any length");
        parts.iter().for_each(|part| mac.update(part));
        mac.finalize().into_bytes().into()
    }

    /// Returns the seed of a mnemonic without a passphrase (BIP-39).
    fn seed(mnemonic: &str) -> [u8; 64] {
        let mut round = hmac(mnemonic.as_bytes(), &[b"mnemonic", &1_u32.to_be_bytes()]);
        let mut seed = round;
        for _ in 1..2_048 {
            round = hmac(mnemonic.as_bytes(), &[&round]);
            seed.iter_mut().zip(round).for_each(|(all, one)| *all ^= one);
        }
        seed
    }

    /// Returns the key at a path (BIP-32).
    fn derived(seed: &[u8], path: &str) -> SecretKey {
        let split = |node: [u8; 64]| {
            let (key, chain) = node.split_at(32);
            (key.try_into().expect("32 bytes"), chain.to_vec())
        };
        let (key, mut chain): ([u8; 32], Vec<u8>) = split(hmac(b"Bitcoin seed", &[seed]));
        let mut key = SecretKey::from_byte_array(key).expect("a key");
        for step in path.split('/').skip(1) {
            let hardened = step.strip_suffix('\'');
            let index: u32 = hardened.unwrap_or(step).parse().expect("a number");
            let node = match hardened {
                Some(_) => {
                    let index = (index | 1 << 31).to_be_bytes();
                    hmac(&chain, &[&[0], &key.secret_bytes(), &index])
                }
                None => {
                    let public = key.public_key(SECP256K1).serialize();
                    hmac(&chain, &[&public, &index.to_be_bytes()])
                }
            };
            let (tweak, next) = split(node);
            key = key.add_tweak(&Scalar::from_be_bytes(tweak).expect("small")).expect("a key");
            chain = next;
        }
        key
    }

    #[test]
    fn the_keys_are_those_of_the_mnemonic() {
        let accounts = Accounts::new();
        assert_eq!(accounts.iter().count(), KEYS.len());
        let seed = seed(MNEMONIC);
        for (index, account) in accounts.iter().enumerate() {
            let derived = derived(&seed, &format!("{PATH}{index}"));
            assert_eq!(account.secret(), B256::new(derived.secret_bytes()), "{index}");
        }
        let first = address!("f39fd6e51aad88f6f4ce6ab8827279cfffb92266");
        assert_eq!(accounts.addresses().first(), Some(&first));
        assert!(accounts.get(&Address::ZERO).is_none());
    }

    #[test]
    fn a_signed_transaction_has_its_sender_and_an_impersonated_one_names_it() {
        let accounts = Accounts::new();
        let account = accounts.iter().next().expect("ten");
        let tx = || TypedTransaction::Eip1559(TxEip1559 { nonce: 7, ..TxEip1559::default() });
        let real = signed(tx(), |hash| account.sign(hash)).expect("no blobs");
        assert_eq!(real.recover_signer().ok(), Some(account.address()));
        assert_eq!(impersonated(&real), None);
        let other = Address::repeat_byte(0xaa);
        let made_up = signed(tx(), |_| impersonation(other)).expect("no blobs");
        assert_eq!(impersonated(&made_up), Some(other));
        assert_ne!(made_up.hash(), real.hash());
        made_up.recover_signer().expect_err("nobody has signed it");
    }
}
