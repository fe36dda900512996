//! JSON-RPC requests to a node with a chain behind it: arbitrary bytes, and valid calls, single and
//! in batches, with changed arguments, ids and members.
//!
//! The node and its client live across inputs, so an input may find blocks and filters of earlier
//! ones. The check is about the form of a response, which does not depend on them.

mod answers;
mod calls;
mod chain;

use super::reached;
use arbitrary::Unstructured;
use chain::Served;
use std::cell::RefCell;

/// Number of inputs after which a new node takes over, which bounds chain, pool and filters.
const INPUTS: u32 = 2_000;
/// Number of bytes by which a response may exceed its limit: the error that says so.
const SLACK: usize = 1_000;

thread_local! {
    static SERVED: RefCell<Option<(Served, u32)>> = const { RefCell::new(None) };
}

pub(super) fn check(bytes: &[u8]) -> Result<(), String> {
    SERVED.with_borrow_mut(|kept| {
        if kept.as_ref().is_none_or(|(_, inputs)| *inputs >= INPUTS) {
            *kept = Some((Served::new(), 0));
        }
        let Some((served, inputs)) = kept else { return Ok(()) };
        *inputs += 1;
        let checked = exchange(served, bytes);
        if checked.is_err() {
            // The node may be what is wrong.
            *kept = None;
        }
        checked
    })
}

fn exchange(served: &mut Served, bytes: &[u8]) -> Result<(), String> {
    let Some((kind, rest)) = bytes.split_first() else { return Ok(()) };
    let body = match kind % 4 {
        0 => rest.to_vec(),
        1 | 2 => calls::one(served, &mut Unstructured::new(rest)).into_bytes(),
        _ => calls::batch(served, &mut Unstructured::new(rest)).into_bytes(),
    };
    let found = served.client.exchange(body.clone());
    let checked = found.and_then(|(status, answer)| {
        let (length, most) = (answer.len(), served.response_bytes() + SLACK);
        if length > most {
            return Err(format!("a response of {length} bytes, above {most}"));
        }
        answers::check(&body, status, &answer).map_err(|wrong| {
            let shown: String = answer.chars().take(2_000).collect();
            format!("{wrong}\nstatus {status}: {shown}")
        })
    });
    checked.map_err(|wrong| format!("{wrong}\nrequest: {}", String::from_utf8_lossy(&body)))?;
    if kind & 0x80 != 0 && served.mine()? {
        reached::note("json_rpc, a block");
    }
    Ok(())
}
