//! Applications of various kinds: one contract each, whose storage determines the conflicts.

use super::{
    WorkloadError,
    artifact::{Artifact, word},
    choice::{Hot, Picker, Spread},
    random::Random,
    token::{TOKEN, Tokens},
    world::{Call, Traffic, World},
};
use alloy_primitives::{Address, B256, Bytes, U256};
use std::num::NonZeroU32;

/// Number of accounts that use an application.
const USERS: u32 = 10_000;
/// Number of recipients of one batch of payments.
const BATCH: usize = 10;
/// Gas limit of a short call; a batch may use ten times as much.
const GAS_LIMIT: u64 = 300_000;

/// An application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum App {
    /// Fights between any two of 5,000 heroes.
    NftGame,
    /// Supplying, borrowing and repaying in eight markets, few of them popular.
    Lending,
    /// Votes on five proposals.
    Governance,
    /// Moves of any of 20,000 items to one of 200 stations.
    SupplyChain,
    /// Payments of one token to ten recipients each, by 500 payers.
    StablecoinBatch,
    /// Batches of one to four kilobytes into twelve inboxes, few of them popular.
    RollupBatch,
}

impl App {
    /// All applications.
    pub(super) const ALL: [Self; 6] = [
        Self::NftGame,
        Self::Lending,
        Self::Governance,
        Self::SupplyChain,
        Self::StablecoinBatch,
        Self::RollupBatch,
    ];

    fn artifact(self) -> Result<Artifact, WorkloadError> {
        match self {
            Self::NftGame => Artifact::nft_game(),
            Self::Lending => Artifact::lending(),
            Self::Governance => Artifact::governance(),
            Self::SupplyChain => Artifact::supply_chain(),
            Self::StablecoinBatch => Artifact::payouts(),
            Self::RollupBatch => Artifact::rollup(),
        }
    }

    const fn function(self) -> &'static str {
        match self {
            Self::NftGame => "fight(uint256,uint256)",
            Self::Lending => "act(uint256,uint128,uint128,uint128)",
            Self::Governance => "vote(uint256,uint8)",
            Self::SupplyChain => "move(uint256,uint256,bytes32)",
            Self::StablecoinBatch => "pay(address,uint256,address[])",
            Self::RollupBatch => "post(uint256,bytes)",
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::NftGame => "nft game",
            Self::Lending => "lending",
            Self::Governance => "governance",
            Self::SupplyChain => "supply chain",
            Self::StablecoinBatch => "payouts",
            Self::RollupBatch => "rollup",
        }
    }

    /// Returns the distribution of callers; no caller votes twice.
    fn users(self) -> Spread {
        match self {
            Self::Governance => Spread::Distinct,
            Self::StablecoinBatch => Spread::among(500),
            _ => Spread::among(USERS),
        }
    }

    /// Returns the distribution of the objects of calls: heroes, markets, proposals, items, none,
    /// inboxes.
    fn things(self) -> Spread {
        let few = |count| Spread::Skewed(NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN));
        match self {
            Self::NftGame => Spread::among(5_000),
            Self::Lending => few(8),
            Self::Governance => Spread::among(5),
            Self::SupplyChain => Spread::among(20_000),
            Self::StablecoinBatch => Spread::ONE,
            Self::RollupBatch => few(12),
        }
    }
}

/// Calls of one application.
#[derive(Debug)]
pub(super) struct AppTraffic {
    app: App,
    contract: Address,
    selector: [u8; 4],
    users: Picker,
    things: Picker,
    tokens: Tokens,
}

impl AppTraffic {
    /// Deploys the application.
    pub(super) fn new(world: &mut World, app: App) -> Result<Self, WorkloadError> {
        let artifact = app.artifact()?;
        let contract = world.address(app.name(), 0);
        world.state.deploy(contract, artifact.code());
        Ok(Self {
            app,
            contract,
            selector: artifact.selector(app.function())?,
            users: Picker::new(app.users(), Hot::NONE),
            things: Picker::new(app.things(), Hot::NONE),
            tokens: Tokens::load()?,
        })
    }

    /// Returns the input of a call.
    fn input(&self, world: &mut World, random: &mut Random, user: Address, thing: u64) -> Bytes {
        let number = U256::from;
        let mut input = Input::new(self.selector);
        match self.app {
            App::NftGame => input.words([number(thing), number(random.below(5_000))]),
            App::Lending => {
                // A loan is at most half of what the same call supplies.
                let amount = random.between(2_000, 1_000_000);
                let (loan, back) = (random.below(amount / 4), random.below(amount / 8));
                input.words([thing, amount, loan, back].map(number));
            }
            App::Governance => input.words([thing, random.below(3)].map(number)),
            App::SupplyChain => {
                let note = [(); 4].map(|()| random.bits());
                let words = [number(thing), number(random.below(200)), U256::from_limbs(note)];
                input.words(words);
            }
            App::StablecoinBatch => {
                let token = self.token(world, user);
                let amount = number(random.between(1, 1_000_000));
                // Offset and length of the list.
                input.words([word(token), amount, number(96_u64), number(BATCH as u64)]);
                for _ in 0..BATCH {
                    let recipient = world.address("payee", random.below(100_000));
                    input.words([word(recipient)]);
                }
            }
            App::RollupBatch => {
                let words = random.between(32, 128);
                input.words([number(thing), number(64_u64), number(32 * words)]);
                for _ in 0..words {
                    input.words([U256::from_limbs([(); 4].map(|()| random.bits()))]);
                }
            }
        }
        Bytes::from(input.0)
    }

    /// Returns the token of the payments; `payer` has plenty and has approved the contract.
    fn token(&self, world: &mut World, payer: Address) -> Address {
        let token = world.address("stablecoin", 0);
        if !world.state.accounts.contains_key(&token) {
            self.tokens.deploy(&mut world.state, token, 0);
        }
        if !self.tokens.is_holder(&world.state, token, payer) {
            let plenty = TOKEN * U256::from(1_000_000);
            self.tokens.mint(&mut world.state, token, payer, plenty);
            self.tokens.approve(&mut world.state, token, payer, self.contract);
        }
        token
    }
}

/// Input of a call under construction.
struct Input(Vec<u8>);

impl Input {
    fn new(selector: [u8; 4]) -> Self {
        Self(selector.to_vec())
    }

    fn words<const N: usize>(&mut self, words: [U256; N]) {
        for word in words {
            self.0.extend_from_slice(B256::from(word).as_slice());
        }
    }
}

impl Traffic for AppTraffic {
    fn call(&mut self, world: &mut World, random: &mut Random) -> Result<Call, WorkloadError> {
        let sender = self.users.pick(random).place;
        let user = world.sender(sender)?.address;
        let thing = self.things.pick(random).place;
        let input = self.input(world, random, user, thing);
        let gas_limit = match self.app {
            App::StablecoinBatch | App::RollupBatch => GAS_LIMIT * 10,
            _ => GAS_LIMIT,
        };
        Ok(Call { sender, to: self.contract, value: U256::ZERO, input, gas_limit })
    }
}
