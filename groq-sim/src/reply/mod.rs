//! How an answer, or a failure, goes onto the wire: a plan of steps, made before the first byte is sent, and a body
//! that plays it.

mod bill;
mod chunks;
mod completion;
mod failure;
mod framing;
mod go_duration;
mod headers;
mod player;
mod stream;

use std::time::Duration;

use http::{HeaderName, HeaderValue};

use crate::answer::Answer;
use crate::request::{ChatRequest, Refusal};
use crate::scenario::{Fault, Scenario};
use crate::settings::{Limits, Pace};
pub(crate) use bill::Bill;
use framing::Step;
pub(crate) use player::Player;

/// What names a call on the wire.
#[derive(Debug)]
pub(crate) struct Envelope {
    pub(crate) completion_id: String,
    pub(crate) request_id: String,
    pub(crate) created: u64,
    pub(crate) fingerprint: String,
    pub(crate) seed: i64,
}

/// Everything that a reply is made of.
pub(crate) struct Parts<'a> {
    pub(crate) envelope: &'a Envelope,
    pub(crate) request: &'a ChatRequest,
    pub(crate) answer: &'a Answer,
    pub(crate) scenario: &'a Scenario,
    pub(crate) bill: Bill,
    pub(crate) pace: Pace,
    pub(crate) limits: Limits,
}

/// A reply, ready to be sent.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) hold: Hold,
    pub(crate) status: u16,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    /// The body's length where it is told beforehand; else the body is chunked.
    length: Option<u64>,
    steps: Vec<Step>,
    /// What the steps are counted towards; `None` for a failure.
    bill: Option<Bill>,
}

/// What happens before the headers.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Hold {
    For(Duration),
    Forever,
}

impl Plan {
    pub(crate) fn make(parts: &Parts<'_>) -> Self {
        let mut plan = if let Some(failure) = failure::of(parts) {
            failure
        } else if parts.request.stream {
            stream::plan(parts)
        } else {
            completion::plan(parts)
        };
        if parts.scenario.fault == Fault::SilentBeforeHeaders {
            plan.hold = Hold::Forever;
        }
        plan
    }

    /// A refusal for a request that never came as far as a scenario.
    pub(crate) fn refuse(refusal: &Refusal, request_id: &str) -> Self {
        failure::refuse(refusal, headers::request_id(request_id))
    }
}
