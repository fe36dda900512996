//! The pool of transactions against its model, a list that is searched each time.

use super::reached;
use arbitrary::{Result, Unstructured};
use braid_chain::pool::model::{Account, Act, SENDERS, Short, try_all};

/// Maximum number of calls.
const LONGEST: usize = 120;

pub(super) fn check(bytes: &[u8]) -> core::result::Result<(), String> {
    let acts = acts(&mut Unstructured::new(bytes));
    if acts.iter().any(|act| matches!(act, Act::Applied(..))) {
        reached::note("pool, a block");
    }
    try_all(&acts).map_err(|wrong| format!("{wrong}\n{acts:#?}"))
}

fn acts(bytes: &mut Unstructured<'_>) -> Vec<Act> {
    let mut acts = Vec::new();
    while acts.len() < LONGEST && !bytes.is_empty() {
        let Ok(act) = act(bytes) else { break };
        acts.push(act);
    }
    acts
}

fn act(bytes: &mut Unstructured<'_>) -> Result<Act> {
    Ok(match bytes.int_in_range(0..=31_u8)? {
        0..=15 => Act::Add(short(bytes)?, account(bytes)?, bytes.ratio(1, 20)?),
        16 | 17 => Act::Begin,
        18..=27 => {
            let (less, is_more) = (bytes.int_in_range(0..=2)?, bytes.ratio(1, 5)?);
            let left_out = if bytes.ratio(1, 5)? { Some(bytes.arbitrary()?) } else { None };
            Act::Next(less, is_more, left_out)
        }
        28 | 29 => Act::Remove(sender(bytes)?, bytes.int_in_range(0..=5)?),
        _ => {
            let count = bytes.int_in_range(0..=2)?;
            let changed = (0..count).map(|_| Ok((sender(bytes)?, account(bytes)?)));
            let changed = changed.collect::<Result<_>>()?;
            Act::Applied(bytes.int_in_range(1..=19)?, changed)
        }
    })
}

fn sender(bytes: &mut Unstructured<'_>) -> Result<u8> {
    bytes.int_in_range(0..=SENDERS - 1)
}

fn short(bytes: &mut Unstructured<'_>) -> Result<Short> {
    Ok(Short {
        sender: sender(bytes)?,
        nonce: bytes.int_in_range(0..=5)?,
        max_fee: bytes.int_in_range(1..=29)?,
        tip: bytes.int_in_range(1..=29)?,
        gas: bytes.int_in_range(0..=3)?,
        value: bytes.int_in_range(0..=2)?,
        input: *bytes.choose(&[0, 2_000])?,
    })
}

/// Draws an account. Three of four can pay for all their transactions.
fn account(bytes: &mut Unstructured<'_>) -> Result<Account> {
    let nonce = bytes.int_in_range(0..=3)?;
    let balance = if bytes.ratio(3, 4)? { 1_000 } else { bytes.int_in_range(0..=299)? };
    Ok((nonce, balance))
}
