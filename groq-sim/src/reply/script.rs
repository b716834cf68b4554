//! Plays a script: each step becomes bytes, counted like those of an answer.

use std::time::Duration;

use http::{HeaderName, HeaderValue};
use serde_json::{Value, json};

use super::chunks::{self, choice, chunk, one_chunk};
use super::framing::{self, Event, Item, Notes, Piece};
use super::headers::{self, Headers, Standing};
use super::{Hold, Parts, Plan};
use crate::answer::{self, ToolCall, tokens};
use crate::scenario::Fault;
use crate::scenario::script::{Call, Head, Script, Step};
use crate::wire::{Delta, Usage};

pub(super) fn plan(parts: &Parts<'_>, script: &Script) -> Plan {
    let head = script.steps.iter().position(|step| matches!(step, Step::Head(_)));
    let (before, after) = script.steps.split_at(head.unwrap_or(0));
    let hold = before.iter().map(pause).sum();
    let (status, headers) = match after.first() {
        Some(Step::Head(head)) => (head.status, headers_of(parts, head)),
        _ => (200, usual_headers(parts, 200)),
    };
    let mut play = Play {
        parts,
        status,
        tokens: 0,
        reasoning_tokens: 0,
        calls: 0,
        wait: Duration::ZERO,
    };
    let items = after.iter().filter_map(|step| play.item(step)).collect();
    Plan {
        hold: Hold::For(hold),
        status,
        headers,
        length: None,
        steps: framing::encode(items, &Fault::Ok),
        bill: (status == 200).then_some(parts.bill),
        generating: None,
    }
}

fn pause(step: &Step) -> Duration {
    match step {
        Step::PauseMs(pause) => Duration::try_from_secs_f64(pause / 1000.0).unwrap_or_default(),
        _ => Duration::ZERO,
    }
}

fn usual_headers(parts: &Parts<'_>, status: u16) -> Headers {
    let mut headers = headers::request_id(&parts.envelope.request_id);
    if parts.request.stream && status == 200 {
        headers.extend([headers::content_type("text/event-stream"), headers::no_cache()]);
    } else {
        headers.push(headers::content_type("application/json"));
    }
    headers.extend(Standing::of(parts).headers(parts));
    headers
}

fn headers_of(parts: &Parts<'_>, head: &Head) -> Headers {
    let mut headers = usual_headers(parts, head.status);
    for (name, value) in &head.headers {
        // What HTTP does not allow is left out.
        let Ok(name) = HeaderName::try_from(name.to_lowercase()) else {
            continue;
        };
        headers.retain(|(known, _)| *known != name);
        if let Some(Ok(value)) = value.as_deref().map(HeaderValue::from_str) {
            headers.push((name, value));
        }
    }
    headers
}

struct Play<'a> {
    parts: &'a Parts<'a>,
    status: u16,
    /// Generated so far.
    tokens: u32,
    reasoning_tokens: u32,
    /// Calls of tools so far.
    calls: usize,
    /// Pauses since the last item.
    wait: Duration,
}

impl Play<'_> {
    fn item(&mut self, step: &Step) -> Option<Item> {
        let parts = self.parts;
        let event = match step {
            Step::Head(_) => return None,
            Step::PauseMs(_) => {
                self.wait += pause(step);
                return None;
            }
            Step::Hang => return Some(Item::Hang),
            Step::Cut(how) => return Some(Item::Cut(*how, self.take_wait())),
            Step::Body(value) => return Some(self.unframed(value.to_string().into_bytes())),
            Step::Raw(text) => return Some(self.unframed(text.clone().into_bytes())),
            Step::Bytes(bytes) => return Some(self.unframed(bytes.clone())),
            Step::Role => chunks::role(parts),
            Step::Text(text) => Event {
                notes: self.generated(text, false),
                ..chunks::content(parts, text)
            },
            Step::Reasoning(text) => {
                let delta = Delta {
                    reasoning: Some(text),
                    channel: answer::channel(parts.request.model.family),
                    ..Delta::default()
                };
                Event {
                    notes: self.generated(text, true),
                    data: chunk(parts, vec![choice(delta, None)], None, None, None),
                    ..Event::default()
                }
            }
            Step::ToolCall(call) => self.tool_call(call),
            Step::Finish(reason) => chunks::finish_for(parts, reason, &self.usage(), 2),
            Step::Usage => chunks::usage_chunk(parts, &self.usage()),
            Step::Done => chunks::done(),
            Step::Error(error) => Event {
                name: Some("error".into()),
                data: json!({"error": error}).to_string(),
                notes: one_chunk(),
                ..Event::default()
            },
            Step::Chunk(fields) => Event {
                data: overwritten(chunk(parts, Vec::new(), None, None, None), fields),
                notes: one_chunk(),
                ..Event::default()
            },
            Step::Event(event) => Event {
                name: event.name.clone().map(Into::into),
                data: event
                    .data
                    .as_str()
                    .map_or_else(|| event.data.to_string(), str::to_owned),
                notes: one_chunk(),
                ..Event::default()
            },
        };
        Some(Item::Event(Event {
            wait: self.take_wait(),
            ..event
        }))
    }

    fn take_wait(&mut self) -> Duration {
        std::mem::take(&mut self.wait)
    }

    fn usage(&self) -> Usage {
        self.parts.bill.usage(self.tokens, self.reasoning_tokens)
    }

    fn generated(&mut self, text: &str, is_reasoning: bool) -> Notes {
        let count = tokens::count(text) as u32;
        let reasoning_tokens = if is_reasoning { count } else { 0 };
        self.tokens += count;
        self.reasoning_tokens += reasoning_tokens;
        Notes {
            tokens: count,
            reasoning_tokens,
            text: if is_reasoning { String::new() } else { text.to_owned() },
            ..one_chunk()
        }
    }

    fn tool_call(&mut self, call: &Call) -> Event {
        let tokens = (tokens::count(&call.name) + tokens::count(&call.arguments)) as u32;
        self.tokens += tokens;
        let whole = ToolCall {
            id: call
                .id
                .clone()
                .unwrap_or_else(|| format!("fc_{}_{}", self.parts.envelope.request_id, self.calls)),
            name: call.name.clone(),
            arguments: call.arguments.clone(),
            tokens,
        };
        let event = chunks::tool_calls(self.parts, &[whole], self.calls, tokens);
        self.calls += 1;
        event
    }

    fn unframed(&mut self, bytes: Vec<u8>) -> Item {
        // The body of an error says nothing that is billed, and neither does anything else that is written by hand.
        let notes = Notes {
            chunks: u32::from(self.status != 200 || !self.parts.request.stream),
            ..Notes::default()
        };
        Item::Bytes(
            Piece {
                bytes: bytes.into(),
                notes,
            },
            self.take_wait(),
        )
    }
}

fn overwritten(chunk: String, fields: &serde_json::Map<String, Value>) -> String {
    let Ok(Value::Object(mut chunk)) = serde_json::from_str(&chunk) else {
        return chunk;
    };
    for (key, value) in fields {
        if value.is_null() {
            chunk.remove(key);
        } else {
            chunk.insert(key.clone(), value.clone());
        }
    }
    Value::Object(chunk).to_string()
}
