//! The meaning of slots, derived from hashes, values and logs.

use alloy_primitives::{Address, B256, Bytes, Log, LogData, U256, keccak256};
use braid_cli::explain::{Access, Kind, Location, Recorded, Recording, decode};
use std::time::Duration;

fn contract() -> Address {
    Address::repeat_byte(0x70)
}

fn who(number: u8) -> Address {
    Address::repeat_byte(number)
}

fn word(value: impl Into<Word>) -> U256 {
    value.into().0
}

struct Word(U256);

impl From<u64> for Word {
    fn from(value: u64) -> Self {
        Self(U256::from(value))
    }
}

impl From<Address> for Word {
    fn from(address: Address) -> Self {
        Self(U256::from_be_bytes(address.into_word().0))
    }
}

fn log(signature: &str, indexed: &[U256], data: &[U256]) -> Log {
    let topics = indexed.iter().map(|value| B256::from(*value));
    let topics = [keccak256(signature)].into_iter().chain(topics).collect();
    let data: Vec<u8> = data.iter().flat_map(|value| value.to_be_bytes::<32>()).collect();
    Log { address: contract(), data: LogData::new_unchecked(topics, Bytes::from(data)) }
}

/// Returns a block whose transactions change `slot` and emit logs as given.
fn recording(slot: U256, changes: &[(u64, u64, Log)]) -> Recording {
    let transactions = changes.iter().map(|(before, after, log)| Recorded {
        accesses: vec![Access {
            location: Location::Slot(contract(), slot),
            gas: 0,
            time: Duration::ZERO,
            written: Some((U256::from(*before), U256::from(*after))),
        }],
        logs: vec![log.clone()],
        ..Recorded::default()
    });
    Recording { transactions: transactions.collect(), ..Recording::default() }
}

/// Returns the slot of `keys` in the mapping at `slot`, and records the hashes on the way.
fn mapping(recording: &mut Recording, slot: u64, keys: &[U256]) -> U256 {
    keys.iter().fold(U256::from(slot), |slot, key| {
        let input = [key.to_be_bytes::<32>(), slot.to_be_bytes::<32>()].concat();
        let hash = keccak256(&input).into();
        recording.preimages.add(hash, &input);
        hash
    })
}

/// Checks the decoded meaning of the slot of `keys` in the mapping at slot 4, after these changes.
#[track_caller]
fn check(keys: &[U256], changes: &[(u64, u64, Log)], kind: Kind, words: &str) {
    let mut hashes = Recording::default();
    let slot = mapping(&mut hashes, 4, keys);
    let recording = Recording { preimages: hashes.preimages, ..recording(slot, changes) };
    let meaning = decode(&recording, &Location::Slot(contract(), slot));
    let words = words.replace('@', &contract().to_string());
    assert_eq!((meaning.kind, meaning.words), (kind, words));
}

fn none() -> Log {
    log("Other()", &[], &[])
}

fn transfer(from: Address, to: Address, amount: u64) -> Log {
    log("Transfer(address,address,uint256)", &[word(from), word(to)], &[word(amount)])
}

#[test]
fn balances_supplies_and_allowances_agree_with_logs() {
    let (a, b) = (who(0xa1), who(0xb2));
    let balance = format!("balance of {a} in token @");
    check(&[word(a)], &[(9, 4, transfer(a, b, 5))], Kind::TokenBalance, &balance);
    check(&[word(a)], &[(4, 9, transfer(b, a, 5))], Kind::TokenBalance, &balance);
    let deposit = log("Deposit(address,uint256)", &[word(a)], &[word(5)]);
    check(&[word(a)], &[(4, 9, deposit)], Kind::TokenBalance, &balance);
    // A different amount, and a different holder.
    let entry = format!("mapping entry, slot 4[{a}] of @");
    check(&[word(a)], &[(4, 8, transfer(b, a, 5))], Kind::MappingEntry, &entry);
    check(&[word(a)], &[(4, 9, transfer(b, b, 5))], Kind::MappingEntry, &entry);
    let supply = "total supply of token @";
    check(&[], &[(4, 9, transfer(Address::ZERO, a, 5))], Kind::TotalSupply, supply);
    check(&[], &[(9, 4, transfer(a, Address::ZERO, 5))], Kind::TotalSupply, supply);
    check(&[], &[(4, 9, transfer(b, a, 5))], Kind::Slot, "slot 4 of @");
    let allowance = format!("allowance of {a} for {b} in token @");
    let approval = log("Approval(address,address,uint256)", &[word(a), word(b)], &[word(7)]);
    check(&[word(a), word(b)], &[(0, 7, approval.clone())], Kind::Allowance, &allowance);
    check(&[word(a), word(b)], &[(7, 2, transfer(a, who(3), 5))], Kind::Allowance, &allowance);
    let entry = format!("mapping entry, slot 4[{b}][{a}] of @");
    check(&[word(b), word(a)], &[(0, 7, approval)], Kind::MappingEntry, &entry);
}

#[test]
fn owners_and_tokens_of_one_contract_agree_with_logs() {
    let (a, b) = (who(0xa1), who(0xb2));
    let owned = log("Transfer(address,address,uint256)", &[word(a), word(b), word(77)], &[]);
    let words = "owner of token 77 of @";
    let mut hashes = Recording::default();
    let slot = mapping(&mut hashes, 4, &[word(77)]);
    let mut owner = recording(slot, &[(0, 0, owned.clone())]);
    owner.transactions[0].accesses[0].written = Some((word(a), word(b)));
    owner.preimages = hashes.preimages;
    let meaning = decode(&owner, &Location::Slot(contract(), slot));
    assert_eq!(meaning.kind, Kind::TokenOwner);
    assert_eq!(meaning.words, words.replace('@', &contract().to_string()));
    let count = format!("balance of {b} in token @");
    check(&[word(b)], &[(3, 4, owned)], Kind::TokenBalance, &count);
    let single = log(
        "TransferSingle(address,address,address,uint256,uint256)",
        &[word(a), word(a), word(b)],
        &[word(9), word(5)],
    );
    let balance = format!("balance of {b} in token 9 of @");
    check(&[word(9), word(b)], &[(1, 6, single.clone())], Kind::TokenBalance, &balance);
    check(&[word(b), word(9)], &[(1, 6, single.clone())], Kind::TokenBalance, &balance);
    let entry = format!("mapping entry, slot 4[8][{b}] of @");
    check(&[word(8), word(b)], &[(1, 6, single)], Kind::MappingEntry, &entry);
}

#[test]
fn pools_and_vaults_are_known_by_what_they_log() {
    let sync = |one: u64, other: u64| log("Sync(uint112,uint112)", &[], &[word(one), word(other)]);
    let mut reserves = recording(U256::from(4), &[(0, 0, sync(3, 5))]);
    let packed = U256::from(3) | U256::from(5) << 112 | U256::from(1_700_000_000u64) << 224;
    reserves.transactions[0].accesses[0].written = Some((U256::ZERO, packed));
    let location = Location::Slot(contract(), U256::from(4));
    let meaning = decode(&reserves, &location);
    assert_eq!(
        (meaning.kind, meaning.words),
        (Kind::Pool, format!("reserves of pool {}", contract()))
    );
    reserves.transactions[0].logs = vec![sync(4, 5)];
    assert_eq!(decode(&reserves, &location).kind, Kind::Slot);
    let swap = |price: u64, liquidity: u64| {
        let data = [0, 0, price, liquidity, 0].map(U256::from);
        log("Swap(address,address,int256,int256,uint160,uint128,int24)", &[word(1), word(2)], &data)
    };
    check(&[], &[(0, 88, swap(88, 7))], Kind::Pool, "price of pool @");
    check(&[], &[(0, 7, swap(88, 7))], Kind::Pool, "liquidity of pool @");
    check(&[], &[(0, 6, swap(88, 7))], Kind::Pool, "state of a pool, slot 4 of @");
    check(&[word(6)], &[(0, 6, swap(88, 7))], Kind::Pool, "state of a pool, slot 4[6] of @");
    let id = U256::MAX - U256::from(1);
    let v4 = log(
        "Swap(bytes32,address,int128,int128,uint160,uint128,int24,uint24)",
        &[id, word(1)],
        &[U256::ZERO; 6],
    );
    check(&[id], &[(0, 6, v4)], Kind::Pool, &format!("state of pool {id:#x} in @"));
    let vault =
        log("Deposit(address,address,uint256,uint256)", &[word(1), word(2)], &[word(3), word(3)]);
    check(&[], &[(0, 6, vault)], Kind::Vault, "state of a vault, slot 4 of @");
}

#[test]
fn what_grows_by_the_same_is_a_counter() {
    let changes =
        |all: &[(u64, u64)]| all.iter().map(|it| (it.0, it.1, none())).collect::<Vec<_>>();
    let counter = "counter in slot 4 of @, incremented by 3";
    check(&[], &changes(&[(1, 4), (4, 7)]), Kind::Counter, counter);
    check(
        &[word(5)],
        &changes(&[(1, 4), (4, 7)]),
        Kind::Counter,
        "counter in slot 4[5] of @, incremented by 3",
    );
    for others in [&[(1, 4)][..], &[(1, 4), (4, 8)], &[(4, 1), (7, 4)]] {
        check(&[], &changes(others), Kind::Slot, "slot 4 of @");
    }
}

#[test]
fn elements_of_arrays_are_counted_from_their_beginning() {
    let mut array = recording(U256::ZERO, &[(1, 9, none()), (9, 2, none())]);
    let input = U256::from(6).to_be_bytes::<32>();
    let begin: U256 = keccak256(input).into();
    array.preimages.add(begin, &input);
    let location = Location::Slot(contract(), begin + U256::from(12));
    for transaction in &mut array.transactions {
        transaction.accesses[0].location = location;
    }
    let meaning = decode(&array, &location);
    assert_eq!(meaning.kind, Kind::ArrayElement);
    assert_eq!(meaning.words, format!("array element, slot 6[12] of {}", contract()));
}
