//! What the assistant does: one file per thing.
//!
//! - [`reply`]: answers and drafts, in pieces · `hand_off`: the tool by which a reply leaves a ticket to a person
//! - [`summary`] · [`triage`] · [`rewrite`]: whole answers · `whole`: what these have in common
//! - `mending`: output that is not of the form, asked for anew
//! - [`terms`]: what a caller allows, and prompts that keep to it

mod events;
mod hand_off;
mod mending;
pub mod reply;
pub mod rewrite;
pub mod summary;
pub mod terms;
pub mod triage;
pub mod whole;

use std::sync::Arc;

use tokio::task::spawn_blocking;

use crate::conversation::Conversation;
use crate::error::Error;
use crate::groq::engine::{Ask, Ended, Engine, Message, Schema, Tool};
use crate::groq::wire;
use crate::guard::Guard;
use crate::guard::hosts::Hosts;
use crate::prompt::Writer;
use crate::prompt::catalog::{Catalog, Task};
use crate::prompt::store::Store;
use crate::prompt::{MOST_ATTACHED, Prompt};
use crate::redaction::Redactor;
use crate::settings::{Settings, Sizes};
use crate::usage::Source;
use terms::Terms;

/// All of a conversation is searched for what must not leave. From so many bytes on, no other task should wait for it.
const LONG: usize = 256 * 1024;

/// Does what it is asked. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Assistant {
    engine: Engine,
    writer: Arc<Writer>,
    sizes: Sizes,
    hand_off: Arc<[Tool]>,
    triage: Arc<Schema>,
    links_allowed: Hosts,
}

impl Assistant {
    /// An assistant as `settings` say.
    ///
    /// # Errors
    /// Where the prompts or the HTTP client cannot be set up.
    pub fn new(settings: &Settings) -> anyhow::Result<Self> {
        let model = &settings.provider.model;
        let sizes = settings.sizes;
        let engine = Engine::new(settings)?;
        let budget = sizes.prompt_tokens.min(engine.prompt_room(sizes.answer_tokens));
        let redactor = Redactor::new(settings.kept.redact)?;
        Ok(Self {
            engine,
            writer: Arc::new(Writer::new(model, budget, settings.prompts.directory(), redactor)?),
            sizes,
            hand_off: Arc::from([hand_off::tool()]),
            triage: Arc::new(triage::schema()),
            links_allowed: settings.kept.links_allowed.clone(),
        })
    }

    /// The prompts as they are now.
    pub fn catalog(&self) -> Arc<Catalog> {
        self.writer.catalog()
    }

    /// Where the prompts are kept.
    pub fn prompts(&self) -> Arc<Store> {
        self.writer.store()
    }

    /// The model that is asked.
    pub fn model(&self) -> &str {
        self.engine.model()
    }

    /// The model that is asked where that one cannot be.
    pub fn fallback(&self) -> Option<&str> {
        self.engine.fallback()
    }

    /// What the provider offers now, by id.
    ///
    /// # Errors
    /// Where the provider cannot be asked.
    pub async fn models(&self) -> Result<Vec<wire::Model>, Error> {
        Ok(self.engine.models().await?)
    }

    /// What asks the provider.
    pub fn engine(&self) -> Engine {
        self.engine.clone()
    }

    /// Exactly what a task on `conversation` sends where its caller sets no limit.
    pub async fn prompt(&self, task: Task, conversation: &Conversation) -> Prompt {
        self.beside(conversation, move |assistant, conversation| {
            assistant.prompt_of(task, conversation, assistant.writer.budget())
        })
        .await
    }

    /// Does what takes long for a long conversation off the threads that serve calls.
    async fn beside<T: Send + 'static>(
        &self,
        conversation: &Conversation,
        work: impl Fn(&Self, &Conversation) -> T + Clone + Send + 'static,
    ) -> T {
        if conversation.bytes() < LONG {
            return work(self, conversation);
        }
        let (assistant, long, there) = (self.clone(), conversation.clone(), work.clone());
        match spawn_blocking(move || there(&assistant, &long)).await {
            Ok(made) => made,
            // The runtime stops, or something is very wrong; then here as well.
            Err(_) => work(self, conversation),
        }
    }

    fn prompt_of(&self, task: Task, conversation: &Conversation, budget: u32) -> Prompt {
        self.writer
            .write_within(budget, task, conversation, self.attached(task))
    }

    /// Bytes that are sent with a prompt beside its messages.
    fn attached(&self, task: Task) -> usize {
        let attached = match task {
            Task::Reply => self.hand_off.iter().map(Tool::bytes).sum(),
            Task::Triage => self.triage.bytes(),
            Task::Draft | Task::Summary | Task::Rewrite => 0,
        };
        debug_assert!(attached <= MOST_ATTACHED);
        attached
    }

    /// The tokens that `prompt` is taken for.
    pub fn estimate(&self, prompt: &Prompt) -> u32 {
        self.writer.estimate(prompt)
    }

    fn ask(&self, task: Task, prompt: &Prompt, terms: &Terms) -> Ask {
        let messages = prompt.messages.iter().map(|message| Message {
            role: message.role.name(),
            content: message.content.clone(),
        });
        Ask {
            messages: messages.collect(),
            answer_tokens: self.sizes.answer_tokens,
            estimated_prompt_tokens: self.estimate(prompt),
            schema: (task == Task::Triage).then(|| Arc::clone(&self.triage)),
            tools: (task == Task::Reply).then(|| Arc::clone(&self.hand_off)),
            deadline: terms.deadline,
            allowance: terms.allowance.clone(),
        }
    }

    /// What an answer to `prompt` is held to.
    fn guard(&self, prompt: &Prompt) -> Guard {
        let placeholders = Arc::clone(&prompt.placeholders);
        Guard::new(self.writer.mark().clone(), self.links_allowed.clone(), placeholders)
    }

    /// Learns how many tokens `prompt` had, where the provider said so.
    fn learn(&self, prompt: &Prompt, ended: &Ended) {
        if ended.source == Source::Reported {
            let tokens = u32::try_from(ended.usage.input).unwrap_or(u32::MAX);
            self.writer.ratios().learn(&ended.model, prompt.bytes, tokens);
        }
    }
}

impl Tool {
    /// What it adds to a prompt.
    fn bytes(&self) -> usize {
        self.name.len() + self.description.len() + self.parameters.to_string().len()
    }
}

impl Schema {
    /// What it adds to a prompt.
    fn bytes(&self) -> usize {
        self.name.len() + self.schema.to_string().len()
    }
}
