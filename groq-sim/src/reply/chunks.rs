//! The single events of a stream.

use std::time::Duration;

use super::Parts;
use super::framing::{Event, Item, Notes};
use crate::answer;
use crate::request::{Reasoning, Refusal};
use crate::wire::{Chunk, ChunkChoice, Delta, ErrorBody, Function, ToolCall, Usage, XGroq};

pub(super) fn in_stream_error(code: &str, status: u16) -> ErrorBody {
    let message = "Failed to call a function. Please adjust your prompt. See 'failed_generation' for more details.";
    let mut body = Refusal::new(status, "invalid_request_error", Some(code), message)
        .failed_generation("<function=hand_off>{\"why\": \"…")
        .body();
    body.error.status_code = Some(status);
    body
}

pub(super) fn role(parts: &Parts<'_>) -> Event {
    let delta = Delta {
        role: Some("assistant"),
        content: Some(""),
        ..Delta::default()
    };
    let envelope = parts.envelope;
    let x_groq = XGroq {
        id: &envelope.request_id,
        seed: Some(envelope.seed),
        ..XGroq::default()
    };
    event(
        chunk(parts, vec![choice(delta, None)], Some(x_groq), None, None),
        one_chunk(),
    )
}

/// Hidden reasoning takes its time and is billed all the same.
pub(super) fn reasoning<'a>(parts: &'a Parts<'_>) -> impl Iterator<Item = Item> + 'a {
    let tokens = &parts.answer.reasoning;
    let hidden = parts.request.reasoning == Reasoning::Hidden;
    let last = tokens.len().saturating_sub(1);
    let aloud = answer::thinks_aloud(parts.request);
    tokens.iter().enumerate().map(move |(index, token)| {
        let notes = Notes {
            tokens: 1,
            reasoning_tokens: 1,
            ..one_chunk()
        };
        let wait = parts.pace.per_token();
        if hidden {
            return Item::Silent(wait, Notes { chunks: 0, ..notes });
        }
        if aloud {
            let opening = if index == 0 { "<think>\n" } else { "" };
            let closing = if index == last { "\n</think>\n\n" } else { "" };
            let text = format!("{opening}{token}{closing}");
            let delta = Delta {
                content: Some(&text),
                ..Delta::default()
            };
            let data = chunk(parts, vec![choice(delta, None)], None, None, None);
            return Item::Event(Event {
                wait,
                data,
                notes: Notes { text, ..notes },
                name: None,
            });
        }
        let channel = answer::channel(parts.request.model.family);
        let delta = Delta {
            reasoning: Some(token),
            channel,
            ..Delta::default()
        };
        Item::Event(Event {
            wait,
            ..event(chunk(parts, vec![choice(delta, None)], None, None, None), notes)
        })
    })
}

pub(super) fn content(parts: &Parts<'_>, token: &str) -> Event {
    let delta = Delta {
        content: Some(token),
        ..Delta::default()
    };
    let notes = Notes {
        tokens: 1,
        text: token.to_owned(),
        ..one_chunk()
    };
    event(chunk(parts, vec![choice(delta, None)], None, None, None), notes)
}

/// Calls of tools, each whole, of which the first has this index; `tokens` is how many of theirs are counted with the chunk.
pub(super) fn tool_calls(parts: &Parts<'_>, calls: &[answer::ToolCall], first: usize, tokens: u32) -> Event {
    let whole = calls.iter().enumerate().map(|(index, call)| ToolCall {
        id: &call.id,
        kind: "function",
        function: Function {
            name: &call.name,
            arguments: &call.arguments,
        },
        index: u32::try_from(first + index).ok(),
    });
    let delta = Delta {
        tool_calls: Some(whole.collect()),
        ..Delta::default()
    };
    let notes = Notes { tokens, ..one_chunk() };
    event(chunk(parts, vec![choice(delta, None)], None, None, None), notes)
}

pub(super) fn finish(parts: &Parts<'_>, usage: &Usage, times: u8) -> Event {
    finish_for(parts, &parts.answer.finish_reason, usage, times)
}

pub(super) fn finish_for(parts: &Parts<'_>, reason: &str, usage: &Usage, times: u8) -> Event {
    let x_groq = XGroq {
        id: &parts.envelope.request_id,
        usage: (times > 0).then_some(usage),
        ..XGroq::default()
    };
    let choices = vec![choice(Delta::default(), Some(reason))];
    let data = chunk(parts, choices, Some(x_groq), (times > 1).then_some(usage), None);
    event(
        data,
        Notes {
            usage: u32::from(times.min(2)),
            ..one_chunk()
        },
    )
}

pub(super) fn usage_chunk(parts: &Parts<'_>, usage: &Usage) -> Event {
    let data = chunk(parts, Vec::new(), None, Some(usage), Some(&parts.request.service_tier));
    event(
        data,
        Notes {
            usage: 1,
            ..one_chunk()
        },
    )
}

pub(super) fn done() -> Event {
    event("[DONE]".to_owned(), one_chunk())
}

fn event(data: String, notes: Notes) -> Event {
    Event {
        wait: Duration::ZERO,
        name: None,
        data,
        notes,
    }
}

pub(super) fn one_chunk() -> Notes {
    Notes {
        chunks: 1,
        ..Notes::default()
    }
}

pub(super) fn choice<'a>(delta: Delta<'a>, finish_reason: Option<&'a str>) -> ChunkChoice<'a> {
    ChunkChoice {
        index: 0,
        delta,
        logprobs: None,
        finish_reason,
    }
}

pub(super) fn chunk(
    parts: &Parts<'_>,
    choices: Vec<ChunkChoice<'_>>,
    x_groq: Option<XGroq<'_>>,
    usage: Option<&Usage>,
    service_tier: Option<&str>,
) -> String {
    json_of(&Chunk {
        id: &parts.envelope.completion_id,
        object: "chat.completion.chunk",
        created: parts.envelope.created,
        model: parts.request.model.id,
        system_fingerprint: &parts.envelope.fingerprint,
        choices,
        x_groq,
        usage,
        service_tier,
    })
}

/// The wire types hold nothing that JSON cannot.
pub(super) fn json_of(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
