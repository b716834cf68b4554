//! STAND-IN for `groq::engine`, of the same shape: one call, no retries, no fallback, no quota, no prices. The engine
//! replaces this file, and with it the fields of `groq::wire` and `groq::answer` that only it uses.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use service_kit::deadline::Deadline;

use crate::groq::call::{Call, Step};
use crate::groq::client::Client;
use crate::groq::failure::{Failure, Kind, Phase};
use crate::groq::models::{Profile, profile};
use crate::groq::wire::{self, Usage};
use crate::settings::{Provider, Settings, Sizes};

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
    /// JSON Schema: every property required, `additionalProperties` false.
    pub schema: Value,
}

/// Something that the model may do instead of answering.
#[derive(Clone, Debug, PartialEq)]
pub struct Tool {
    /// Letters, digits and `_`.
    pub name: String,
    /// When to use it.
    pub description: String,
    /// JSON Schema of its arguments.
    pub parameters: Value,
}

/// What is asked.
#[derive(Clone, Debug, Default)]
pub struct Ask {
    /// The prompt.
    pub messages: Vec<Message>,
    /// Most tokens of the answer's text.
    pub answer_tokens: u32,
    /// What the prompt is taken for.
    pub estimated_prompt_tokens: u32,
    /// The form of the answer, where it has one.
    pub schema: Option<Arc<Schema>>,
    /// What the model may call instead of answering.
    pub tools: Option<Arc<[Tool]>>,
    /// When the caller's time is over.
    pub deadline: Option<Deadline>,
}

/// What happens while something is asked.
#[derive(Clone, Debug, PartialEq)]
pub enum Progress {
    /// A call is about to be made.
    CallStarted(Started),
    /// Some of the answer. Never empty.
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

/// A call that begins.
#[derive(Clone, Debug, PartialEq)]
pub struct Started {
    /// 1 for the first call of an ask.
    pub call_no: i32,
    /// The model that is asked.
    pub model: Arc<str>,
    /// No prompt of these messages has more tokens.
    pub input_tokens_at_most: u64,
    /// The model is told to write no more.
    pub output_tokens_at_most: u64,
}

/// A call that ended.
#[derive(Clone, Debug, PartialEq)]
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
    /// The price of that in millionths of a US dollar.
    pub cost_micro_usd: u64,
    /// The provider's name for it; empty if it gave none.
    pub upstream_id: String,
    /// From the request's sending to the first piece of the answer.
    pub time_to_first_text: Option<Duration>,
    /// From the request's sending to the end.
    pub duration: Duration,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// With the model's finish and the end marker.
    Completed,
    /// In any other way that was not ours.
    Failed,
    /// A time limit was over.
    CutShort,
}

/// Tokens of one call. To be `crate::usage::Tokens`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    /// Of the prompt, cached ones included.
    pub input: u64,
    /// Of the prompt, those that the provider had cached.
    pub cached_input: u64,
    /// Written by the model, reasoning included.
    pub output: u64,
    /// Spent on reasoning.
    pub reasoning: u64,
}

/// Where a count comes from. To be `crate::usage::Source`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// From the provider.
    Reported,
    /// From us.
    Estimated,
}

/// One call, whole.
#[derive(Clone, Debug, PartialEq)]
pub struct CallRecord {
    /// Its beginning.
    pub started: Started,
    /// Its end.
    pub ended: Ended,
}

/// An answer in one piece.
#[derive(Clone, Debug, PartialEq)]
pub struct Completed {
    /// What the model wrote.
    pub text: String,
    /// The calls that it took.
    pub calls: Vec<CallRecord>,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Failed {
    /// What the last call failed with.
    pub failure: Failure,
    /// The calls that were made.
    pub calls: Vec<CallRecord>,
}

/// Asks the provider. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Engine {
    groq: Client,
    provider: Arc<Provider>,
    sizes: Sizes,
    profile: Profile,
}

impl Engine {
    /// An engine as `settings` say.
    ///
    /// # Errors
    /// Where the HTTP client cannot be set up.
    pub fn new(settings: &Settings) -> anyhow::Result<Self> {
        Ok(Self {
            groq: Client::new(&settings.provider)?,
            provider: Arc::new(settings.provider.clone()),
            sizes: settings.sizes,
            profile: profile(&settings.provider.model),
        })
    }

    /// The model that is asked.
    pub fn model(&self) -> &str {
        &self.provider.model
    }

    /// What the provider offers now, by id.
    ///
    /// # Errors
    /// Where the provider cannot be asked.
    pub async fn models(&self) -> Result<Vec<wire::Model>, Failure> {
        self.groq.models().await
    }

    /// Asks for an answer in pieces.
    ///
    /// # Errors
    /// However it fails.
    pub async fn stream<T, F>(&self, ask: &Ask, tell: T) -> Result<(), Failure>
    where
        T: Fn(Progress) -> F,
        F: Future<Output = ()>,
    {
        let started = self.started(ask);
        tell(Progress::CallStarted(started)).await;
        let mut call = self.groq.call(&self.request(ask, true));
        let mut result = loop {
            match call.next().await {
                Ok(Step::Text(text)) => tell(Progress::Text(text)).await,
                Ok(Step::Alive) => {}
                Ok(Step::Whole) => break Ok(()),
                Err(failure) => break Err(failure),
            }
        };
        if result.is_ok() && ask.tools.is_none() && !call.tools().is_empty() {
            result = Err(Failure::new(Kind::Protocol("a tool was called, and none was offered")));
        }
        if result.is_ok() {
            for tool in call.tools() {
                tell(Progress::ToolCall {
                    name: tool.name.clone(),
                    arguments: tool.arguments.clone(),
                })
                .await;
            }
        }
        tell(Progress::CallEnded(self.ended(&call, result.is_ok()))).await;
        if result.is_ok() {
            call.settle().await;
        }
        result
    }

    /// Asks for an answer in one piece.
    ///
    /// # Errors
    /// However it fails.
    pub async fn complete(&self, ask: &Ask) -> Result<Completed, Failed> {
        let started = self.started(ask);
        let (result, ended) = if ask.schema.is_some() {
            self.whole(ask).await
        } else {
            let mut call = self.groq.call(&self.request(ask, true));
            let mut text = String::new();
            let result = loop {
                match call.next().await {
                    Ok(Step::Text(more)) => text.push_str(&more),
                    Ok(Step::Alive) => {}
                    Ok(Step::Whole) => break Ok(text),
                    Err(failure) => break Err(failure),
                }
            };
            let ended = self.ended(&call, result.is_ok());
            (result, ended)
        };
        let calls = vec![CallRecord { started, ended }];
        match result {
            Ok(text) => Ok(Completed { text, calls }),
            Err(failure) => Err(Failed { failure, calls }),
        }
    }

    fn started(&self, ask: &Ask) -> Started {
        Started {
            call_no: 1,
            model: self.provider.model.as_str().into(),
            input_tokens_at_most: ask.estimated_prompt_tokens.into(),
            output_tokens_at_most: self.most(ask).into(),
        }
    }

    fn most(&self, ask: &Ask) -> u32 {
        let reasoning = if self.profile.reasons {
            self.sizes.reasoning_tokens
        } else {
            0
        };
        self.profile.max_output_tokens.min(ask.answer_tokens + reasoning)
    }

    fn ended(&self, call: &Call, completed: bool) -> Ended {
        let usage = call.usage();
        let upstream_id = call.upstream_id().unwrap_or_default().to_owned();
        let mut ended = self.over(completed, usage, upstream_id, call.elapsed());
        ended.time_to_first_text = call.time_to_first_text();
        ended
    }

    fn over(&self, completed: bool, usage: Option<Usage>, upstream_id: String, duration: Duration) -> Ended {
        tracing::info!(
            model = self.provider.model,
            upstream_id,
            completed,
            ms = duration.as_millis(),
            input_tokens = usage.map(|usage| usage.prompt_tokens),
            output_tokens = usage.map(|usage| usage.completion_tokens),
            "call to the provider ended"
        );
        Ended {
            call_no: 1,
            model: self.provider.model.as_str().into(),
            outcome: if completed { Outcome::Completed } else { Outcome::Failed },
            usage: usage.map(Tokens::from).unwrap_or_default(),
            source: if usage.is_some() {
                Source::Reported
            } else {
                Source::Estimated
            },
            cost_micro_usd: 0,
            upstream_id,
            time_to_first_text: None,
            duration,
        }
    }

    fn is_strict(&self) -> bool {
        self.provider.model.starts_with("openai/gpt-oss-") && !self.provider.model.contains("safeguard")
    }

    fn request<'a>(&'a self, ask: &'a Ask, stream: bool) -> wire::ChatRequest<'a> {
        let messages = ask.messages.iter();
        let tool = |tool: &Tool| {
            json!({"type": "function", "function":
                {"name": tool.name, "description": tool.description, "parameters": tool.parameters}})
        };
        let strict = |schema: &Schema| {
            json!({"type": "json_schema", "json_schema":
                {"name": schema.name, "strict": true, "schema": schema.schema}})
        };
        wire::ChatRequest {
            model: &self.provider.model,
            messages: messages
                .map(|message| wire::Message {
                    role: message.role,
                    content: &message.content,
                })
                .collect(),
            max_completion_tokens: self.most(ask),
            reasoning_effort: self.profile.reasoning_effort,
            stream,
            stream_options: stream.then_some(wire::StreamOptions { include_usage: true }),
            tools: ask.tools.as_ref().map(|tools| tools.iter().map(tool).collect()),
            response_format: ask.schema.as_ref().map(|schema| {
                if self.is_strict() {
                    strict(schema)
                } else {
                    json!({"type": "json_object"})
                }
            }),
        }
    }

    /// Answers of a form do not stream.
    async fn whole(&self, ask: &Ask) -> (Result<String, Failure>, Ended) {
        let began = Instant::now();
        let mut usage = None;
        let mut upstream_id = String::new();
        let asked = tokio::time::timeout(self.provider.limits.total, self.post(ask)).await;
        let timed_out = Failure::new(Kind::TimedOut(Phase::Total));
        let result = match asked.unwrap_or(Err(timed_out)) {
            Ok(body) => {
                usage = serde_json::from_value(body["usage"].clone()).ok();
                upstream_id = body["x_groq"]["id"].as_str().unwrap_or_default().to_owned();
                let choice = &body["choices"][0];
                let text = choice["message"]["content"].as_str().unwrap_or_default().to_owned();
                match choice["finish_reason"].as_str() {
                    Some("stop") if !text.trim().is_empty() => Ok(text),
                    Some("stop") => Err(Failure::new(Kind::Empty)),
                    Some("length") => Err(Failure::new(Kind::Truncated)),
                    Some("content_filter") => Err(Failure::new(Kind::ContentFiltered)),
                    _ => Err(Failure::new(Kind::Protocol("the answer has no finish"))),
                }
            }
            Err(failure) => Err(failure),
        };
        let ended = self.over(result.is_ok(), usage, upstream_id, began.elapsed());
        (result, ended)
    }

    async fn post(&self, ask: &Ask) -> Result<Value, Failure> {
        let broken = |_| Failure::new(Kind::Rejected);
        let http = reqwest::Client::builder().http1_only().no_proxy().build();
        let url = self.provider.url("chat/completions").map_err(broken)?;
        let mut request = http.map_err(Failure::from_transport)?.post(url);
        if let Some(key) = self.provider.authorization().map_err(broken)? {
            request = request.header(reqwest::header::AUTHORIZATION, key);
        }
        let response = request.json(&self.request(ask, false)).send().await;
        let response = response.map_err(Failure::from_transport)?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = response.bytes().await.map_err(Failure::from_transport)?;
        if !status.is_success() {
            return Err(Failure::from_response(status, &headers, &body));
        }
        serde_json::from_slice(&body).map_err(|_| Failure::new(Kind::Protocol("the answer is not JSON")))
    }
}

impl From<Usage> for Tokens {
    fn from(usage: Usage) -> Self {
        let cached = usage.prompt_tokens_details.and_then(|details| details.cached_tokens);
        let reasoning = usage
            .completion_tokens_details
            .and_then(|details| details.reasoning_tokens);
        Self {
            input: usage.prompt_tokens.into(),
            cached_input: cached.unwrap_or_default().into(),
            output: usage.completion_tokens.into(),
            reasoning: reasoning.unwrap_or_default().into(),
        }
    }
}
