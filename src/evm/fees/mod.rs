//! What transactions pay to accounts that they do not read: fees of the beneficiary, surcharges.

pub(super) mod deferred;
pub(super) mod reward;
pub(super) mod surcharge;
