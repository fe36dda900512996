//! Blind credits (deltas): what transactions pay to accounts that they do not read, as fees of the
//! beneficiary and surcharges.

pub(super) mod blind_credits;
pub(super) mod receivers;
pub(super) mod reward;
pub(super) mod surcharge;
