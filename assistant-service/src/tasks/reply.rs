//! Answering a customer.

use std::sync::Arc;
use std::time::Duration;

use super::events::{Events, Sink, stream};
use crate::conversation::Conversation;
use crate::error::Error;
use crate::groq::call::{Call, Step};
use crate::groq::client::Client;
use crate::groq::failure::Failure;
use crate::groq::models::{Profile, profile};
use crate::groq::wire::{self, Usage};
use crate::prompt::catalog::Catalog;
use crate::prompt::{Prompt, Writer};
use crate::settings::Settings;

/// What happens while an answer is written. Whatever is not followed by [`Event::Finished`] is no answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A call to the provider is about to be made.
    CallStarted {
        /// 1 for the first call.
        call_no: i32,
        /// The model that is asked.
        model: String,
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

/// How a call to the provider ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Ended {
    /// As it began.
    pub call_no: i32,
    /// Whether the answer came whole.
    pub completed: bool,
    /// What it cost, if the provider said so.
    pub usage: Option<Usage>,
    /// The provider's name for it; empty if it gave none.
    pub upstream_id: String,
    /// From the request's sending to the first piece of the answer.
    pub time_to_first_text: Option<Duration>,
    /// From the request's sending to the end.
    pub duration: Duration,
}

/// Writes replies. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Replies {
    groq: Client,
    writer: Arc<Writer>,
    model: Arc<str>,
    profile: Profile,
    max_completion_tokens: u32,
}

impl Replies {
    /// Writes replies as `settings` say.
    ///
    /// # Errors
    /// Where the prompts or the HTTP client cannot be set up.
    pub fn new(settings: &Settings) -> anyhow::Result<Self> {
        let profile = profile(&settings.provider.model);
        let sizes = settings.sizes;
        let reasoning = if profile.reasons { sizes.reasoning_tokens } else { 0 };
        let max_completion_tokens = profile.max_output_tokens.min(sizes.answer_tokens + reasoning);
        let budget = sizes.prompt_tokens.min(profile.context_window - max_completion_tokens);
        Ok(Self {
            groq: Client::new(&settings.provider)?,
            writer: Arc::new(Writer::new(budget)?),
            model: settings.provider.model.as_str().into(),
            profile,
            max_completion_tokens,
        })
    }

    /// The prompts that there are.
    pub fn catalog(&self) -> &Catalog {
        self.writer.catalog()
    }

    /// The model that is asked.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// What the provider offers now, by id.
    ///
    /// # Errors
    /// Where the provider cannot be asked.
    pub async fn models(&self) -> Result<Vec<wire::Model>, Error> {
        Ok(self.groq.models().await?)
    }

    /// Exactly what [`Self::stream`] sends.
    ///
    /// # Errors
    /// Where the prompt cannot be written.
    pub fn prompt(&self, conversation: &Conversation) -> Result<Prompt, Error> {
        Ok(self.writer.reply(conversation)?)
    }

    /// Answers `conversation`. Nothing happens until the stream is polled; dropping it cuts the provider off.
    ///
    /// # Errors
    /// Where the prompt cannot be written. Failures of the provider end the stream.
    pub fn stream(&self, conversation: &Conversation) -> Result<Events<Event, Error>, Error> {
        let prompt = self.prompt(conversation)?;
        let replies = self.clone();
        Ok(stream(|sink| async move { replies.write(&prompt, &sink).await }))
    }

    async fn write(&self, prompt: &Prompt, sink: &Sink<Event>) -> Result<(), Error> {
        let call_no = 1;
        sink.send(Event::CallStarted {
            call_no,
            model: self.model.to_string(),
            prompt_id: prompt.id,
            prompt_version: prompt.version.clone(),
        })
        .await;
        let mut call = self.groq.call(&self.request(prompt));
        let result = relay(&mut call, sink).await;
        let ended = ended(call_no, &call, result.is_ok());
        self.log(prompt, &ended);
        sink.send(Event::CallEnded(ended)).await;
        result?;
        sink.send(Event::Finished).await;
        call.settle().await;
        Ok(())
    }

    /// A call's one line; why it failed is logged where the caller is told.
    fn log(&self, prompt: &Prompt, ended: &Ended) {
        tracing::info!(
            model = %self.model,
            prompt = prompt.id,
            version = prompt.version,
            upstream_id = ended.upstream_id,
            completed = ended.completed,
            first_text_ms = ended.time_to_first_text.map(|time| time.as_millis()),
            ms = ended.duration.as_millis(),
            input_tokens = ended.usage.map(|usage| usage.prompt_tokens),
            output_tokens = ended.usage.map(|usage| usage.completion_tokens),
            "call to the provider ended"
        );
    }

    fn request<'a>(&'a self, prompt: &'a Prompt) -> wire::ChatRequest<'a> {
        let messages = prompt.messages.iter();
        wire::ChatRequest {
            model: &self.model,
            messages: messages
                .map(|message| wire::Message {
                    role: message.role.name(),
                    content: &message.content,
                })
                .collect(),
            max_completion_tokens: self.max_completion_tokens,
            reasoning_effort: self.profile.reasoning_effort,
            stream: true,
            stream_options: wire::StreamOptions { include_usage: true },
        }
    }
}

/// Hands on what the model writes, as it comes.
async fn relay(call: &mut Call, sink: &Sink<Event>) -> Result<(), Failure> {
    loop {
        match call.next().await? {
            Step::Text(text) => sink.send(Event::Delta(text)).await,
            Step::Alive => {}
            Step::Whole => return Ok(()),
        }
    }
}

fn ended(call_no: i32, call: &Call, completed: bool) -> Ended {
    Ended {
        call_no,
        completed,
        usage: call.usage(),
        upstream_id: call.upstream_id().unwrap_or_default().to_owned(),
        time_to_first_text: call.time_to_first_text(),
        duration: call.elapsed(),
    }
}
