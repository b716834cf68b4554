//! Calls to the provider, as callers are told of them: in streams, in responses, and where a method fails, among the
//! details of its status.

use deskhand_proto::assistant::v1 as proto;
use deskhand_proto::assistant::v1::stream_reply_response::{CallEnded, CallStarted};
use prost::Message as _;
use tonic::Status;
use tonic_types::pb;

use crate::groq::engine::{CallRecord, Ended, Outcome, Started};
use crate::prompt::Prompt;
use crate::tasks::whole::Undone;
use crate::usage::{Source, Tokens};

/// How `google.protobuf.Any` names the calls among a status's details.
pub const TYPE_URL: &str = "type.googleapis.com/deskhand.assistant.v1.ModelCalls";

pub(crate) fn started(call: Started, prompt: &Prompt) -> CallStarted {
    CallStarted {
        call_no: call.call_no,
        model: call.model.to_string(),
        prompt_id: prompt.id.to_owned(),
        prompt_version: prompt.version.clone(),
        input_tokens_at_most: signed(call.input_tokens_at_most),
        output_tokens_at_most: signed(call.output_tokens_at_most),
    }
}

pub(crate) fn ended(call: Ended) -> CallEnded {
    let outcome = match call.outcome {
        Outcome::Completed => proto::CallOutcome::Completed,
        Outcome::Failed => proto::CallOutcome::Failed,
        Outcome::CutShort => proto::CallOutcome::CutShort,
    };
    let source = match call.source {
        Source::Reported => proto::UsageSource::Reported,
        Source::Estimated => proto::UsageSource::Estimated,
    };
    CallEnded {
        call_no: call.call_no,
        outcome: outcome.into(),
        usage: Some(token_usage(call.usage)),
        upstream_id: call.upstream_id,
        // The limits of a call make longer ones impossible.
        time_to_first_token: call.time_to_first_text.and_then(|time| time.try_into().ok()),
        duration: call.duration.try_into().ok(),
        usage_source: source.into(),
        cost_micro_usd: signed(call.cost_micro_usd),
        model: call.model.to_string(),
    }
}

pub(crate) fn made(calls: Vec<CallRecord>, prompt: &Prompt) -> Vec<proto::ModelCall> {
    let call = |call: CallRecord| proto::ModelCall {
        started: Some(started(call.started, prompt)),
        ended: Some(ended(call.ended)),
    };
    calls.into_iter().map(call).collect()
}

/// How a failed task is told: as any error, and with its calls.
pub(crate) fn status(undone: Undone) -> Status {
    let status = Status::from(undone.error);
    match undone.prompt {
        Some(prompt) if !undone.calls.is_empty() => with_calls(status, made(undone.calls, &prompt)),
        _ => status,
    }
}

/// Adds the calls to the details of `status`, beside what is there.
fn with_calls(status: Status, calls: Vec<proto::ModelCall>) -> Status {
    // Where there is nothing yet, and for whatever is not of this form, which we never make: a new one.
    let mut told = pb::Status::decode(status.details()).unwrap_or_default();
    told.code = status.code() as i32;
    status.message().clone_into(&mut told.message);
    told.details.push(prost_types::Any {
        type_url: TYPE_URL.to_owned(),
        value: proto::ModelCalls { calls }.encode_to_vec(),
    });
    Status::with_details_and_metadata(
        status.code(),
        status.message(),
        told.encode_to_vec().into(),
        status.metadata().clone(),
    )
}

fn token_usage(tokens: Tokens) -> proto::TokenUsage {
    proto::TokenUsage {
        input_tokens: signed(tokens.input),
        cached_input_tokens: signed(tokens.cached_input),
        output_tokens: signed(tokens.output),
        reasoning_tokens: signed(tokens.reasoning),
    }
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use service_kit::refusal::Refusal;
    use tonic::Code;
    use tonic_types::StatusExt as _;

    use super::*;

    #[test]
    fn calls_stand_beside_the_other_details() {
        let refusal = Refusal::new(Code::ResourceExhausted, "UPSTREAM_RATE_LIMITED", "Later.");
        let mut status = Status::from(refusal.retry_after(Duration::from_secs(3)));
        status.metadata_mut().insert("kept", "yes".parse().unwrap());
        let calls = vec![proto::ModelCall::default(); 2];
        let status = with_calls(status, calls.clone());

        assert_eq!((status.code(), status.message()), (Code::ResourceExhausted, "Later."));
        assert_eq!(status.metadata().get("kept").unwrap(), "yes");
        let details = status.get_error_details();
        assert_eq!(details.error_info().unwrap().reason, "UPSTREAM_RATE_LIMITED");
        assert_eq!(details.retry_info().unwrap().retry_delay, Some(Duration::from_secs(3)));
        let told = pb::Status::decode(status.details()).unwrap();
        let any = told.details.iter().find(|any| any.type_url == TYPE_URL).unwrap();
        assert_eq!(proto::ModelCalls::decode(any.value.as_slice()).unwrap().calls, calls);

        let bare = with_calls(Status::unavailable("x"), calls);
        assert_eq!(
            pb::Status::decode(bare.details()).unwrap().code,
            Code::Unavailable as i32
        );
    }
}
