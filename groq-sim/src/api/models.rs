//! `GET /openai/v1/models` and `GET /openai/v1/models/{id}`.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, State};
use axum::response::Response;
use http::{HeaderMap, Uri};
use serde_json::{Value, json};

use super::chat::{self, Played};
use super::{authorize, kept, new_request_id, path_of};
use crate::answer::prompt::Prompt;
use crate::models::{self, Listed, MODELS};
use crate::reply::Plan;
use crate::request::{self, ChatRequest, Refusal};
use crate::server::Reset;
use crate::simulator::Simulator;

pub(super) async fn list(
    State(simulator): State<Arc<Simulator>>,
    Extension(reset): Extension<Reset>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let answer = || {
        let listed = MODELS.iter().filter(|model| simulator.offers(model.id));
        Ok(json!({"object": "list", "data": listed.map(Listed::from).collect::<Vec<_>>()}))
    };
    respond(&simulator, reset, &uri, &headers, answer).await
}

/// Ids hold a slash.
pub(super) async fn retrieve(
    State(simulator): State<Arc<Simulator>>,
    Extension(reset): Extension<Reset>,
    Path(id): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let answer = || {
        let model = models::find(&id).filter(|model| simulator.offers(model.id));
        let model = model.ok_or_else(|| Refusal::model_not_found(&id))?;
        Ok(json!(Listed::from(model)))
    };
    respond(&simulator, reset, &uri, &headers, answer).await
}

async fn respond(
    simulator: &Simulator,
    reset: Reset,
    uri: &Uri,
    headers: &HeaderMap,
    answer: impl FnOnce() -> Result<Value, Refusal>,
) -> Response {
    let id = simulator.journal.receive(path_of(uri), kept(headers), Value::Null);
    let request_id = new_request_id();
    let entry = simulator.journal.unlisted(id, request_id.clone());
    let plan = authorize(headers)
        .and_then(|()| stand_in())
        .and_then(|request| plan(simulator, headers, &request_id, &request, answer))
        .unwrap_or_else(|refusal| Plan::refuse(&refusal, &request_id));
    chat::hold(&plan, &entry).await;
    entry.update(|call| call.status = Some(plan.status));
    chat::respond(plan, entry, reset)
}

fn plan(
    simulator: &Simulator,
    headers: &HeaderMap,
    request_id: &str,
    request: &ChatRequest,
    answer: impl FnOnce() -> Result<Value, Refusal>,
) -> Result<Plan, Refusal> {
    let scenario = simulator.choose_for_list(request, headers)?;
    let body = answer()?.to_string();
    let played = Played {
        request_id,
        request,
        prompt: &Prompt::of(request),
        scenario: &scenario,
        limits: simulator.dials().limits,
        counted: None,
    };
    Ok(chat::plan(simulator, &played, |parts| {
        Plan::list(parts, body.as_bytes())
    }))
}

/// What scenarios take for the request: their words name its model.
fn stand_in() -> Result<ChatRequest, Refusal> {
    let model = MODELS.first().map_or("", |model| model.id);
    let body = json!({"model": model, "messages": [{"role": "user", "content": ""}]});
    request::parse(&body, &BTreeMap::new())
}
