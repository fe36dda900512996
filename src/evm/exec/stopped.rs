//! The database error that makes revm stop once its view has stopped.

use crate::worker::Stopped;

/// The view answers no more reads; it has latched the reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the view of the state has stopped")]
pub(crate) struct ViewStopped;

impl revm::database_interface::DBErrorMarker for ViewStopped {}

impl From<Stopped> for ViewStopped {
    fn from(_: Stopped) -> Self {
        Self
    }
}
