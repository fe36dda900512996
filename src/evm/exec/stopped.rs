//! The database error by which a stopped view makes revm stop.

use crate::worker::Stopped;

/// Error of every read after the view has stopped. The view has latched the reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the view of the state has stopped")]
pub(crate) struct ViewStopped;

impl revm::database_interface::DBErrorMarker for ViewStopped {}

impl From<Stopped> for ViewStopped {
    fn from(_: Stopped) -> Self {
        Self
    }
}
