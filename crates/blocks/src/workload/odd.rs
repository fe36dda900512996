//! Blocks with one unusual property each: the producer, the database's answers, the fork, or how
//! their transactions differ from each other.
//!
//! Each row of [`Odd::all`] has a counterpart that differs in nothing else, or has a bound that can
//! be computed. No parameter of the executor was tuned on these blocks: they are a test set.

use super::{
    Contention, Order, Placement, Preset, Producer, Shape, Signing, ToldBy, When, WorkloadError,
    draft,
    producer::Parties,
    token::{TOKEN, Tokens},
    world::{Call, World},
};
use crate::{
    block::Block,
    block_file::{BlockFile, FileDatabase},
};
use alloy_primitives::U256;
use core::fmt;
use revm::primitives::hardfork::SpecId;

/// Transactions of a block before an unusual property is added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    /// The first transactions, this many, of a built-in workload.
    Preset(Preset, u32),
    /// Calls, payments and one giant call.
    Shape(Shape),
    /// This many transfers of one token, alternately to one account and from it to others.
    Hub(u32),
}

/// A block with one unusual property.
#[derive(Clone, Debug)]
pub struct Odd {
    /// The group: rows of one group differ in one property.
    pub group: &'static str,
    /// The unusual property.
    pub name: String,
    /// Its transactions.
    pub base: Base,
    /// The producer's account and activity.
    pub producer: Producer,
    /// The fork whose rules it follows.
    pub spec: SpecId,
    /// Whether the database returns an empty account for one that does not exist.
    pub answers_empty: bool,
}

/// Ordinary calls: forty slots, predicted by the first argument.
const CALLS: Shape = Shape { transactions: 2_000, ..Shape::BASE };
/// Time of the giant call, in ordinary calls. Its gas is near the maximum, and it takes as long as
/// some thousands of payments.
const GIANT: u32 = 400;

impl Odd {
    const fn new(group: &'static str, name: String, base: Base) -> Self {
        let (producer, spec, answers_empty) = (Producer::Apart, SpecId::OSAKA, false);
        Self { group, name, base, producer, spec, answers_empty }
    }

    /// Returns all rows; the first one of each group is the baseline of the others.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for (group, base) in [
            ("payments", Base::Preset(Preset::Raw, 10_000)),
            ("tokens", Base::Preset(Preset::Erc20, 4_000)),
            ("swaps", Base::Preset(Preset::Swaps, 600)),
            ("as mainnet", Base::Preset(Preset::Mainnet, 400)),
            ("calls", Base::Shape(CALLS)),
        ] {
            all.extend(Self::producers(group, base));
        }
        all.extend(Self::takes_part());
        all.extend(Self::old_rules());
        all.extend(Self::giants());
        all.extend(Self::shapes());
        all
    }

    /// Returns rows with producers that take no part.
    fn producers(group: &'static str, base: Base) -> Vec<Self> {
        let of = |producer: Producer| Self {
            producer,
            ..Self::new(group, format!("producer {producer}"), base)
        };
        let mut rows: Vec<_> =
            [Producer::Apart, Producer::Empty, Producer::Absent, Producer::Delegated]
                .map(of)
                .into();
        let name = "database answers empty".to_owned();
        rows.push(Self { answers_empty: true, ..Self::new(group, name.clone(), base) });
        let name = format!("{name}, producer absent");
        let producer = Producer::Absent;
        rows.push(Self { answers_empty: true, producer, ..Self::new(group, name, base) });
        rows
    }

    /// Returns rows with producers that send, are paid, are called, or are read.
    fn takes_part() -> Vec<Self> {
        let group = "producer takes part";
        let with = |producer: Producer, shape: Shape| Self {
            producer,
            ..Self::new(group, format!("producer {producer}"), Base::Shape(shape))
        };
        let paid = Shape { payments: 30, ..CALLS };
        let payouts = Shape {
            transactions: 660,
            payments: 98,
            paid: 650,
            giant: Some((0, 30)),
            ..Shape::BASE
        };
        vec![
            with(Producer::Apart, CALLS),
            with(Producer::Sends(10), CALLS),
            with(Producer::Sends(3), CALLS),
            with(Producer::Sends(1), CALLS),
            with(Producer::Called, CALLS),
            with(Producer::Read, CALLS),
            with(Producer::Paid(3), paid),
            with(Producer::Paid(1), Shape { payments: 100, ..paid }),
            Self {
                name: "producer sends a pool's payouts".to_owned(),
                ..with(Producer::Sends(1), payouts)
            },
        ]
    }

    /// Returns rows under rules by which empty accounts exist and receipts have state roots.
    fn old_rules() -> Vec<Self> {
        let rules = [SpecId::OSAKA, SpecId::BYZANTIUM, SpecId::SPURIOUS_DRAGON, SpecId::HOMESTEAD];
        let payments = Base::Preset(Preset::Raw, 10_000);
        let bases = [("payments by rules", payments), ("calls by rules", Base::Shape(CALLS))];
        let mut rows = Vec::new();
        for (group, base) in bases {
            for spec in rules {
                rows.push(Self { spec, ..Self::new(group, format!("{spec:?}"), base) });
            }
            for producer in [Producer::Empty, Producer::Absent] {
                let name = format!("{:?}, producer {producer}", SpecId::HOMESTEAD);
                let spec = SpecId::HOMESTEAD;
                rows.push(Self { spec, producer, ..Self::new(group, name, base) });
            }
        }
        rows
    }

    /// Returns rows with one giant transaction among thousands of small ones, early or late, and
    /// with few large ones.
    fn giants() -> Vec<Self> {
        let mut rows = Vec::new();
        for (group, payments, transactions) in
            [("a giant and payments", 100, 5_000), ("a giant and calls", 0, 2_000)]
        {
            let shape = Shape { payments, transactions, paid: 5_000, ..Shape::BASE };
            rows.push(Self::new(group, "no giant".to_owned(), Base::Shape(shape)));
            for (name, place) in [("first", 0), ("in the middle", 50), ("last", 99)] {
                let shape = Shape { giant: Some((place, GIANT)), ..shape };
                rows.push(Self::new(group, format!("giant {name}"), Base::Shape(shape)));
            }
        }
        rows
    }

    fn shapes() -> Vec<Self> {
        let shape = |name: &str, shape| Self::new("shapes", name.to_owned(), Base::Shape(shape));
        let contention = |slots, told_by, micros| Contention {
            slots,
            told_by,
            micros,
            order: Order::Random,
            when: When::Middle,
        };
        let five = |slots| Shape {
            contention: contention(slots, ToldBy::Argument, 1_000),
            transactions: 5,
            ..Shape::BASE
        };
        let wallets =
            Shape { transactions: 10_000, payments: 100, paid: 10_000, limit: 500, ..Shape::BASE };
        let unknown = |slots| Shape { contention: contention(slots, ToldBy::Nothing, 20), ..CALLS };
        let two = Shape { senders: 2, giant: Some((50, GIANT)), transactions: 400, ..CALLS };
        vec![
            shape("five large calls", five(1_000)),
            shape("five large calls, one slot", five(1)),
            shape("10,000 payments that ask for five times the gas", wallets),
            Self::new("shapes", "transfers through one hub".to_owned(), Base::Hub(4_000)),
            shape("no argument repeats, 1,000 slots", unknown(1_000)),
            shape("no argument repeats, 40 slots", unknown(40)),
            shape("two senders and a giant", two),
        ]
    }

    /// Returns the same row with one in `by` of its transactions, unless it has only a few.
    #[must_use]
    pub const fn shorter(mut self, by: u32) -> Self {
        let (Base::Preset(_, transactions)
        | Base::Shape(Shape { transactions, .. })
        | Base::Hub(transactions)) = &mut self.base;
        if *transactions > 5 {
            *transactions /= by;
        }
        self
    }

    /// Generates the block and the state before it.
    ///
    /// # Errors
    /// Returns an error if the generator is at fault.
    pub fn block(&self, seed: u64) -> Result<(Block, FileDatabase), WorkloadError> {
        let mut file = match self.base {
            Base::Preset(preset, transactions) => preset.block(transactions, seed)?,
            Base::Shape(shape) => Shape { producer: self.producer, ..shape }.block(seed)?,
            Base::Hub(transfers) => hub(transfers, seed)?,
        };
        if !matches!(self.base, Base::Shape(_)) {
            self.producer.apply(&mut file, &Parties::default());
        }
        let (mut block, database) =
            file.to_block().map_err(|error| WorkloadError::Execution(format!("{error:?}")))?;
        if self.spec != SpecId::OSAKA {
            obey(&mut block, self.spec);
        }
        let database = if self.answers_empty { database.answering_empty() } else { database };
        Ok((block, database))
    }
}

impl fmt::Display for Odd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.group, self.name)
    }
}

/// Converts `block` to an old fork: legacy transactions, no withdrawals, no base fee.
fn obey(block: &mut Block, spec: SpecId) {
    block.cfg.set_spec_and_mainnet_gas_params(spec);
    (block.env.basefee, block.env.prevrandao) = (0, None);
    block.env.blob_excess_gas_and_price = None;
    (block.parent_beacon_block_root, block.withdrawals) = (None, None);
    for tx in &mut block.transactions {
        (tx.tx_type, tx.gas_priority_fee, tx.chain_id) = (0, None, None);
    }
}

/// Generates transfers of one token, alternately to the hub, each from another account, and from
/// it, each to another account.
fn hub(transfers: u32, seed: u64) -> Result<BlockFile, WorkloadError> {
    let note = format!("{transfers} transfers through one hub, seed {seed}");
    draft(seed, Signing::Unsigned, &Placement::DEFAULT, note, |world: &mut World| {
        let tokens = Tokens::load()?;
        let token = world.address("token", 0);
        tokens.deploy(&mut world.state, token, 0);
        let hub = world.sender(0)?.address;
        let rich = TOKEN * U256::from(1_000_000);
        tokens.mint(&mut world.state, token, hub, rich);
        let transfer = |number: u64| {
            let sender = if number.is_multiple_of(2) { number + 1 } else { 0 };
            let from = world.sender(sender)?.address;
            let to = if sender == 0 { world.address("recipient", number) } else { hub };
            if sender > 0 {
                tokens.mint(&mut world.state, token, from, rich);
            }
            let input = tokens.transfer(to, U256::from(number + 1));
            Ok(Call { sender, to: token, value: U256::ZERO, input, gas_limit: 80_000 })
        };
        (0..u64::from(transfers)).map(transfer).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sequential::{OnInvalid, Prepared};
    use std::collections::HashSet;

    /// Returns the same row with few and short transactions.
    fn small(row: Odd) -> Odd {
        let mut row = row.shorter(200);
        if let Base::Shape(shape) = &mut row.base {
            shape.contention.micros = shape.contention.micros.min(5);
        }
        row
    }

    #[test]
    fn every_row_is_a_valid_block_and_has_a_name_of_its_own() {
        let mut names = HashSet::new();
        for row in Odd::all() {
            assert!(names.insert(row.to_string()), "{row} is there twice");
            let (block, database) = small(row.clone()).block(1).expect("a block");
            let output = Prepared::new(&block).run(database, OnInvalid::Reject);
            let output = output.unwrap_or_else(|error| panic!("{row}: {error}"));
            assert!(output.receipts.iter().all(|receipt| receipt.success), "{row}");
        }
    }

    #[test]
    fn a_producer_and_a_database_are_what_the_row_says() {
        use revm::DatabaseRef;
        let find = |name: &str| {
            let row = Odd::all().into_iter().find(|row| row.to_string() == name);
            let (block, database) = row.expect(name).block(1).expect("a block");
            let info = database.basic_ref(block.env.beneficiary).expect("it answers");
            info.map(|info| (info.is_empty(), info.code_hash()))
        };
        assert_eq!(find("swaps: producer apart").map(|it| it.0), Some(false));
        assert_eq!(find("swaps: producer empty").map(|it| it.0), Some(true));
        assert_eq!(find("swaps: producer absent"), None);
        assert_eq!(
            find("swaps: database answers empty, producer absent").map(|it| it.0),
            Some(true)
        );
        let contract = find("producer takes part: producer called").expect("it exists").1;
        let delegated = find("tokens: producer delegated").expect("it exists").1;
        assert!(contract != delegated && delegated != alloy_primitives::KECCAK256_EMPTY);
    }
}
