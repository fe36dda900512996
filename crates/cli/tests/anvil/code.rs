//! Bytecode: the compiled contracts, and small contracts for features that Solidity does not reach.

use alloy_primitives::{Address, Bytes, U256, hex};
use serde_json::Value;

const TOKEN: &str = include_str!("../../../blocks/artifacts/Token.json");
const COLLECTIBLE: &str = include_str!("../../../blocks/artifacts/Collectible.json");

/// Number of tokens that the holder of a new token contract has.
pub(crate) const SUPPLY: u64 = 1_000_000;

/// Code that reads hashes of earlier blocks by BLOCKHASH and from the system contract of EIP-2935,
/// the beacon root's contract, and the beneficiary's balance, and stores all of them, so that a
/// wrong value changes the state. It also emits an empty log.
const PROBE: &str = concat!(
    "6001430340600155", // slot 1: BLOCKHASH(number - 1)
    "6005430340600555", // slot 5: BLOCKHASH(number - 5)
    "41316009550000",   // slot 9: BALANCE(COINBASE); STOP is cut off below
);

/// Returns a static call with one word of input that stores its result in the slot.
fn asks(address: Address, input: &str, slot: u8) -> String {
    let address = hex::encode(address);
    format!(
        "{input}600052602060006020600073{address}5afa50600051{}55",
        format_args!("60{slot:02x}")
    )
}

/// Returns the probe's creation code.
pub(crate) fn probe() -> Bytes {
    let history = alloy_eips::eip2935::HISTORY_STORAGE_ADDRESS;
    let roots = alloy_eips::eip4788::BEACON_ROOTS_ADDRESS;
    let code = [
        PROBE.strip_suffix("0000").expect("it ends so"),
        &asks(history, "60014303", 2),
        &asks(roots, "42", 3),
        "60006000a000",
    ];
    wrap(&code.concat())
}

/// Returns the creation code of a contract that on every call creates a contract which destroys
/// itself during its creation and forwards its value.
pub(crate) fn mayfly() -> Bytes {
    wrap("6133ff6000526002601e34f05000")
}

/// Returns creation code that deploys `runtime`, which is hex of less than 256 bytes.
fn wrap(runtime: &str) -> Bytes {
    let runtime = hex::decode(runtime).expect("hex");
    let length = u8::try_from(runtime.len()).expect("short");
    let mut code = vec![0x60, length, 0x80, 0x60, 11, 0x60, 0, 0x39, 0x60, 0, 0xf3];
    code.extend(runtime);
    code.into()
}

fn creation_code(artifact: &str) -> Vec<u8> {
    let artifact: Value = serde_json::from_str(artifact).expect("an artifact");
    hex::decode(artifact["creationCode"].as_str().expect("code")).expect("hex")
}

/// Returns the creation code of a token whose supply belongs to `holder`.
pub(crate) fn token(holder: Address) -> Bytes {
    let mut code = creation_code(TOKEN);
    let text = |code: &mut Vec<u8>, text: &[u8]| {
        code.extend(U256::from(text.len()).to_be_bytes::<32>());
        code.extend(text);
        code.extend(vec![0; 32 - text.len()]);
    };
    // Two strings follow the four words of the head.
    for word in [U256::from(128), U256::from(192), U256::from(SUPPLY), address(holder)] {
        code.extend(word.to_be_bytes::<32>());
    }
    text(&mut code, b"Coin");
    text(&mut code, b"COI");
    code.into()
}

/// Returns the creation code of a collectible.
pub(crate) fn collectible() -> Bytes {
    creation_code(COLLECTIBLE).into()
}

fn address(address: Address) -> U256 {
    address.into_word().into()
}

fn call(signature: &str, arguments: &[U256]) -> Bytes {
    let mut data = alloy_primitives::keccak256(signature)[..4].to_vec();
    arguments.iter().for_each(|argument| data.extend(argument.to_be_bytes::<32>()));
    data.into()
}

pub(crate) fn transfer(to: Address, amount: u64) -> Bytes {
    call("transfer(address,uint256)", &[address(to), U256::from(amount)])
}

pub(crate) fn mint() -> Bytes {
    call("mint()", &[])
}

pub(crate) fn hand_over(from: Address, to: Address, id: usize) -> Bytes {
    let arguments = [address(from), address(to), U256::from(id)];
    call("transferFrom(address,address,uint256)", &arguments)
}
