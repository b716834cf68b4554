//! A streamed answer: its chunks, and what a scenario does to their row.

use std::time::Duration;

use super::chunks::{self, json, one_chunk};
use super::framing::{self, Event, Item};
use super::headers::{self, Standing};
use super::{Hold, Parts, Plan};
use crate::request::{Reasoning, Refusal};
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
    }
}

/// The events of a stream in which nothing goes wrong.
struct Whole {
    events: Vec<Event>,
    /// Where visible text begins.
    text_starts: usize,
    /// Where it ends: a tool call or the finish stands here.
    text_ends: usize,
}

fn whole(parts: &Parts<'_>) -> Whole {
    let per_token = parts.pace.per_token();
    let mut events = vec![Event {
        wait: parts.pace.to_first_token(),
        ..chunks::role(parts)
    }];
    events.extend(chunks::reasoning(parts));
    let text_starts = events.len();
    events.extend(parts.answer.content.iter().map(|token| Event {
        wait: per_token,
        ..chunks::content(parts, token)
    }));
    let text_ends = events.len();
    if parts.request.reasoning == Reasoning::Hidden {
        // It takes its time all the same, and is billed with the token that ends the silence.
        let tokens = parts.answer.reasoning_tokens();
        events[0].notes.tokens += tokens;
        events[0].notes.reasoning_tokens += tokens;
        if let Some(first) = events.get_mut(1) {
            first.wait += per_token * tokens;
        }
    }
    if let Some(call) = &parts.answer.tool_call {
        events.push(Event {
            wait: per_token * call.tokens,
            ..chunks::tool_call(parts, call)
        });
    }
    // The first token comes with the role.
    if let Some(first) = events.get_mut(1) {
        first.wait = first.wait.saturating_sub(per_token);
    }
    let usage = parts
        .bill
        .usage(parts.answer.completion_tokens(), parts.answer.reasoning_tokens());
    let times = match parts.scenario.fault {
        Fault::Usage { times } => times,
        _ => 2 + u8::from(parts.request.include_usage),
    };
    events.push(chunks::finish(parts, &usage, times));
    if times > 2 {
        events.push(chunks::usage_chunk(parts, &usage));
    }
    events.push(chunks::done());
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
    let mut tail = Vec::new();
    match &parts.scenario.fault {
        Fault::SilentBeforeFirstToken => {
            events.clear();
            tail.push(Item::Hang);
        }
        Fault::SilentInMiddle { after } => {
            events.truncate(at(*after));
            tail.push(Item::Hang);
        }
        Fault::EndEarly { after } => events.truncate(at(*after)),
        Fault::Cut { after, how } => {
            events.truncate(at(*after));
            tail.push(Item::Cut(*how));
        }
        Fault::NoDone => {
            events.pop();
        }
        Fault::ErrorEvent { after, code, status } => {
            events.truncate(at(*after));
            let error = chunks::in_stream_error(code, *status);
            events.push(Event {
                wait: per_token,
                name: Some("error"),
                data: json(&error),
                notes: one_chunk(),
            });
        }
        Fault::ErrorData { after } => {
            events.truncate(at(*after));
            let error = Refusal::new(500, "internal_server_error", None, "Internal Server Error").body();
            events.push(Event {
                wait: per_token,
                name: None,
                data: json(&error),
                notes: one_chunk(),
            });
        }
        Fault::ErrorXGroq { after, done: send_done } => {
            events.truncate(at(*after));
            let id = &parts.envelope.request_id;
            let x_groq = XGroq {
                id,
                error: Some("over capacity, generation stopped early"),
                ..XGroq::default()
            };
            let data = chunks::chunk(
                parts,
                vec![chunks::choice(Delta::default(), None)],
                Some(x_groq),
                None,
                None,
            );
            events.push(Event {
                wait: per_token,
                data,
                notes: one_chunk(),
                name: None,
            });
            if *send_done {
                events.push(chunks::done());
            }
        }
        Fault::HugeLine { after, bytes } => {
            // Not part of the answer, so neither billed nor kept in the journal.
            events.insert(
                at(*after),
                Event {
                    notes: one_chunk(),
                    ..chunks::content(parts, &"x".repeat(*bytes))
                },
            );
        }
        _ => {}
    }
    if parts.scenario.fault == Fault::MultiLineData {
        events.iter_mut().for_each(spread);
    }
    events.into_iter().map(Item::Event).chain(tail).collect()
}

/// Writes the JSON over several lines.
fn spread(event: &mut Event) {
    let pretty =
        serde_json::from_str::<serde_json::Value>(&event.data).and_then(|value| serde_json::to_string_pretty(&value));
    if let Ok(pretty) = pretty {
        event.data = pretty;
    }
}
