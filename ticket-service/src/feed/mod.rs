//! What happens to tickets: kept with the change itself, told to whoever watches.

pub(crate) mod event;
pub(crate) mod store;
pub(crate) mod wire;

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
    #[expect(dead_code, reason = "the tail comes next")]
    pub(crate) async fn given(&self) {
        self.0.notified().await;
    }
}
