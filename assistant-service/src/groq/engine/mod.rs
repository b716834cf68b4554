//! Calls to the provider, with all that stands around them: limits of time and quota, retries, the fallback model, and the
//! books of what each call cost. To drop what runs here is to cut the provider off.
//!
//! - `ask`: what is asked · `allowance`: what a request may take for it · `told`: what it tells
//! - `attempts`: calls one after the other · `attempt`: one call and its books · `whole`: answers in one piece
//! - `model`: what a model is sent, and what is kept of it · `look`: the provider's list of models

mod allowance;
mod ask;
mod attempt;
mod attempts;
mod look;
mod model;
mod told;
mod whole;

use std::sync::Arc;

use super::client::Client;
use super::failure::Failure;
use super::offer::Offer;
use super::retry::Budget;
use crate::settings::Settings;
use crate::usage::Prices;
pub use allowance::{Allowance, Mend, Past};
pub use ask::{Ask, Message, Schema, Tool};
use model::Model;
pub use told::{CallRecord, Completed, Ended, Failed, Outcome, Progress, Started};

/// Asks the provider. Cheap to clone; clones share connections, quota and breakers.
#[derive(Clone, Debug)]
pub struct Engine(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    client: Client,
    /// The model, then its fallback if there is one.
    models: Vec<Model>,
    reasoning_tokens: u32,
    retries: u32,
    budget: Budget,
    offer: Offer,
}

impl Engine {
    /// Asks as `settings` say.
    ///
    /// # Errors
    /// Where the HTTP client cannot be set up, or the prices cannot be read.
    pub fn new(settings: &Settings) -> anyhow::Result<Self> {
        let prices = Prices::read(settings.calls.prices.as_deref())?;
        let names = std::iter::once(settings.provider.model.as_str()).chain(settings.provider.fallback());
        Ok(Self(Arc::new(Shared {
            client: Client::new(&settings.provider)?,
            models: names.map(|name| Model::new(name, &settings.calls, &prices)).collect(),
            reasoning_tokens: settings.sizes.reasoning_tokens,
            retries: settings.calls.retries,
            budget: Budget::new(),
            offer: Offer::new(settings.calls.look_interval),
        })))
    }

    /// The model that is asked first.
    pub fn model(&self) -> &str {
        self.0.models.first().map_or("", |model| &model.name)
    }

    /// The model that is asked where the first cannot be.
    pub fn fallback(&self) -> Option<&str> {
        self.0.models.get(1).map(|model| &*model.name)
    }

    /// The most tokens that a prompt may have beside an answer of `answer_tokens`, whichever model is asked.
    pub fn prompt_room(&self, answer_tokens: u32) -> u32 {
        let rooms = self.0.models.iter().map(|model| {
            let profile = &model.profile;
            profile.context_window - model.output_at_most(answer_tokens, self.0.reasoning_tokens)
        });
        rooms.min().unwrap_or_default()
    }

    /// What would be announced of a call of the first model.
    pub fn announced(&self, ask: &Ask) -> Option<Started> {
        let model = self.0.models.first()?;
        Some(model.started(&model.request(ask, self.0.reasoning_tokens, None)))
    }

    /// Whether there is a model of which another call may be made for `ask`.
    pub fn affords(&self, ask: &Ask) -> bool {
        self.0.affords(ask)
    }

    /// Asks, and tells what happens as it happens; nothing goes on while `tell` has not taken it. Asks again where that can
    /// help, but never after text was told.
    ///
    /// # Errors
    /// What the last call failed with, or why none was made.
    pub async fn stream<T, F>(&self, ask: &Ask, tell: T) -> Result<(), Failure>
    where
        T: Fn(Progress) -> F,
        F: Future<Output = ()>,
    {
        self.0.run(ask, true, &tell).await
    }
}
