//! Inputs that are read while earlier blocks execute.

use super::{InputError, Inputs, SizedBlock};
use crossbeam_channel::{Receiver, bounded};
use std::{
    io,
    panic::resume_unwind,
    thread::{self, JoinHandle},
};

/// Blocks that are read and decoded before they are asked for, at most.
const AHEAD: usize = 4;

/// Blocks of [`Inputs`] that a thread of their own reads and decodes.
#[derive(Debug)]
pub struct Ahead {
    blocks: Receiver<Result<SizedBlock, InputError>>,
    thread: Option<JoinHandle<()>>,
}

impl Ahead {
    /// Starts the thread. It ends with the inputs, or once the value is dropped and a block is read.
    ///
    /// # Errors
    /// The system refused to start a thread.
    pub fn new(inputs: Inputs) -> io::Result<Self> {
        let (send, blocks) = bounded(AHEAD);
        let read = move || {
            for block in inputs {
                if send.send(block).is_err() {
                    return;
                }
            }
        };
        let thread = thread::Builder::new().name("braid-input".to_owned()).spawn(read)?;
        Ok(Self { blocks, thread: Some(thread) })
    }
}

impl Iterator for Ahead {
    type Item = Result<SizedBlock, InputError>;

    fn next(&mut self) -> Option<Self::Item> {
        let block = self.blocks.recv().ok();
        if block.is_none()
            && let Some(thread) = self.thread.take()
        {
            // A panic is no end of the inputs.
            thread.join().unwrap_or_else(|panic| resume_unwind(panic));
        }
        block
    }
}
