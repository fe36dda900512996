//! Blind credits: amounts that transactions pay without reading the recipient's balance, such as
//! fees and surcharges.

pub(super) mod blind_credits;
pub(super) mod receivers;
pub(super) mod reward;
pub(super) mod surcharge;
