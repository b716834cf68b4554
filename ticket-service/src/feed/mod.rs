//! What happens to tickets: kept with the change itself, told to whoever watches.

mod cursor;
pub(crate) mod event;
mod rpc;
mod service;
pub(crate) mod store;
mod tail;
mod watch;
pub(crate) mod wire;

pub(crate) use rpc::Rpc;
pub(crate) use service::{LIFE, Service};
pub(crate) use tail::Tail;

use tokio::sync::Notify;

/// Tells this replica's tail that something was committed here, so that it need not wait for its next look. Only a hint:
/// what it misses is found by looking.
#[derive(Debug, Default)]
pub(crate) struct Hint(Notify);

impl Hint {
    /// Something was committed.
    pub(crate) fn give(&self) {
        self.0.notify_one();
    }

    /// Resolves once something was.
    pub(crate) async fn given(&self) {
        self.0.notified().await;
    }
}
