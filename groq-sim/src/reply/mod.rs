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
mod script;
mod stream;

use std::time::Duration;

use http::{HeaderName, HeaderValue};

use crate::answer::Answer;
use crate::quota::{Over, Used};
use crate::request::{ChatRequest, Refusal};
use crate::scenario::script::Script;
use crate::scenario::{Fault, Scenario};
use crate::settings::{Limits, Pace};
use crate::wire::Usage;
pub(crate) use bill::Bill;
use bill::Generating;
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
    pub(crate) counted: Option<Counted>,
    /// What is played instead of an answer.
    pub(crate) script: Option<&'a Script>,
}

/// How a model's quota stands with this request in it; `None` where limits are not enforced.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counted {
    pub(crate) used: Used,
    /// The tokens that the request reserved, which are among those used.
    pub(crate) reserved: u64,
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
    /// What is generated during the hold.
    generating: Option<Generating>,
}

/// What happens before the headers.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Hold {
    For(Duration),
    Forever,
}

impl Plan {
    pub(crate) fn make(parts: &Parts<'_>) -> Self {
        Self::of(parts, || {
            if parts.request.stream {
                stream::plan(parts)
            } else {
                completion::plan(parts)
            }
        })
    }

    /// The list of models, as far as the scenario lets it be one.
    pub(crate) fn list(parts: &Parts<'_>, body: &[u8]) -> Self {
        Self::of(parts, || completion::list(parts, body))
    }

    fn of(parts: &Parts<'_>, well: impl FnOnce() -> Self) -> Self {
        let mut plan = match parts.script {
            Some(script) => script::plan(parts, script),
            None => failure::of(parts).unwrap_or_else(well),
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

    /// A refusal of a request that is over a limit.
    pub(crate) fn over_limit(over: &Over, limits: Limits, request: &ChatRequest, request_id: &str) -> Self {
        failure::over_limit(over, limits, request, request_id)
    }

    /// What a client that leaves during the hold, so long after it began, has caused.
    pub(crate) fn generated_after(&self, elapsed: Duration) -> Option<Usage> {
        if self.hold == Hold::Forever {
            return None;
        }
        self.generating?.after(elapsed, self.bill?)
    }
}
