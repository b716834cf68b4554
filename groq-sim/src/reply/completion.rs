//! An answer in one piece, and the list of models, which is one too.

use std::time::Duration;

use super::framing::{Notes, Piece, Step, cut_up};
use super::headers::{self, Standing};
use super::{Generating, Hold, Parts, Plan};
use crate::answer;
use crate::request::Reasoning;
use crate::scenario::Fault;
use crate::settings::milliseconds;
use crate::wire::{Choice, Completion, Function, Message, ToolCall, XGroq};

pub(super) fn plan(parts: &Parts<'_>) -> Plan {
    let mut headers = headers::request_id(&parts.envelope.request_id);
    headers.push(headers::content_type("application/json"));
    headers.extend(Standing::of(parts).headers(parts));
    let pace = parts.pace;
    let answer = parts.answer;
    let text = text(parts);
    let body = body(parts, &text);
    let counted = |usage| Notes {
        chunks: 1,
        tokens: answer.completion_tokens(),
        reasoning_tokens: answer.reasoning_tokens(),
        text: if matches!(parts.scenario.fault, Fault::HugeLine { .. }) {
            String::new()
        } else {
            text.clone()
        },
        usage,
    };

    let fault = &parts.scenario.fault;
    let (steps, complete) = in_one_piece(
        fault,
        &body,
        &counted(u32::from(!matches!(fault, Fault::Usage { times: 0 }))),
    );
    Plan {
        hold: Hold::For(pace.to_first_token() + pace.per_token() * answer.completion_tokens()),
        status: 200,
        headers,
        length: complete.then_some(body.len() as u64),
        steps,
        bill: Some(parts.bill),
        generating: Some(Generating {
            tokens: answer.completion_tokens(),
            reasoning_tokens: answer.reasoning_tokens(),
        }),
    }
}

/// The list of models.
pub(super) fn list(parts: &Parts<'_>, body: &[u8]) -> Plan {
    let mut headers = headers::request_id(&parts.envelope.request_id);
    headers.push(headers::content_type("application/json"));
    let notes = Notes {
        chunks: 1,
        ..Notes::default()
    };
    let (steps, complete) = in_one_piece(&parts.scenario.fault, body, &notes);
    Plan {
        hold: Hold::For(parts.scenario.options.ttft_ms.map_or(Duration::ZERO, milliseconds)),
        status: 200,
        headers,
        length: complete.then_some(body.len() as u64),
        steps,
        bill: None,
        generating: None,
    }
}

/// A body that is sent whole, or as far as the fault lets it; and whether it is whole.
pub(super) fn in_one_piece(fault: &Fault, body: &[u8], notes: &Notes) -> (Vec<Step>, bool) {
    let mut steps = Vec::new();
    let mut send = |bytes: &[u8], notes: Notes| {
        let bytes = bytes.to_vec().into();
        cut_up(&mut steps, Piece { bytes, notes }, fault);
    };
    let tail = match fault {
        Fault::SilentBeforeFirstToken => return (vec![Step::Hang], false),
        Fault::SilentInMiddle { .. } => Some(Step::Hang),
        Fault::EndEarly { .. } => None,
        Fault::Cut { how, .. } => Some(Step::Cut(*how)),
        _ => {
            send(body, notes.clone());
            return (steps, true);
        }
    };
    // Everything was generated, and is billed, before the first byte: a body that breaks off costs as much.
    let (half, _) = body.split_at(body.len() / 2);
    let broken = Notes {
        chunks: 0,
        text: String::new(),
        usage: 0,
        ..notes.clone()
    };
    send(half, broken);
    steps.push(Step::Flush);
    steps.extend(tail);
    (steps, false)
}

/// The visible text.
fn text(parts: &Parts<'_>) -> String {
    if let Fault::HugeLine { bytes, .. } = parts.scenario.fault {
        return "x".repeat(bytes);
    }
    let mut text = String::new();
    if answer::thinks_aloud(parts.request) && !parts.answer.reasoning.is_empty() {
        text = format!("<think>\n{}\n</think>\n\n", parts.answer.reasoning.concat());
    }
    text + &parts.answer.content.concat()
}

fn body(parts: &Parts<'_>, text: &str) -> Vec<u8> {
    let Parts {
        envelope,
        request,
        answer,
        scenario,
        ..
    } = parts;
    let usage = parts.bill.usage(answer.completion_tokens(), answer.reasoning_tokens());
    let reasoning = answer.reasoning.concat();
    let shown = request.reasoning == Reasoning::Parsed && !reasoning.is_empty();
    let calls = answer.tool_calls.iter().map(|call| ToolCall {
        id: &call.id,
        kind: "function",
        function: Function {
            name: &call.name,
            arguments: &call.arguments,
        },
        index: None,
    });
    let tool_calls = Some(calls.collect::<Vec<_>>()).filter(|calls| !calls.is_empty());
    // A tool call without words has no `content`; every other message has one, be it empty.
    let content = (tool_calls.is_none() || !text.is_empty()).then_some(text);
    let completion = Completion {
        id: &envelope.completion_id,
        object: "chat.completion",
        created: envelope.created,
        model: request.model.id,
        choices: [Choice {
            index: 0,
            message: Message {
                role: "assistant",
                content,
                reasoning: shown.then_some(reasoning.as_str()),
                tool_calls,
            },
            logprobs: None,
            finish_reason: &answer.finish_reason,
        }],
        usage: (!matches!(scenario.fault, Fault::Usage { times: 0 })).then_some(&usage),
        usage_breakdown: None,
        system_fingerprint: &envelope.fingerprint,
        x_groq: XGroq {
            id: &envelope.request_id,
            seed: Some(envelope.seed),
            ..XGroq::default()
        },
        service_tier: &request.service_tier,
    };
    let written = if scenario.fault == Fault::MultiLineData {
        serde_json::to_vec_pretty(&completion)
    } else {
        serde_json::to_vec(&completion)
    };
    // The wire types hold nothing that JSON cannot.
    written.unwrap_or_default()
}
