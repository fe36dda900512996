//! Calls every precompile in blocks of one transaction, and prints gas and output. Both sets of
//! features must print the same.

#![forbid(unsafe_code)]

use braid_evm::{Block, ChainRules, Config, ExecutedStatus, Executor, Outcome};
use revm::context::TxEnv;
use revm::context::either::Either;
use revm::context::result::Output;
use revm::context::transaction::{Authorization, SignedAuthorization};
use revm::database::{CacheDB, EmptyDB};
use revm::primitives::hardfork::SpecId;
use revm::primitives::{Address, Bytes, TxKind, U256, hex};
use std::collections::BTreeSet;
use std::error::Error;

/// Order of the group of BLS12-381.
const ORDER: [u8; 32] = hex!("73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000001");
/// Generator of G1 of BLS12-381, compressed: the commitment to the polynomial 1.
const ONE: [u8; 48] = hex!(
    "97f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac586c55e83ff97a1aeffb3af00adb22c6bb"
);
/// The first coordinate of the generator of secp256k1, and the order of its group.
const POINT: [u8; 32] = hex!("79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798");
const GROUP: [u8; 32] = hex!("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141");

struct Caller(Executor);

impl Caller {
    /// Executes a call of the precompile at `address`, prints the result, and returns its output.
    fn call(&mut self, address: u64, input: &[u8]) -> Result<Bytes, Box<dyn Error>> {
        let to = TxKind::Call(Address::from_word(U256::from(address).into()));
        self.transaction(&format!("{address:#x}({})", hex::encode(input)), to, input, Vec::new())
    }

    fn transaction(
        &mut self,
        name: &str,
        kind: TxKind,
        input: &[u8],
        authorizations: Vec<SignedAuthorization>,
    ) -> Result<Bytes, Box<dyn Error>> {
        let transaction = TxEnv {
            kind,
            tx_type: if authorizations.is_empty() { 0 } else { 4 },
            data: input.to_vec().into(),
            gas_limit: 9_000_000,
            authorization_list: authorizations.into_iter().map(Either::Left).collect(),
            ..TxEnv::default()
        };
        let mut block = Block {
            transactions: vec![transaction],
            rules: ChainRules { system_calls: false, ..ChainRules::default() },
            ..Block::default()
        };
        block.cfg.set_spec_and_mainnet_gas_params(SpecId::OSAKA);
        let output = self.0.block(block).database(CacheDB::new(EmptyDB::new())).execute()?;
        let Some(Outcome::Executed(result)) = output.outcomes.first() else {
            return Err("the transaction is invalid".into());
        };
        let changed: BTreeSet<_> = output.bundle.state().keys().collect();
        println!("{name}: {result:?}, {changed:?}");
        Ok(match &result.status {
            ExecutedStatus::Success { output: Output::Call(bytes), .. } => bytes.clone(),
            _ => Bytes::new(),
        })
    }
}

fn word(value: u64) -> [u8; 32] {
    U256::from(value).to_be_bytes()
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut it = Caller(Executor::new(Config::default())?);
    // Recovery of a key: a low and a high `s`, and values that are out of range.
    let last = (U256::from_be_bytes(GROUP) - U256::ONE).to_be_bytes();
    for (parity, r, s) in [
        (27, POINT, word(1)),
        (28, POINT, word(7)),
        (28, POINT, last),
        (27, GROUP, word(1)),
        (27, POINT, GROUP),
        (27, POINT, word(0)),
        (29, POINT, word(1)),
        (27, word(5), word(1)),
    ] {
        it.call(1, &[word(9), word(parity), r, s].concat())?;
    }
    let hash = it.call(2, &ONE)?;
    it.call(3, b"braid")?;
    it.call(4, b"braid")?;
    it.call(5, &[&word(2)[..], &word(3), &word(2), &[7, 9], &[1, 0, 1], &[1, 3]].concat())?;
    let point = [word(1), word(2)].concat();
    let double = it.call(6, &[&point[..], &point].concat())?;
    it.call(7, &[&double[..], &word(77)].concat())?;
    it.call(7, &[word(1), word(1), word(77)].concat())?;
    it.call(8, &[])?;
    let mut blake = [0; 213];
    (blake[3], blake[4], blake[212]) = (12, 72, 1);
    it.call(9, &blake)?;
    // The polynomial 1 is 1 everywhere, which the point at infinity proves.
    let infinity = [&[0xc0][..], &[0; 47]].concat();
    for value in [1, 2] {
        let versioned = [&[1], hash.get(1..).unwrap_or_default()].concat();
        it.call(10, &[&versioned, &word(5)[..], &word(value), &ONE, &infinity].concat())?;
    }
    // BLS12-381: points from maps, their sums and multiples, and a pairing with an inverse.
    let field = |value| [&[0; 32][..], &word(value)].concat();
    let (one, other) = (it.call(0x10, &field(3))?, it.call(0x10, &field(4))?);
    let two = it.call(0x11, &[field(3), field(4)].concat())?;
    let two_other = it.call(0x11, &[field(5), field(6)].concat())?;
    it.call(0x0b, &[&one[..], &other].concat())?;
    it.call(0x0b, &[&one[..], &field(1), &field(1)].concat())?;
    it.call(0x0c, &[&one[..], &word(5), &other, &word(u64::MAX)].concat())?;
    it.call(0x0d, &[&two[..], &two_other].concat())?;
    it.call(0x0e, &[&two[..], &word(5), &two_other, &word(u64::MAX)].concat())?;
    let minus = (U256::from_be_bytes(ORDER) - U256::ONE).to_be_bytes::<32>();
    let inverse = it.call(0x0c, &[&one[..], &minus].concat())?;
    let paired = it.call(0x0f, &[&one[..], &two, &inverse, &two].concat())?;
    let unequal = it.call(0x0f, &[&one[..], &two, &other, &two].concat())?;
    assert_eq!((&paired[..], &unequal[..]), (&word(1)[..], &word(0)[..]));
    it.call(0x100, &[word(1), word(2), word(3), word(4), word(5)].concat())?;
    // Hashing: the code `keccak256(0, 1000)`, which returns the hash.
    it.transaction("create", TxKind::Create, &hex!("6103e85f205f5260205ff3"), Vec::new())?;
    // Authorities: their accounts are among the changed ones.
    let signed = |parity, s: [u8; 32]| {
        let inner = Authorization { chain_id: U256::ZERO, address: Address::ZERO, nonce: 0 };
        let (r, s) = (U256::from_be_bytes(POINT), U256::from_be_bytes(s));
        SignedAuthorization::new_unchecked(inner, parity, r, s)
    };
    for (parity, s) in [(0, word(1)), (1, word(7)), (1, last), (2, word(1)), (0, word(0))] {
        let to = TxKind::Call(Address::repeat_byte(0xaa));
        it.transaction("authorization", to, &[], vec![signed(parity, s)])?;
    }
    Ok(())
}
