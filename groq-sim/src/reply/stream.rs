//! A streamed answer: its chunks, and what a scenario does to their row.

use std::time::Duration;

use serde_json::{Value, json};

use super::chunks::{self, json_of, one_chunk};
use super::framing::{self, Event, Item, Notes};
use super::headers::{self, Standing};
use super::{Hold, Parts, Plan};
use crate::request::Refusal;
use crate::scenario::Fault;
use crate::wire::{Delta, XGroq};

pub(super) fn plan(parts: &Parts<'_>) -> Plan {
    let mut headers = headers::request_id(&parts.envelope.request_id);
    headers.extend([headers::content_type("text/event-stream"), headers::no_cache()]);
    headers.extend(Standing::of(parts).headers(parts));
    let fault = &parts.scenario.fault;
    Plan {
        hold: Hold::For(Duration::ZERO),
        status: 200,
        headers,
        length: None,
        steps: framing::encode(with_fault(parts, whole(parts)), fault),
        bill: Some(parts.bill),
        generating: None,
    }
}

/// The events of a stream in which nothing goes wrong.
struct Whole {
    events: Vec<Item>,
    /// Where visible text begins.
    text_starts: usize,
    /// Where it ends: a tool call or the finish stands here.
    text_ends: usize,
}

fn whole(parts: &Parts<'_>) -> Whole {
    let per_token = parts.pace.per_token();
    let after = |wait: Duration, event: Event| Item::Event(Event { wait, ..event });
    let mut events = vec![after(parts.pace.to_first_token(), chunks::role(parts))];
    events.extend(chunks::reasoning(parts));
    let text_starts = events.len();
    let content = parts.answer.content.iter();
    events.extend(content.map(|token| after(per_token, chunks::content(parts, token))));
    let text_ends = events.len();
    let calls = parts.answer.tool_calls.as_slice();
    let apart = matches!(parts.scenario.fault, Fault::ToolCalls { apart: true, .. });
    let together = if apart { 1 } else { calls.len().max(1) };
    for (chunk, calls) in calls.chunks(together).enumerate() {
        // They come in one chunk when the last token is there.
        let token = Notes {
            tokens: 1,
            ..Notes::default()
        };
        let tokens: u32 = calls.iter().map(|call| call.tokens).sum();
        let held_back = tokens.saturating_sub(1);
        events.extend((0..held_back).map(|_| Item::Silent(per_token, token.clone())));
        let event = chunks::tool_calls(parts, calls, chunk * together, tokens - held_back);
        events.push(after(per_token, event));
    }
    // The first token comes with the role.
    if let Some(Item::Event(Event { wait, .. }) | Item::Silent(wait, _)) = events.get_mut(1) {
        *wait = wait.saturating_sub(per_token);
    }
    let usage = parts
        .bill
        .usage(parts.answer.completion_tokens(), parts.answer.reasoning_tokens());
    let times = match parts.scenario.fault {
        Fault::Usage { times } => times,
        _ => 2 + u8::from(parts.request.include_usage),
    };
    events.push(Item::Event(chunks::finish(parts, &usage, times)));
    if times > 2 {
        events.push(Item::Event(chunks::usage_chunk(parts, &usage)));
    }
    events.push(Item::Event(chunks::done()));
    Whole {
        events,
        text_starts,
        text_ends,
    }
}

fn with_fault(parts: &Parts<'_>, whole: Whole) -> Vec<Item> {
    let Whole {
        mut events,
        text_starts,
        text_ends,
    } = whole;
    let at = |after: usize| text_starts.saturating_add(after).min(text_ends);
    let per_token = parts.pace.per_token();
    let broken = |data: String| {
        Item::Event(Event {
            wait: per_token,
            name: None,
            data,
            notes: one_chunk(),
        })
    };
    match &parts.scenario.fault {
        Fault::SilentBeforeFirstToken => {
            events.clear();
            events.push(Item::Hang);
        }
        Fault::SilentInMiddle { after } => {
            events.truncate(at(*after));
            events.push(Item::Hang);
        }
        Fault::EndEarly { after } => events.truncate(at(*after)),
        Fault::Cut { after, how } => {
            events.truncate(at(*after));
            events.push(Item::Cut(*how, Duration::ZERO));
        }
        Fault::NoDone => {
            events.pop();
        }
        Fault::ErrorEvent { after, code, status } => {
            events.truncate(at(*after));
            let error = chunks::in_stream_error(code, *status);
            events.push(Item::Event(Event {
                wait: per_token,
                name: Some("error".into()),
                data: json_of(&error),
                notes: one_chunk(),
            }));
        }
        Fault::ErrorData { after, code } => {
            events.truncate(at(*after));
            let message = "Internal Server Error";
            let error = Refusal::new(500, "internal_server_error", code.as_deref(), message).body();
            events.push(broken(json_of(&error)));
        }
        Fault::ErrorXGroq {
            after,
            done: send_done,
            object,
        } => {
            events.truncate(at(*after));
            let id = &parts.envelope.request_id;
            let message = "over capacity, generation stopped early";
            let error = if *object {
                json!({"message": message, "type": "internal_server_error", "code": "over_capacity"})
            } else {
                json!(message)
            };
            let x_groq = XGroq {
                id,
                error: Some(&error),
                ..XGroq::default()
            };
            let data = chunks::chunk(
                parts,
                vec![chunks::choice(Delta::default(), None)],
                Some(x_groq),
                None,
                None,
            );
            events.push(broken(data));
            if *send_done {
                events.push(Item::Event(chunks::done()));
            }
        }
        Fault::HugeLine { after, bytes } => {
            // Not part of the answer, so neither billed nor kept in the journal.
            events.insert(
                at(*after),
                Item::Event(Event {
                    notes: one_chunk(),
                    ..chunks::content(parts, &"x".repeat(*bytes))
                }),
            );
        }
        _ => {}
    }
    for (index, item) in events.iter_mut().enumerate() {
        let Item::Event(event) = item else { continue };
        match parts.scenario.fault {
            Fault::MultiLineData => spread(event),
            Fault::CreatedChanges => event.data = later(&event.data, index as u64),
            _ => {}
        }
    }
    events
}

/// Writes the JSON over several lines.
fn spread(event: &mut Event) {
    let pretty = serde_json::from_str::<Value>(&event.data).and_then(|value| serde_json::to_string_pretty(&value));
    if let Ok(pretty) = pretty {
        event.data = pretty;
    }
}

/// The chunk as if it were made so many seconds later.
fn later(data: &str, seconds: u64) -> String {
    match serde_json::from_str::<Value>(data) {
        Ok(mut chunk) if chunk["created"].is_u64() => {
            chunk["created"] = json!(chunk["created"].as_u64().unwrap_or_default() + seconds);
            chunk.to_string()
        }
        _ => data.to_owned(),
    }
}
