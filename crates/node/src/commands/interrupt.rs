//! Handling of Ctrl-C: the first one ends a command after the current block, the second one at
//! once.

use braid_chain::Head;
use braid_terminal::{INTERRUPTED, Stop, message};
use crossbeam_channel::{Receiver, bounded};
use std::{
    convert::Infallible,
    io::{self, Write},
    process,
};

/// A channel that is disconnected once the user has interrupted the command.
pub(super) type Interrupts = Receiver<Infallible>;

/// Reports on standard error how far an interrupted command came.
pub(super) fn say(durable: Head) {
    let number = durable.number;
    // If standard error is closed, there is nowhere to report that.
    let _ = writeln!(
        io::stderr().lock(),
        "interrupted: blocks up to {number} are durable; run the same command again to go on after \
         block {number}"
    );
}

/// Handles the signals of Ctrl-C, `kill` and a closed terminal.
///
/// # Errors
/// The system refused to start a thread or to report signals.
pub(super) fn listen() -> Result<Interrupts, Stop> {
    let (send, interrupts) = bounded(0);
    let mut first = Some(send);
    ctrlc::set_handler(move || {
        // Dropping the sender disconnects the channel.
        if first.take().is_none() {
            process::exit(i32::from(INTERRUPTED));
        }
    })
    .map_err(|error| message(format!("cannot listen to Ctrl-C: {error}")))?;
    Ok(interrupts)
}
