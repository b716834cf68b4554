//! What the provider offers us: whether it takes our key, and which of our models it has no longer.
//!
//! Calls show it. While something is wrong the provider's list of models is looked at too, which costs nothing: soon after a
//! model was refused, and then from time to time, so that what is well again shows without a customer's call. Looks are
//! bounded by time, however many calls are refused.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until};

/// How much rarer looks are for a model that the list lacks than for a key that is refused.
const RARER: u32 = 6;

/// What is known of it now.
#[derive(Debug)]
pub struct Offer {
    /// The time from one look to the next.
    every: Duration,
    state: Mutex<State>,
    accepted: watch::Sender<bool>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// When the key was refused last, if it was not accepted since.
    refused: Option<Instant>,
    /// Models that were refused, and the list was not looked at since.
    unsure: HashSet<Arc<str>>,
    /// Models that were refused, and that the list lacks.
    missing: HashSet<Arc<str>>,
    looked: Option<Instant>,
}

impl Offer {
    /// Nothing is wrong yet. While something is, `every` lies between looks.
    pub fn new(every: Duration) -> Self {
        Self {
            every,
            state: Mutex::default(),
            accepted: watch::Sender::new(true),
            changed: Notify::new(),
        }
    }

    /// Every change is whole.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether our key is accepted, as far as is known.
    pub fn accepted(&self) -> watch::Receiver<bool> {
        self.accepted.subscribe()
    }

    /// A call was refused for its key.
    pub fn key_refused(&self) {
        self.state().refused = Some(Instant::now());
        if self.accepted.send_replace(false) {
            tracing::error!("the provider does not accept the key: GROQ_API_KEY");
        }
        self.changed.notify_one();
    }

    /// A call that began then was accepted. One from before the refusal proves nothing.
    pub fn key_accepted(&self, began: Instant) {
        if *self.accepted.borrow() {
            return;
        }
        let mut state = self.state();
        if state.refused.is_some_and(|at| began >= at) {
            state.refused = None;
            drop(state);
            self.accepted.send_replace(true);
            tracing::info!("the provider accepts the key again");
        }
    }

    /// A call was refused because there is no such model.
    pub fn model_refused(&self, model: &Arc<str>) {
        self.state().unsure.insert(Arc::clone(model));
        self.changed.notify_one();
    }

    /// The list was asked for, well or not.
    pub fn looked(&self) {
        self.state().looked = Some(Instant::now());
    }

    /// Takes whether the list has `model`. Says whether it has come back.
    pub fn found(&self, model: &Arc<str>, listed: bool) -> bool {
        let mut state = self.state();
        let refused = state.unsure.remove(model);
        if listed {
            let back = state.missing.remove(model);
            if back {
                tracing::info!(model = %model, "the provider offers the model again");
            } else if refused {
                tracing::warn!(model = %model, "the provider lists the model, yet refuses it");
            }
            return back;
        }
        if refused && state.missing.insert(Arc::clone(model)) {
            tracing::warn!(model = %model, "the provider does not offer the model: GROQ_MODEL, GROQ_FALLBACK_MODEL");
        }
        false
    }

    /// When the list is to be looked at next.
    fn due(&self) -> Option<Instant> {
        let state = self.state();
        let after = |wait: Duration| state.looked.map_or_else(Instant::now, |looked| looked + wait);
        let key = state
            .refused
            .map(|refused| (refused + self.every).max(after(self.every)));
        let unsure = (!state.unsure.is_empty()).then(|| after(self.every));
        let missing = (!state.missing.is_empty()).then(|| after(self.every * RARER));
        key.into_iter().chain(unsure).chain(missing).min()
    }

    /// Waits until the list is to be looked at.
    pub async fn until_due(&self) {
        loop {
            match self.due() {
                None => self.changed.notified().await,
                Some(due) if due <= Instant::now() => return,
                Some(due) => tokio::select! {
                    () = sleep_until(due) => {}
                    () = self.changed.notified() => {}
                },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use tokio::time::{advance, timeout};

    use super::*;

    const EVERY: Duration = Duration::from_secs(10);

    async fn waited(offer: &Offer) -> Option<Duration> {
        let began = Instant::now();
        let due = timeout(Duration::from_hours(1), offer.until_due()).await;
        due.is_ok().then(|| began.elapsed())
    }

    fn seconds(seconds: u64) -> Option<Duration> {
        Some(Duration::from_secs(seconds))
    }

    #[tokio::test(start_paused = true)]
    async fn while_nothing_is_wrong_nobody_looks() {
        let offer = Offer::new(EVERY);
        assert_eq!(waited(&offer).await, None);
        offer.looked();
        offer.found(&"m".into(), false);
        assert_eq!(waited(&offer).await, None, "nobody asked for it");
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_key_is_looked_after_until_something_that_began_later_is_accepted() {
        let offer = Offer::new(EVERY);
        let before = Instant::now();
        let accepted = offer.accepted();
        advance(Duration::from_millis(1)).await;
        offer.key_refused();
        assert!(!*accepted.borrow());
        for _ in 0..3 {
            assert_eq!(waited(&offer).await, seconds(10));
            offer.looked();
        }
        offer.key_accepted(before);
        assert!(!*accepted.borrow(), "it began before");
        offer.key_accepted(Instant::now());
        assert!(*accepted.borrow());
        assert_eq!(waited(&offer).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_model_is_looked_up_at_once_and_then_rarely_until_it_is_back() {
        let offer = Offer::new(EVERY);
        let model: Arc<str> = "m".into();
        offer.model_refused(&model);
        assert_eq!(waited(&offer).await, seconds(0));
        offer.looked();
        assert!(!offer.found(&model, false));
        for _ in 0..3 {
            assert_eq!(waited(&offer).await, seconds(60));
            offer.looked();
            assert!(!offer.found(&model, false));
        }
        assert!(offer.found(&model, true));
        assert_eq!(waited(&offer).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn however_many_calls_are_refused_looks_are_bounded() {
        let offer = Offer::new(EVERY);
        let model: Arc<str> = "m".into();
        let mut looks = 0;
        for _ in 0..600 {
            offer.model_refused(&model);
            // Whatever came since: until nothing is left to do now.
            while offer.until_due().now_or_never().is_some() {
                looks += 1;
                offer.looked();
                // It is listed, and refused all the same.
                assert!(!offer.found(&model, true));
            }
            advance(Duration::from_millis(100)).await;
        }
        assert!((6..=7).contains(&looks), "{looks} looks in a minute");
    }
}
