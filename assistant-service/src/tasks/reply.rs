//! Answering a customer.

use std::sync::Arc;

use service_kit::deadline::Deadline;

use super::events::{Events, stream};
use crate::conversation::Conversation;
use crate::error::Error;
use crate::groq::engine::{Ask, Ended, Engine, Message, Progress, Started};
use crate::groq::wire;
use crate::prompt::catalog::Catalog;
use crate::prompt::{Prompt, Writer, context};
use crate::settings::Settings;

/// What happens while an answer is written. Whatever is not followed by [`Event::Finished`] is no answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A call to the provider is about to be made.
    CallStarted {
        /// The call.
        started: Started,
        /// The template's id.
        prompt_id: &'static str,
        /// The template's version.
        prompt_version: String,
    },
    /// Some of the answer. Never empty.
    Delta(String),
    /// A call to the provider is over.
    CallEnded(Ended),
    /// The answer is whole.
    Finished,
}

/// Writes replies. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Replies {
    engine: Engine,
    writer: Arc<Writer>,
    answer_tokens: u32,
}

impl Replies {
    /// Writes replies as `settings` say.
    ///
    /// # Errors
    /// Where the prompts or the HTTP client cannot be set up.
    pub fn new(settings: &Settings) -> anyhow::Result<Self> {
        let engine = Engine::new(settings)?;
        let sizes = settings.sizes;
        let budget = sizes.prompt_tokens.min(engine.prompt_room(sizes.answer_tokens));
        Ok(Self {
            engine,
            writer: Arc::new(Writer::new(budget)?),
            answer_tokens: sizes.answer_tokens,
        })
    }

    /// The prompts that there are.
    pub fn catalog(&self) -> &Catalog {
        self.writer.catalog()
    }

    /// Whom it asks.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// What the provider offers now, by id.
    ///
    /// # Errors
    /// Where the provider cannot be asked.
    pub async fn models(&self) -> Result<Vec<wire::Model>, Error> {
        Ok(self.engine.models().await?)
    }

    /// Exactly what [`Self::stream`] sends.
    ///
    /// # Errors
    /// Where the prompt cannot be written.
    pub fn prompt(&self, conversation: &Conversation) -> Result<Prompt, Error> {
        Ok(self.writer.reply(conversation)?)
    }

    /// Answers `conversation` before `deadline`. Nothing happens until the stream is polled; dropping it cuts the provider
    /// off.
    ///
    /// # Errors
    /// Where the prompt cannot be written. Failures of the provider end the stream.
    pub fn stream(
        &self,
        conversation: &Conversation,
        deadline: Option<Deadline>,
    ) -> Result<Events<Event, Error>, Error> {
        let prompt = self.prompt(conversation)?;
        let replies = self.clone();
        Ok(stream(|sink| async move {
            let ask = replies.ask(&prompt, deadline);
            let (sink, prompt) = (&sink, &prompt);
            let told = replies.engine.stream(&ask, |progress| {
                let event = event(progress, prompt);
                async move {
                    if let Some(event) = event {
                        sink.send(event).await;
                    }
                }
            });
            told.await?;
            sink.send(Event::Finished).await;
            Ok(())
        }))
    }

    fn ask(&self, prompt: &Prompt, deadline: Option<Deadline>) -> Ask {
        let messages = prompt.messages.iter().map(|message| Message {
            role: message.role.name(),
            content: message.content.clone(),
        });
        Ask {
            messages: messages.collect(),
            answer_tokens: self.answer_tokens,
            estimated_prompt_tokens: u32::try_from(context::tokens(&prompt.messages)).unwrap_or(u32::MAX),
            deadline,
            ..Ask::default()
        }
    }
}

fn event(progress: Progress, prompt: &Prompt) -> Option<Event> {
    Some(match progress {
        Progress::CallStarted(started) => Event::CallStarted {
            started,
            prompt_id: prompt.id,
            prompt_version: prompt.version.clone(),
        },
        Progress::Text(text) => Event::Delta(text),
        Progress::CallEnded(ended) => Event::CallEnded(ended),
        // No tool is offered.
        Progress::ToolCall { .. } => return None,
    })
}
