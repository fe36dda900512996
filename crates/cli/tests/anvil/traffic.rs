//! Random transactions for the blocks, determined by a seed.

use super::{
    code,
    node::{ACCOUNTS, Anvil},
};
use alloy_eips::eip7702::Authorization;
use alloy_primitives::{Address, Bytes, U256, keccak256};
use braid_blocks::keys::Key;
use braid_evm::runtime::simulated::Random;
use serde_json::{Value, json};

/// Kinds of transactions, which are counted.
pub(crate) const KINDS: [&str; 8] =
    ["transfer", "token", "mint", "nft", "deploy", "probe", "mayfly", "delegation"];

const GAS_CALL: u64 = 400_000;
const GAS_DEPLOY: u64 = 6_000_000;

/// An account that delegates and lets others pay.
struct Authority {
    key: Key,
    nonce: u64,
}

pub(crate) struct Traffic<'a> {
    node: &'a Anvil,
    chance: Random,
    delegates: bool,
    accounts: Vec<Address>,
    tokens: Vec<Address>,
    /// Known owners of the collectible's pieces.
    owners: Vec<Address>,
    collectible: Address,
    probe: Address,
    mayfly: Address,
    authorities: Vec<Authority>,
    /// Number of transactions sent of each of [`KINDS`].
    pub(crate) sent: [usize; KINDS.len()],
}

impl<'a> Traffic<'a> {
    /// Mines a block of deployments, and one that distributes tokens.
    pub(crate) fn new(node: &'a Anvil, seed: u64, delegates: bool) -> Self {
        let accounts: Vec<Address> =
            serde_json::from_value(node.call("eth_accounts", json!([]))).expect("accounts");
        assert_eq!(accounts.len(), ACCOUNTS);
        let mut traffic = Self {
            node,
            chance: Random::new(seed),
            delegates,
            tokens: Vec::new(),
            owners: Vec::new(),
            collectible: Address::ZERO,
            probe: Address::ZERO,
            mayfly: Address::ZERO,
            authorities: (0..3).map(authority).collect(),
            accounts,
            sent: [0; KINDS.len()],
        };
        let holder = traffic.accounts[0];
        let codes = [
            code::token(holder),
            code::token(holder),
            code::collectible(),
            code::probe(),
            code::mayfly(),
        ];
        for code in codes {
            traffic.send("deploy", json!({ "from": holder, "data": code }), GAS_DEPLOY);
        }
        traffic.mine();
        let created = node.receipts(1).into_iter().map(|receipt| {
            assert_eq!(receipt["status"], "0x1", "{receipt}");
            serde_json::from_value(receipt["contractAddress"].clone()).expect("an address")
        });
        let created: Vec<Address> = created.collect();
        traffic.tokens = created[..2].to_vec();
        [traffic.collectible, traffic.probe, traffic.mayfly] = [created[2], created[3], created[4]];
        for token in traffic.tokens.clone() {
            for place in 1..6 {
                let to = traffic.accounts[place];
                traffic.call("token", holder, token, code::transfer(to, 1_000));
            }
        }
        // In anvil 1.7 every account exists, so it refunds the first authorization of an account
        // where Ethereum does not. One wei makes the account exist in both.
        for place in 0..traffic.authorities.len() {
            let to = traffic.authorities[place].key.address();
            let fields = json!({ "from": holder, "to": to, "value": "0x1" });
            traffic.send("transfer", fields, 21_000);
        }
        traffic.mine();
        traffic
    }

    fn draw(&mut self, below: usize) -> usize {
        usize::try_from(self.chance.below(below as u64)).expect("below a usize")
    }

    fn account(&mut self) -> Address {
        let drawn = self.draw(self.accounts.len());
        self.accounts[drawn]
    }

    /// Mines a block of `transactions`.
    pub(crate) fn block(&mut self, transactions: usize) {
        for _ in 0..transactions {
            self.transaction();
        }
        self.mine();
    }

    fn mine(&self) {
        self.node.call("evm_mine", json!([]));
    }

    fn transaction(&mut self) {
        let (from, to) = (self.account(), self.account());
        match self.draw(16) {
            0..3 => {
                let fresh = Address::from_word(keccak256(self.draw(1_000).to_be_bytes()));
                let to = if self.draw(2) == 0 { fresh } else { to };
                let value = U256::from(self.draw(1_000_000));
                let fields = json!({ "from": from, "to": to, "value": value });
                self.send("transfer", fields, 21_000);
            }
            3..8 => {
                // Half of the accounts have no tokens at first, so their transfers revert.
                let which = self.draw(2);
                let token = self.tokens[which];
                let amount = self.draw(400) as u64;
                self.call("token", from, token, code::transfer(to, amount));
            }
            8..10 => {
                self.owners.push(from);
                self.call("mint", from, self.collectible, code::mint());
            }
            10..12 => self.hand_over(from, to),
            12 => {
                let code = if self.draw(2) == 0 { code::token(from) } else { code::probe() };
                self.send("deploy", json!({ "from": from, "data": code }), GAS_DEPLOY);
            }
            13 => self.call("probe", from, self.probe, Bytes::new()),
            14 => {
                let fields = json!({ "from": from, "to": self.mayfly, "value": "0x7" });
                self.send("mayfly", fields, GAS_CALL);
            }
            _ if self.delegates => self.delegate(from),
            _ => self.call("probe", from, self.probe, Bytes::new()),
        }
    }

    /// Transfers a piece, mostly as its owner, sometimes as another account.
    fn hand_over(&mut self, from: Address, to: Address) {
        if self.owners.is_empty() {
            return self.call("nft", from, self.collectible, code::hand_over(from, to, 99_999));
        }
        let id = self.draw(self.owners.len());
        let owner = self.owners[id];
        let sender = if self.draw(4) == 0 { from } else { owner };
        if sender == owner {
            self.owners[id] = to;
        }
        self.call("nft", sender, self.collectible, code::hand_over(owner, to, id));
    }

    /// Makes an authority delegate to a collectible or end its delegation, and mints there in the
    /// same call. Some authorizations have a wrong nonce and are skipped.
    fn delegate(&mut self, from: Address) {
        let (which, wrong, ends) = (self.draw(3), self.draw(4) == 0, self.draw(4) == 0);
        let code = if ends { Address::ZERO } else { self.collectible };
        let chain = self.node.call("eth_chainId", json!([]));
        let authority = &mut self.authorities[which];
        let authorization = Authorization {
            chain_id: serde_json::from_value(chain).expect("a chain"),
            address: code,
            nonce: authority.nonce + u64::from(wrong),
        };
        authority.nonce += u64::from(!wrong);
        let signature = authority.key.sign(authorization.signature_hash());
        let fields = json!({
            "from": from, "to": authority.key.address(), "data": code::mint(),
            "authorizationList": [{
                "chainId": authorization.chain_id, "address": authorization.address,
                "nonce": alloy_primitives::U64::from(authorization.nonce),
                "yParity": format!("{:#x}", u8::from(signature.v())),
                "r": signature.r(), "s": signature.s(),
            }],
        });
        self.send("delegation", fields, GAS_CALL);
    }

    fn call(&mut self, kind: &str, from: Address, to: Address, data: Bytes) {
        self.send(kind, json!({ "from": from, "to": to, "data": data }), GAS_CALL);
    }

    fn send(&mut self, kind: &str, mut fields: Value, gas: u64) {
        fields["gas"] = json!(format!("{gas:#x}"));
        // Both legacy and newer transactions.
        if fields.get("authorizationList").is_none() && self.draw(3) == 0 {
            fields["gasPrice"] = json!("0x77359400");
        }
        self.node.call("eth_sendTransaction", json!([fields]));
        let kind = KINDS.iter().position(|known| *known == kind).expect("a known kind");
        self.sent[kind] += 1;
    }
}

fn authority(number: u8) -> Authority {
    Authority { key: Key::new(keccak256([number])).expect("a key"), nonce: 0 }
}
