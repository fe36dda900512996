//! Functions and events of widespread standards, by their signatures: ERC-20, ERC-721, ERC-1155,
//! ERC-4626, wrapped ether, Uniswap's pools and routers.

use alloy_primitives::{Address, B256, I256, Log, U256, keccak256};
use std::{collections::HashMap, sync::LazyLock};

/// Signatures of functions.
const FUNCTIONS: [&str; 62] = [
    // ERC-20, with common extensions.
    "transfer(address,uint256)",
    "transferFrom(address,address,uint256)",
    "approve(address,uint256)",
    "balanceOf(address)",
    "allowance(address,address)",
    "totalSupply()",
    "increaseAllowance(address,uint256)",
    "decreaseAllowance(address,uint256)",
    "permit(address,address,uint256,uint256,uint8,bytes32,bytes32)",
    "mint(address,uint256)",
    "burn(uint256)",
    "burn(address,uint256)",
    // Wrapped ether.
    "deposit()",
    "withdraw(uint256)",
    // ERC-721.
    "ownerOf(uint256)",
    "safeTransferFrom(address,address,uint256)",
    "safeTransferFrom(address,address,uint256,bytes)",
    "setApprovalForAll(address,bool)",
    "isApprovedForAll(address,address)",
    "mint(uint256)",
    "mint()",
    // ERC-1155.
    "balanceOf(address,uint256)",
    "safeTransferFrom(address,address,uint256,uint256,bytes)",
    "safeBatchTransferFrom(address,address,uint256[],uint256[],bytes)",
    // ERC-4626.
    "deposit(uint256,address)",
    "mint(uint256,address)",
    "withdraw(uint256,address,address)",
    "redeem(uint256,address,address)",
    "totalAssets()",
    // Uniswap V2, pairs.
    "swap(uint256,uint256,address,bytes)",
    "mint(address)",
    "burn(address)",
    "skim(address)",
    "sync()",
    "getReserves()",
    // Uniswap V2, router.
    "swapExactTokensForTokens(uint256,uint256,address[],address,uint256)",
    "swapTokensForExactTokens(uint256,uint256,address[],address,uint256)",
    "swapExactETHForTokens(uint256,address[],address,uint256)",
    "swapTokensForExactETH(uint256,uint256,address[],address,uint256)",
    "swapExactTokensForETH(uint256,uint256,address[],address,uint256)",
    "swapETHForExactTokens(uint256,address[],address,uint256)",
    "swapExactTokensForTokensSupportingFeeOnTransferTokens(uint256,uint256,address[],address,uint256)",
    "swapExactETHForTokensSupportingFeeOnTransferTokens(uint256,address[],address,uint256)",
    "swapExactTokensForETHSupportingFeeOnTransferTokens(uint256,uint256,address[],address,uint256)",
    "addLiquidity(address,address,uint256,uint256,uint256,uint256,address,uint256)",
    "addLiquidityETH(address,uint256,uint256,uint256,address,uint256)",
    "removeLiquidity(address,address,uint256,uint256,uint256,address,uint256)",
    "removeLiquidityETH(address,uint256,uint256,uint256,address,uint256)",
    // Uniswap V3, pools.
    "swap(address,bool,int256,uint160,bytes)",
    "mint(address,int24,int24,uint128,bytes)",
    "burn(int24,int24,uint128)",
    "collect(address,int24,int24,uint128,uint128)",
    "slot0()",
    // Uniswap V3, routers; callbacks.
    "exactInputSingle((address,address,uint24,address,uint256,uint256,uint256,uint160))",
    "exactInput((bytes,address,uint256,uint256,uint256))",
    "exactOutputSingle((address,address,uint24,address,uint256,uint256,uint256,uint160))",
    "multicall(bytes[])",
    "multicall(uint256,bytes[])",
    "execute(bytes,bytes[],uint256)",
    "uniswapV2Call(address,uint256,uint256,bytes)",
    "uniswapV3SwapCallback(int256,int256,bytes)",
    "unlock(bytes)",
];

/// Returns the signature of the standard function with this selector, if there is one.
#[must_use]
pub fn function(selector: [u8; 4]) -> Option<&'static str> {
    static BY_SELECTOR: LazyLock<HashMap<[u8; 4], &str>> = LazyLock::new(|| {
        let selector = |signature: &str| {
            let [a, b, c, d, ..] = keccak256(signature).0;
            [a, b, c, d]
        };
        FUNCTIONS.iter().map(|signature| (selector(signature), *signature)).collect()
    });
    BY_SELECTOR.get(&selector).copied()
}

/// An event of a standard, with the fields that are evidence about slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// ERC-20 or wrapped ether: a transfer; the zero address is no holder.
    Moved { from: Address, to: Address, amount: U256 },
    /// Wrapped ether: a deposit of ether or, if `into` is false, a withdrawal.
    Wrapped { holder: Address, amount: U256, into: bool },
    /// ERC-721: a token changed its owner.
    Owned { from: Address, to: Address, token: U256 },
    /// ERC-20 or ERC-721: an allowance was set.
    Approved { owner: Address, spender: Address, amount: U256 },
    /// ERC-1155: a transfer of an amount of one token.
    MovedOf { token: U256, from: Address, to: Address, amount: U256 },
    /// ERC-4626: a deposit or a withdrawal.
    Vault,
    /// Uniswap V2: a swap.
    SwapV2,
    /// Uniswap V2: reserves after a swap.
    Reserves { one: U256, other: U256 },
    /// Uniswap V3: price and liquidity after a swap.
    SwapV3 { price: U256, liquidity: U256 },
    /// Uniswap V4: a swap, with its pool.
    SwapV4 { pool: U256 },
}

/// Events, by the hash of their signature and their number of topics.
#[derive(Clone, Copy)]
enum Name {
    Transfer,
    Deposit,
    Withdrawal,
    Approval,
    TransferSingle,
    Vault,
    SwapV2,
    Sync,
    SwapV3,
    SwapV4,
}

const EVENTS: [(&str, Name); 11] = [
    ("Transfer(address,address,uint256)", Name::Transfer),
    ("Deposit(address,uint256)", Name::Deposit),
    ("Withdrawal(address,uint256)", Name::Withdrawal),
    ("Approval(address,address,uint256)", Name::Approval),
    ("TransferSingle(address,address,address,uint256,uint256)", Name::TransferSingle),
    ("Deposit(address,address,uint256,uint256)", Name::Vault),
    ("Withdraw(address,address,address,uint256,uint256)", Name::Vault),
    ("Swap(address,uint256,uint256,uint256,uint256,address)", Name::SwapV2),
    ("Sync(uint112,uint112)", Name::Sync),
    ("Swap(address,address,int256,int256,uint160,uint128,int24)", Name::SwapV3),
    ("Swap(bytes32,address,int128,int128,uint160,uint128,int24,uint24)", Name::SwapV4),
];

impl Event {
    /// Decodes `log`, if it is an event of a standard.
    #[must_use]
    pub(super) fn of(log: &Log) -> Option<Self> {
        static BY_TOPIC: LazyLock<HashMap<B256, Name>> = LazyLock::new(|| {
            EVENTS.iter().map(|(signature, name)| (keccak256(signature), *name)).collect()
        });
        let topics = log.data.topics();
        let name = BY_TOPIC.get(topics.first()?)?;
        let word = |index: usize| {
            let bytes = log.data.data.get(index * 32..index * 32 + 32)?;
            Some(U256::from_be_slice(bytes))
        };
        let (topic, who) = (
            |index: usize| topics.get(index).map(|topic| U256::from_be_bytes(topic.0)),
            |index: usize| topics.get(index).map(|topic| Address::from_word(*topic)),
        );
        Some(match name {
            Name::Transfer if topics.len() == 4 => {
                Self::Owned { from: who(1)?, to: who(2)?, token: topic(3)? }
            }
            Name::Transfer => Self::Moved { from: who(1)?, to: who(2)?, amount: word(0)? },
            Name::Deposit => Self::Wrapped { holder: who(1)?, amount: word(0)?, into: true },
            Name::Withdrawal => Self::Wrapped { holder: who(1)?, amount: word(0)?, into: false },
            Name::Approval => {
                let amount = word(0).or_else(|| topic(3))?;
                Self::Approved { owner: who(1)?, spender: who(2)?, amount }
            }
            Name::TransferSingle => {
                Self::MovedOf { token: word(0)?, from: who(2)?, to: who(3)?, amount: word(1)? }
            }
            Name::Vault => Self::Vault,
            Name::SwapV2 => Self::SwapV2,
            Name::Sync => Self::Reserves { one: word(0)?, other: word(1)? },
            Name::SwapV3 => Self::SwapV3 { price: word(2)?, liquidity: word(3)? },
            Name::SwapV4 => Self::SwapV4 { pool: topic(1)? },
        })
    }

    /// Returns the change of the amount that `holder` has, modulo 2^256; for ERC-721, of the number
    /// of tokens.
    #[must_use]
    pub(super) fn change_for(&self, holder: Address) -> U256 {
        let signed = |is_in: bool, is_out: bool, amount: U256| match (is_in, is_out) {
            (true, false) => amount,
            (false, true) => amount.wrapping_neg(),
            _ => U256::ZERO,
        };
        match *self {
            Self::Moved { from, to, amount } => signed(to == holder, from == holder, amount),
            Self::Wrapped { holder: of, amount, into } => {
                signed(of == holder && into, of == holder && !into, amount)
            }
            Self::Owned { from, to, .. } => {
                signed(to == holder, from == holder, I256::ONE.into_raw())
            }
            _ => U256::ZERO,
        }
    }

    /// Returns the change of the supply, modulo 2^256.
    #[must_use]
    pub(super) fn change_of_supply(&self) -> U256 {
        match self {
            Self::Moved { .. } | Self::Owned { .. } => {
                self.change_for(Address::ZERO).wrapping_neg()
            }
            _ => U256::ZERO,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::{Bytes, LogData, hex};

    #[test]
    fn selectors_are_those_of_the_standards() {
        for (selector, signature) in [
            (hex!("a9059cbb"), "transfer(address,uint256)"),
            (hex!("23b872dd"), "transferFrom(address,address,uint256)"),
            (hex!("095ea7b3"), "approve(address,uint256)"),
            (hex!("70a08231"), "balanceOf(address)"),
            (hex!("42842e0e"), "safeTransferFrom(address,address,uint256)"),
            (hex!("f242432a"), "safeTransferFrom(address,address,uint256,uint256,bytes)"),
            (hex!("6e553f65"), "deposit(uint256,address)"),
            (hex!("022c0d9f"), "swap(uint256,uint256,address,bytes)"),
            (hex!("128acb08"), "swap(address,bool,int256,uint160,bytes)"),
            (hex!("d0e30db0"), "deposit()"),
        ] {
            assert_eq!(function(selector), Some(signature));
        }
        assert_eq!(function([0; 4]), None);
    }

    fn log(signature: &str, topics: &[u64], words: &[u64]) -> Log {
        let topic = |value: &u64| B256::from(U256::from(*value));
        let topics = [keccak256(signature)].into_iter().chain(topics.iter().map(topic)).collect();
        let data: Vec<u8> =
            words.iter().flat_map(|word| U256::from(*word).to_be_bytes::<32>()).collect();
        Log { address: Address::ZERO, data: LogData::new_unchecked(topics, Bytes::from(data)) }
    }

    fn who(number: u8) -> Address {
        Address::with_last_byte(number)
    }

    #[test]
    fn logs_say_who_has_more_and_who_less() {
        let moved = log("Transfer(address,address,uint256)", &[1, 2], &[50]);
        let event = Event::of(&moved).unwrap();
        assert_eq!(event, Event::Moved { from: who(1), to: who(2), amount: U256::from(50) });
        let fifty = U256::from(50);
        let changes = [1, 2, 3].map(|holder| event.change_for(who(holder)));
        assert_eq!(changes, [fifty.wrapping_neg(), fifty, U256::ZERO]);
        assert_eq!(event.change_of_supply(), U256::ZERO);
        let minted = Event::of(&log("Transfer(address,address,uint256)", &[0, 2], &[50])).unwrap();
        assert_eq!(minted.change_of_supply(), fifty);
        let owned = Event::of(&log("Transfer(address,address,uint256)", &[1, 2, 9], &[])).unwrap();
        assert_eq!(owned.change_for(who(2)), U256::from(1));
        let itself = Event::of(&log("Transfer(address,address,uint256)", &[1, 1], &[50])).unwrap();
        assert_eq!(itself.change_for(who(1)), U256::ZERO);
        let out = Event::of(&log("Withdrawal(address,uint256)", &[4], &[50])).unwrap();
        assert_eq!(out.change_for(who(4)), fifty.wrapping_neg());
        // An unknown event, and one with truncated data.
        assert_eq!(Event::of(&log("Transfer(uint256)", &[1, 2], &[50])), None);
        assert_eq!(Event::of(&log("Transfer(address,address,uint256)", &[1, 2], &[])), None);
        let sync = Event::of(&log("Sync(uint112,uint112)", &[], &[3, 4])).unwrap();
        assert_eq!(sync, Event::Reserves { one: U256::from(3), other: U256::from(4) });
    }
}
