//! `POST /openai/v1/chat/completions`.

use std::sync::Arc;

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
use crate::reply::{Bill, Envelope, Hold, Parts, Plan, Player};
use crate::request::{self, ChatRequest, Refusal};
use crate::scenario::Scenario;
use crate::server::Reset;
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
        Some(Ok(json)) => accept(&simulator, &headers, &json, &entry),
        Some(Err(error)) => Err(Refusal::invalid(&format!("the body is not JSON: {error}"), None)),
        None => Err(Refusal::new(
            413,
            "invalid_request_error",
            Some("request_too_large"),
            "Request Entity Too Large",
        )),
    });
    let plan = match accepted {
        Ok((request, scenario)) => plan(&simulator, &request_id, &request, &scenario),
        Err(refusal) => Plan::refuse(&refusal, &request_id),
    };

    // A client that leaves while this waits drops the whole future, and with it the journal's entry.
    match plan.hold {
        Hold::For(duration) if duration.is_zero() => {}
        Hold::For(duration) => tokio::time::sleep(duration).await,
        Hold::Forever => std::future::pending().await,
    }
    entry.update(|call| call.status = Some(plan.status));
    respond(plan, entry, reset)
}

fn accept(
    simulator: &Simulator,
    headers: &HeaderMap,
    json: &Value,
    entry: &Entry,
) -> Result<(ChatRequest, Scenario), Refusal> {
    entry.update(|call| {
        call.model = json["model"].as_str().unwrap_or_default().to_owned();
        call.stream = json["stream"].as_bool().unwrap_or_default();
    });
    let request = request::parse(json)?;
    let scenario = simulator.choose(&request, headers)?;
    entry.update(|call| call.scenario = scenario.to_string());
    Ok((request, scenario))
}

fn plan(simulator: &Simulator, request_id: &str, request: &ChatRequest, scenario: &Scenario) -> Plan {
    let prompt = Prompt::of(request);
    if u64::from(prompt.tokens) > request.model.context_window {
        return Plan::refuse(&Refusal::context_length(), request_id);
    }
    let (pace, answer_tokens) = {
        let dials = simulator.dials();
        (scenario.pace(dials.pace), dials.answer_tokens)
    };
    let answer = compose(request, &prompt, scenario, answer_tokens);
    let envelope = Envelope {
        completion_id: format!("chatcmpl-{}", Uuid::new_v4()),
        request_id: request_id.to_owned(),
        created: unix_ms() / 1000,
        fingerprint: format!("fp_{:010x}", prompt_independent(request.model.id)),
        seed: request.seed.unwrap_or((prompt.digest % 2_000_000_000) as i64),
    };
    let cached_tokens = simulator.prompts.look_up(request, &prompt);
    Plan::make(&Parts {
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
        limits: simulator.settings.limits,
    })
}

/// The fingerprint of a model's imagined deployment.
fn prompt_independent(model: &str) -> u64 {
    model
        .bytes()
        .fold(7, |sum, byte| (sum * 31 + u64::from(byte)) % (1 << 40))
}

fn respond(plan: Plan, entry: Entry, reset: Reset) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::from_u16(plan.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in &plan.headers {
        response.headers_mut().insert(name, value.clone());
    }
    *response.body_mut() = Body::new(Player::new(plan, entry, reset));
    response
}
