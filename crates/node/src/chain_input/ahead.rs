//! Reading inputs ahead, while earlier blocks execute.

use super::{InputError, Inputs, SizedBlock};
use crossbeam_channel::{Receiver, Select, bounded};
use std::{
    convert::Infallible,
    io,
    panic::resume_unwind,
    thread::{self, JoinHandle},
};

/// Maximum number of blocks that are read and decoded ahead.
const AHEAD: usize = 4;

/// Reads and decodes the blocks of [`Inputs`] on a separate thread.
#[derive(Debug)]
pub struct Ahead {
    blocks: Receiver<Result<SizedBlock, InputError>>,
    thread: Option<JoinHandle<()>>,
}

/// Result of [`Ahead::next_or_stop`].
#[derive(Debug)]
pub enum Next {
    /// The next block, or the reason why it cannot be used.
    Block(Result<SizedBlock, InputError>),
    /// There are no more blocks.
    End,
    /// The caller requested to stop.
    Stopped,
}

impl Ahead {
    /// Starts the thread. It ends with the inputs, or after the next block once the value is
    /// dropped.
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

    /// Waits for the next block, or until `stop` is disconnected, even while an input delivers
    /// nothing. Returns [`Next::Stopped`] if both occur.
    pub fn next_or_stop(&mut self, stop: &Receiver<Infallible>) -> Next {
        let mut either = Select::new_biased();
        let stopped = either.recv(stop);
        either.recv(&self.blocks);
        if either.ready() == stopped {
            return Next::Stopped;
        }
        self.next().map_or(Next::End, Next::Block)
    }
}

impl Iterator for Ahead {
    type Item = Result<SizedBlock, InputError>;

    fn next(&mut self) -> Option<Self::Item> {
        let block = self.blocks.recv().ok();
        if block.is_none()
            && let Some(thread) = self.thread.take()
        {
            // Propagate a panic, which must not look like the end of the inputs.
            thread.join().unwrap_or_else(|panic| resume_unwind(panic));
        }
        block
    }
}
