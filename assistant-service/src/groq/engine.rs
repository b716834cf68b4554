//! Calls to the provider, with all that stands around them: limits of time and quota, retries, the fallback model, and the
//! books of what each call cost. To drop what runs here is to cut the provider off.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use service_kit::deadline::Deadline;
use tokio::time::{Instant, sleep, timeout_at};

use super::breaker::{Breaker, Pass, Rule};
use super::call::{Call, Reach, Step};
use super::client::Client;
use super::failure::{Failure, Kind, Phase, Window};
use super::gate::{Full, Gate, Permit};
use super::models::{Profile, profile};
use super::retry::{Budget, Remedy, delay, remedy};
use super::wire;
use crate::settings::{Calls, Settings};
use crate::usage::{Heard, Price, Prices, Source, Tokens};

/// How much earlier than the caller's deadline a call is cut off, so that its end can still be told.
const LAST_WORDS: Duration = Duration::from_millis(25);
/// Tokens that a provider puts around a prompt of ours: its own instructions, the answer's beginning.
const AROUND_PROMPT: u64 = 512;
/// Tokens that it puts around each message or tool.
const AROUND_PART: u64 = 64;

/// A message of a prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// `system`, `user` or `assistant`.
    pub role: &'static str,
    /// Its text.
    pub content: String,
}

/// The form of an answer in JSON.
#[derive(Clone, Debug, PartialEq)]
pub struct Schema {
    /// Letters, digits and `_`.
    pub name: String,
    /// JSON Schema: every property required, `additionalProperties` false. Models that cannot be held to it get JSON mode,
    /// for which the word JSON must stand in the prompt; so the answer must be validated.
    pub schema: serde_json::Value,
}

/// Something that the model may do instead of answering, or beside it.
#[derive(Clone, Debug, PartialEq)]
pub struct Tool {
    /// Letters, digits and `_`.
    pub name: String,
    /// When to use it.
    pub description: String,
    /// JSON Schema of its arguments.
    pub parameters: serde_json::Value,
}

/// What is asked.
#[derive(Clone, Debug, Default)]
pub struct Ask {
    /// The prompt.
    pub messages: Vec<Message>,
    /// Most tokens of the answer's text; room for reasoning is added for models that reason.
    pub answer_tokens: u32,
    /// What the prompt is taken for in the books of the quota.
    pub estimated_prompt_tokens: u32,
    /// The form of the answer, which then comes in one piece; unset: text.
    pub schema: Option<Arc<Schema>>,
    /// What the model may do instead of answering; not with a schema. Models that are not known are not told of it.
    pub tools: Option<Arc<[Tool]>>,
    /// When the caller's time is over.
    pub deadline: Option<Deadline>,
}

/// A call that begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Started {
    /// 1 for the first call of an ask.
    pub call_no: i32,
    /// The model that is asked.
    pub model: Arc<str>,
    /// No prompt of these messages has more tokens.
    pub input_tokens_at_most: u64,
    /// The model is told to write no more, reasoning included.
    pub output_tokens_at_most: u64,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// With the model's finish and the end marker.
    Completed,
    /// In any other way that was not ours.
    Failed,
    /// A time limit of ours or the caller's was over.
    CutShort,
}

/// A call that ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// As it began.
    pub call_no: i32,
    /// As it began.
    pub model: Arc<str>,
    /// How it ended.
    pub outcome: Outcome,
    /// What it cost.
    pub usage: Tokens,
    /// Who says so.
    pub source: Source,
    /// The price of that in millionths of a US dollar, rounded up; 0 where the model has none.
    pub cost_micro_usd: u64,
    /// The provider's name for it; empty if it gave none.
    pub upstream_id: String,
    /// From the request's sending to the first piece of the answer.
    pub time_to_first_text: Option<Duration>,
    /// From the request's sending to the end.
    pub duration: Duration,
}

/// What happens while something is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// A call is about to be made.
    CallStarted(Started),
    /// Some of the answer. Never empty. No other call is made after it.
    Text(String),
    /// The model calls a tool that was offered; after all text, before the call's end.
    ToolCall {
        /// Which one.
        name: String,
        /// JSON, if the model kept to it.
        arguments: String,
    },
    /// A call is over.
    CallEnded(Ended),
}

/// One call, whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallRecord {
    /// Its beginning.
    pub started: Started,
    /// Its end.
    pub ended: Ended,
}

/// An answer in one piece.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completed {
    /// What the model wrote.
    pub text: String,
    /// The calls that it took; the last one brought it.
    pub calls: Vec<CallRecord>,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{failure}")]
pub struct Failed {
    /// What the last call failed with, or why none was made.
    pub failure: Failure,
    /// The calls that were made.
    pub calls: Vec<CallRecord>,
}

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
}

#[derive(Debug)]
struct Model {
    name: Arc<str>,
    profile: Profile,
    price: Option<Price>,
    breaker: Arc<Breaker>,
    gate: Arc<Gate>,
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

    /// What the provider offers now, by id.
    ///
    /// # Errors
    /// Where the provider cannot be asked.
    pub async fn models(&self) -> Result<Vec<wire::Model>, Failure> {
        self.0.client.models().await
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

    /// Asks, and gives back the answer in one piece. Text of a call that failed is forgotten, so it may ask again after it.
    ///
    /// # Errors
    /// What the last call failed with, or why none was made, and the calls until then.
    pub async fn complete(&self, ask: &Ask) -> Result<Completed, Failed> {
        #[derive(Default)]
        struct Gathered {
            text: String,
            started: Option<Started>,
            calls: Vec<CallRecord>,
        }
        let gathered = Mutex::new(Gathered::default());
        let result = self
            .0
            .run(ask, false, &|progress| {
                let mut gathered = gathered.lock().unwrap_or_else(PoisonError::into_inner);
                match progress {
                    Progress::CallStarted(started) => {
                        gathered.text.clear();
                        gathered.started = Some(started);
                    }
                    Progress::Text(text) => gathered.text.push_str(&text),
                    Progress::ToolCall { .. } => {}
                    Progress::CallEnded(ended) => {
                        let started = gathered.started.take();
                        gathered
                            .calls
                            .extend(started.map(|started| CallRecord { started, ended }));
                    }
                }
                std::future::ready(())
            })
            .await;
        let Gathered { text, calls, .. } = gathered.into_inner().unwrap_or_else(PoisonError::into_inner);
        match result {
            Ok(()) => Ok(Completed { text, calls }),
            Err(failure) => Err(Failed { failure, calls }),
        }
    }
}

impl Shared {
    async fn run<T, F>(&self, ask: &Ask, shown_at_once: bool, tell: &T) -> Result<(), Failure>
    where
        T: Fn(Progress) -> F,
        F: Future<Output = ()>,
    {
        let Some(deadline) = ask.deadline else {
            return self.run_until(None, ask, shown_at_once, tell).await;
        };
        let head_start = LAST_WORDS.min(deadline.remaining() / 10);
        let ends = deadline.0.checked_sub(head_start);
        // The outer limit is for callers that take no word, not even the last.
        match timeout_at(deadline.0, self.run_until(ends, ask, shown_at_once, tell)).await {
            Ok(result) => result,
            Err(_) => Err(Failure::new(Kind::TimedOut(Phase::Deadline))),
        }
    }

    async fn run_until<T, F>(
        &self,
        ends: Option<Instant>,
        ask: &Ask,
        shown_at_once: bool,
        tell: &T,
    ) -> Result<(), Failure>
    where
        T: Fn(Progress) -> F,
        F: Future<Output = ()>,
    {
        self.budget.earn();
        let mut call_no = 0;
        let mut retries = 0;
        let mut moved = false;
        let mut repaired = false;
        loop {
            let (model, pass) = self.choose()?;
            let request = model.request(ask, self.reasoning_tokens);
            let reserved = u64::from(ask.estimated_prompt_tokens) + u64::from(request.max_completion_tokens);
            let permit = model.gate.enter(reserved, ends).await.map_err(over_quota)?;
            call_no += 1;
            let attempt = Attempt {
                model,
                started: model.started(ask, &request, call_no),
                estimated_prompt: ask.estimated_prompt_tokens.into(),
                call: self.client.call(&request, ends),
                open: Some((pass, permit)),
            };
            let (result, shown) = attempt.make(tell).await;
            let Err(failure) = result else {
                return Ok(());
            };
            if shown && shown_at_once {
                return Err(failure);
            }
            match remedy(failure.kind) {
                Remedy::None => return Err(failure),
                Remedy::OtherModel if moved || self.models.len() < 2 => return Err(failure),
                Remedy::OtherModel => {
                    // Its breaker is open now, so that it is not asked again; and as it is not down, nothing is spent.
                    moved = true;
                    continue;
                }
                Remedy::Once if repaired => return Err(failure),
                Remedy::Once | Remedy::Again => {}
            }
            repaired |= failure.kind == Kind::InvalidOutput;
            let others_are_well = || self.models.iter().any(|model| !model.breaker.is_open());
            let wait = if failure.kind == Kind::InvalidOutput || (model.breaker.is_open() && others_are_well()) {
                Duration::ZERO
            } else {
                delay(&failure, retries)
            };
            let late = ends.is_some_and(|ends| Instant::now() + wait >= ends);
            if late || retries >= self.retries || !self.budget.spend() {
                return Err(failure);
            }
            retries += 1;
            tracing::info!(kind = ?failure.kind, ms = wait.as_millis(), "the provider is asked again");
            sleep(wait).await;
        }
    }

    /// The first model that may be asked.
    fn choose(&self) -> Result<(&Model, Pass), Failure> {
        let mut refused: Option<Failure> = None;
        for model in &self.models {
            match model.breaker.pass() {
                Ok(pass) => return Ok((model, pass)),
                Err(failure)
                    if refused
                        .as_ref()
                        .is_none_or(|other| failure.retry_after < other.retry_after) =>
                {
                    refused = Some(failure);
                }
                Err(_) => {}
            }
        }
        Err(refused.unwrap_or(Failure::new(Kind::ModelUnavailable)))
    }
}

fn over_quota(Full(after): Full) -> Failure {
    Failure {
        retry_after: Some(after),
        ..Failure::new(Kind::RateLimited(Window::Minute))
    }
}

impl Model {
    fn new(name: &str, calls: &Calls, prices: &Prices) -> Self {
        let price = prices.of(name);
        if price.is_none() {
            tracing::warn!(
                model = name,
                "the model has no price: its calls are counted as costing nothing"
            );
        }
        Self {
            name: name.into(),
            profile: profile(name),
            price,
            breaker: Breaker::new(Rule {
                failures: calls.breaker_failures,
                cool_down: calls.breaker_cool_down,
            }),
            gate: Gate::new(calls.quota_share),
        }
    }

    fn output_at_most(&self, answer_tokens: u32, reasoning_tokens: u32) -> u32 {
        let reasoning = if self.profile.reasons { reasoning_tokens } else { 0 };
        self.profile
            .max_output_tokens
            .min(answer_tokens.saturating_add(reasoning))
    }

    /// Only what the model is known to take.
    fn request<'a>(&'a self, ask: &'a Ask, reasoning_tokens: u32) -> wire::ChatRequest<'a> {
        let streamed = ask.schema.is_none();
        let tools = ask.tools.as_deref().filter(|_| self.profile.tools && streamed);
        let offered = tools.unwrap_or_default().iter().map(|tool| wire::OfferedTool {
            kind: "function",
            function: wire::OfferedFunction {
                name: &tool.name,
                description: &tool.description,
                parameters: &tool.parameters,
            },
        });
        let offered: Vec<_> = offered.collect();
        let form = ask.schema.as_ref().map(|schema| {
            if !self.profile.strict_schema {
                return wire::ResponseFormat::JsonObject;
            }
            wire::ResponseFormat::JsonSchema {
                json_schema: wire::StrictSchema {
                    name: &schema.name,
                    strict: true,
                    schema: &schema.schema,
                },
            }
        });
        let messages = ask.messages.iter().map(|message| wire::Message {
            role: message.role,
            content: &message.content,
        });
        wire::ChatRequest {
            model: &self.name,
            messages: messages.collect(),
            max_completion_tokens: self.output_at_most(ask.answer_tokens, reasoning_tokens),
            reasoning_effort: self.profile.reasoning_effort,
            response_format: form,
            tools: Some(offered).filter(|offered| !offered.is_empty()),
            stream: streamed,
            stream_options: (streamed && self.profile.stream_options)
                .then_some(wire::StreamOptions { include_usage: true }),
        }
    }

    fn started(&self, ask: &Ask, request: &wire::ChatRequest<'_>, call_no: i32) -> Started {
        Started {
            call_no,
            model: Arc::clone(&self.name),
            input_tokens_at_most: self.input_at_most(ask),
            output_tokens_at_most: request.max_completion_tokens.into(),
        }
    }

    /// More tokens than the prompt has: a token is at least one byte, and what the provider puts around is not much.
    fn input_at_most(&self, ask: &Ask) -> u64 {
        let messages = ask.messages.iter().map(|message| message.content.len());
        let schema = ask.schema.iter().map(|schema| schema.schema.to_string().len());
        let tools = ask
            .tools
            .iter()
            .flat_map(|tools| tools.iter())
            .map(|tool| tool.name.len() + tool.description.len() + tool.parameters.to_string().len());
        let parts = messages
            .chain(schema)
            .chain(tools)
            .map(|bytes| bytes as u64 + AROUND_PART);
        (parts.sum::<u64>() + AROUND_PROMPT).min(self.profile.context_window.into())
    }
}

/// One call and its books. Dropped before its end, it is logged as cut off, and what it may have used is counted.
struct Attempt<'a> {
    model: &'a Model,
    started: Started,
    estimated_prompt: u64,
    call: Call,
    /// What it holds until it has ended.
    open: Option<(Pass, Permit)>,
}

impl Attempt<'_> {
    /// How the call ended, and whether text was told.
    async fn make<T, F>(mut self, tell: &T) -> (Result<(), Failure>, bool)
    where
        T: Fn(Progress) -> F,
        F: Future<Output = ()>,
    {
        tell(Progress::CallStarted(self.started.clone())).await;
        let mut shown = false;
        let result = loop {
            let step = self.call.next().await;
            if let (Some(standing), Some((_, permit))) = (self.call.take_standing(), &self.open) {
                permit.learn(&standing);
            }
            match step {
                Ok(Step::Text(text)) => {
                    shown = true;
                    tell(Progress::Text(text)).await;
                }
                Ok(Step::Alive) => {}
                Ok(Step::Whole) => break Ok(()),
                Err(failure) => break Err(failure),
            }
        };
        let ended = self.end(&result);
        if result.is_ok() {
            for call in self.call.take_calls() {
                tell(Progress::ToolCall {
                    name: call.name,
                    arguments: call.arguments,
                })
                .await;
            }
        }
        tell(Progress::CallEnded(ended)).await;
        if result.is_ok() {
            self.call.settle();
        }
        (result, shown)
    }

    /// Closes the books.
    fn end(&mut self, result: &Result<(), Failure>) -> Ended {
        let ended = self.ended(result);
        log(&ended);
        if let Err(Failure {
            kind: Kind::RateLimited(Window::Minute),
            retry_after: Some(wait),
            ..
        }) = result
        {
            self.model.gate.close(*wait);
        }
        if let Some((pass, permit)) = self.open.take() {
            pass.report(result.as_ref().err());
            let counted = match ended.source {
                Source::Reported => ended.usage.counted(),
                Source::Estimated => self.estimated_prompt + ended.usage.output,
            };
            permit.settle(counted, self.call.reach() != Reach::Unsent);
        }
        ended
    }

    fn ended(&self, result: &Result<(), Failure>) -> Ended {
        let (usage, source) = self.usage(result.as_ref().err());
        let outcome = match result {
            Ok(()) => Outcome::Completed,
            Err(failure) if matches!(failure.kind, Kind::TimedOut(_)) => Outcome::CutShort,
            Err(_) => Outcome::Failed,
        };
        Ended {
            call_no: self.started.call_no,
            model: Arc::clone(&self.started.model),
            outcome,
            usage,
            source,
            cost_micro_usd: self.model.price.map_or(0, |price| price.of(&usage)),
            upstream_id: self.call.upstream_id().unwrap_or_default().to_owned(),
            time_to_first_text: self.call.time_to_first_text(),
            duration: self.call.elapsed(),
        }
    }

    /// What the provider says; nothing where it had not begun to write; else an estimate.
    fn usage(&self, failure: Option<&Failure>) -> (Tokens, Source) {
        if let Some(usage) = self.call.usage() {
            return (usage.into(), Source::Reported);
        }
        // These refusals come after the model has written.
        let written = failure.is_some_and(|failure| matches!(failure.kind, Kind::InvalidOutput | Kind::Abandoned));
        let silent = match self.call.reach() {
            Reach::Unsent => return (Tokens::default(), Source::Reported),
            Reach::Refused if !written => return (Tokens::default(), Source::Reported),
            Reach::Refused => Duration::MAX,
            Reach::Sent | Reach::Accepted => self.call.silent(),
        };
        let heard = Heard {
            input_at_most: self.started.input_tokens_at_most,
            output_at_most: self.started.output_tokens_at_most,
            bytes: self.call.bytes(),
            silent,
        };
        (heard.estimate(), Source::Estimated)
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if self.open.is_some() {
            // Nobody is left to be told; whoever asked charges what was announced.
            self.end(&Err(Failure::new(Kind::TimedOut(Phase::Deadline))));
        }
    }
}

/// A call's one line; why it failed is logged where the caller is told.
fn log(ended: &Ended) {
    tracing::info!(
        model = %ended.model,
        call_no = ended.call_no,
        upstream_id = ended.upstream_id,
        outcome = ?ended.outcome,
        first_text_ms = ended.time_to_first_text.map(|time| time.as_millis()),
        ms = ended.duration.as_millis(),
        usage = ?ended.source,
        input_tokens = ended.usage.input,
        cached_input_tokens = ended.usage.cached_input,
        output_tokens = ended.usage.output,
        reasoning_tokens = ended.usage.reasoning,
        cost_micro_usd = ended.cost_micro_usd,
        "call to the provider ended"
    );
}
