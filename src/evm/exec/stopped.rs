//! How revm hears that a view gives no more answers.

use crate::worker::Stopped;

/// The view gives no more answers; the reason is latched in the view.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the view of the state has stopped")]
pub(crate) struct ViewStopped;

impl revm::database_interface::DBErrorMarker for ViewStopped {}

impl From<Stopped> for ViewStopped {
    fn from(_: Stopped) -> Self {
        Self
    }
}
