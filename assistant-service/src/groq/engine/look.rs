//! The provider's list of models: for who asks, and for ourselves while something is wrong.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::Engine;
use crate::groq::failure::{Failure, Kind};
use crate::groq::wire;

/// The longest that we wait for the list when nobody asked for it.
const LONGEST: Duration = Duration::from_secs(10);

impl Engine {
    /// What the provider offers now, by id.
    ///
    /// # Errors
    /// Where the provider cannot be asked.
    pub async fn models(&self) -> Result<Vec<wire::Model>, Failure> {
        let offer = &self.0.offer;
        let began = Instant::now();
        let listed = self.0.client.models().await;
        offer.looked();
        match &listed {
            Ok(listed) => {
                offer.key_accepted(began);
                for model in &self.0.models {
                    if offer.found(&model.name, listed.iter().any(|listed| *listed.id == *model.name)) {
                        model.breaker.try_again();
                    }
                }
            }
            Err(failure) if failure.kind == Kind::Unauthenticated => offer.key_refused(),
            Err(_) => {}
        }
        listed
    }

    /// Whether the provider accepts our key, as far as is known.
    pub fn accepted(&self) -> watch::Receiver<bool> {
        self.0.offer.accepted()
    }

    /// Looks at the provider's list while our key is refused or a model is gone. Never ends; to drop it is to stop it.
    pub async fn watch(&self) {
        loop {
            self.0.offer.until_due().await;
            match timeout(LONGEST, self.models()).await {
                Ok(Ok(_)) => {}
                Ok(Err(failure)) => tracing::info!(kind = ?failure.kind, "the provider's models could not be listed"),
                Err(_) => {
                    self.0.offer.looked();
                    tracing::info!("the provider's models could not be listed in time");
                }
            }
        }
    }
}
