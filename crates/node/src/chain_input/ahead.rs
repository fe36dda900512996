//! Inputs that are read while earlier blocks execute.

use super::{InputError, Inputs, SizedBlock};
use crossbeam_channel::{Receiver, Select, bounded};
use std::{
    convert::Infallible,
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

/// What [`Ahead::next_or_stop`] waited for.
#[derive(Debug)]
pub enum Next {
    /// The next block, or why there is none.
    Block(Result<SizedBlock, InputError>),
    /// The inputs have ended.
    End,
    /// The caller asked to stop.
    Stopped,
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

    /// Waits for the next block, or until `stop` is disconnected, also where an input gives nothing.
    /// Returns [`Next::Stopped`] if both are there.
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
            // A panic is no end of the inputs.
            thread.join().unwrap_or_else(|panic| resume_unwind(panic));
        }
        block
    }
}
