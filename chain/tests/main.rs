//! The store and the chain, against references that share no code with them.

mod build;
mod disk;
mod flips;
mod kill;
mod pipeline;
mod private_chain;
mod rlp;
mod store;
mod streams;
mod support;
