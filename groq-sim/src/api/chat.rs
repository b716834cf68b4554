//! `POST /openai/v1/chat/completions`.

use std::sync::Arc;
use std::time::Instant;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, StatusCode, Uri};
use serde_json::Value;
use uuid::Uuid;

use super::{authorize, kept, new_request_id, path_of};
use crate::answer::compose;
use crate::answer::prompt::Prompt;
use crate::journal::{Entry, unix_ms};
use crate::reply::{Bill, Counted, Envelope, Hold, Parts, Plan, Player};
use crate::request::{self, ChatRequest, Refusal};
use crate::scenario::{Fault, Scenario};
use crate::server::Reset;
use crate::settings::Limits;
use crate::simulator::Simulator;

pub(super) async fn completions(
    State(simulator): State<Arc<Simulator>>,
    Extension(reset): Extension<Reset>,
    uri: Uri,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let request_id = new_request_id();
    let parsed = body.as_ref().ok().map(|bytes| serde_json::from_slice::<Value>(bytes));
    let noted = match (&parsed, &body) {
        (Some(Ok(json)), _) => json.clone(),
        (_, Ok(bytes)) => Value::String(String::from_utf8_lossy(bytes).into_owned()),
        (_, Err(_)) => Value::Null,
    };
    let id = simulator.journal.receive(path_of(&uri), kept(&headers), noted);
    let entry = simulator.journal.open(id, request_id.clone());

    let accepted = authorize(&headers).and_then(|()| match parsed {
        Some(Ok(json)) => accept(&simulator, &json, &entry),
        Some(Err(error)) => Err(Refusal::invalid(&format!("the body is not JSON: {error}"), None)),
        None => Err(Refusal::new(
            413,
            "invalid_request_error",
            Some("request_too_large"),
            "Request Entity Too Large",
        )),
    });
    let plan = match accepted {
        Ok(request) => admit(&simulator, &headers, &request_id, &request, &entry),
        Err(refusal) => Plan::refuse(&refusal, &request_id),
    };
    hold(&plan, &entry).await;
    entry.update(|call| call.status = Some(plan.status));
    respond(plan, entry, reset)
}

fn accept(simulator: &Simulator, json: &Value, entry: &Entry) -> Result<ChatRequest, Refusal> {
    entry.update(|call| {
        call.model = json["model"].as_str().unwrap_or_default().to_owned();
        call.stream = json["stream"].as_bool().unwrap_or_default();
    });
    let availability = simulator.dials().availability.clone();
    request::parse(json, &availability)
}

/// Counts the request towards its model's quota, and only then lets a scenario have it.
fn admit(simulator: &Simulator, headers: &HeaderMap, request_id: &str, request: &ChatRequest, entry: &Entry) -> Plan {
    let prompt = Prompt::of(request);
    let limits = simulator.dials().limits_of(request.model.id);
    let asked = u64::from(prompt.tokens) + request.max_completion_tokens as u64;
    let counted = match simulator.ledger.admit(request.model.id, limits, asked) {
        Ok((reservation, used)) => {
            entry.hold(reservation);
            let reserved = asked;
            limits.enforce.then_some(Counted { used, reserved })
        }
        Err(over) => return Plan::over_limit(&over, limits, request, request_id),
    };
    let too_long = u64::from(prompt.tokens) > request.model.context_window;
    let chosen = if too_long {
        Err(Refusal::context_length())
    } else {
        simulator.choose(request, headers)
    };
    match chosen {
        Ok(scenario) => {
            entry.update(|call| call.scenario = scenario.to_string());
            let played = Played {
                request_id,
                request,
                prompt: &prompt,
                scenario: &scenario,
                limits,
                counted,
            };
            let plan = plan(simulator, &played, Plan::make);
            if matches!(plan.status, 413 | 429) {
                entry.release();
            }
            plan
        }
        Err(refusal) => {
            entry.release();
            Plan::refuse(&refusal, request_id)
        }
    }
}

/// A scenario, and the request that it meets.
pub(super) struct Played<'a> {
    pub(super) request_id: &'a str,
    pub(super) request: &'a ChatRequest,
    pub(super) prompt: &'a Prompt,
    pub(super) scenario: &'a Scenario,
    pub(super) limits: Limits,
    pub(super) counted: Option<Counted>,
}

pub(super) fn plan(simulator: &Simulator, played: &Played<'_>, make: impl FnOnce(&Parts<'_>) -> Plan) -> Plan {
    let Played {
        request_id,
        request,
        prompt,
        scenario,
        limits,
        counted,
    } = *played;
    let (pace, habits, script) = {
        let dials = simulator.dials();
        let script = match &scenario.fault {
            Fault::Script { of } => dials.scripts.get(of).cloned(),
            _ => None,
        };
        (scenario.pace(dials.pace_of(request.model)), dials.habits, script)
    };
    let answer = compose(request, prompt, scenario, habits);
    let envelope = Envelope {
        completion_id: format!("chatcmpl-{}", Uuid::new_v4()),
        request_id: request_id.to_owned(),
        created: unix_ms() / 1000,
        fingerprint: format!("fp_{:010x}", prompt_independent(request.model.id)),
        seed: request.seed.unwrap_or((prompt.digest % 2_000_000_000) as i64),
    };
    let cached_tokens = simulator.prompts.look_up(request, prompt, simulator.clock.now());
    make(&Parts {
        envelope: &envelope,
        request,
        answer: &answer,
        scenario,
        bill: Bill {
            prompt_tokens: prompt.tokens,
            cached_tokens,
            pace,
        },
        pace,
        limits,
        counted,
        script: script.as_deref(),
    })
}

/// Waits as long as the plan says before the headers. A client that leaves drops this, and with it everything.
pub(super) async fn hold(plan: &Plan, entry: &Entry) {
    let mut generating = Generating {
        plan,
        entry,
        since: Instant::now(),
        complete: false,
    };
    match plan.hold {
        Hold::For(duration) if duration.is_zero() => {}
        Hold::For(duration) => tokio::time::sleep(duration).await,
        Hold::Forever => std::future::pending().await,
    }
    generating.complete = true;
}

/// Bills what was generated until the client left.
struct Generating<'a> {
    plan: &'a Plan,
    entry: &'a Entry,
    since: Instant,
    complete: bool,
}

impl Drop for Generating<'_> {
    fn drop(&mut self) {
        if !self.complete {
            let usage = self.plan.generated_after(self.since.elapsed());
            self.entry.update(|call| call.bill(usage));
        }
    }
}

/// The fingerprint of a model's imagined deployment.
fn prompt_independent(model: &str) -> u64 {
    model
        .bytes()
        .fold(7, |sum, byte| (sum * 31 + u64::from(byte)) % (1 << 40))
}

pub(super) fn respond(plan: Plan, entry: Entry, reset: Reset) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::from_u16(plan.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in &plan.headers {
        response.headers_mut().insert(name, value.clone());
    }
    *response.body_mut() = Body::new(Player::new(plan, entry, reset));
    response
}
