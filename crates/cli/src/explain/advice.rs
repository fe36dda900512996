//! How conflicts might be removed.

use super::decode::Kind;

impl Kind {
    /// Returns how conflicts at a location of this kind might be removed.
    #[must_use]
    pub const fn advice(self) -> &'static str {
        match self {
            Self::Counter => {
                "Keep one counter per caller, and add them up when the total is read; or derive \
                 numbers from the caller's own counter."
            }
            Self::TotalSupply => {
                "Fix the supply at deployment, or keep a counter per caller and add the counters up when the total is read."
            }
            Self::TokenBalance => {
                "Transactions change the balance of one holder. If the holder is yours, receive into \
                 several accounts and collect later; the balance of a pool or of another user cannot be split."
            }
            Self::NativeBalance => {
                "Transactions change the ether of one account. If it is yours, let callers pay into \
                 several accounts and collect later; the wrapped-ether contract cannot be split."
            }
            Self::Pool => {
                "Trades in one pool depend on each other by design: each needs the price that the \
                 previous trade left. Spread trade over several pools, or settle many orders in one transaction."
            }
            Self::Vault => {
                "Each deposit or withdrawal needs the share price that the previous request left. Queue \
                 requests and settle many in one transaction, or use several vaults."
            }
            Self::Allowance => "Give each spender a separate allowance, or an unlimited one.",
            Self::NonceChain => {
                "Create contracts from several factories, or with CREATE2 from several accounts."
            }
            Self::Code => {
                "Do not create, delegate or destroy accounts that other transactions call in the same block."
            }
            Self::SameSender => "Send from several accounts.",
            Self::TokenOwner | Self::MappingEntry | Self::ArrayElement => {
                "Transactions with the same key conflict here. Make the key depend on the caller, where possible."
            }
            Self::Slot => {
                "All callers share one variable. If a call does not need the value that the previous call \
                 left, keep one variable per caller, drop the variable, or emit an event instead."
            }
        }
    }
}
