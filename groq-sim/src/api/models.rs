//! `GET /openai/v1/models` and `GET /openai/v1/models/{id}`.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use http::{HeaderMap, Uri};
use serde_json::{Value, json};

use super::{authorize, json_response, kept, new_request_id, path_of, refused};
use crate::models::{self, Listed, MODELS};
use crate::request::Refusal;
use crate::simulator::Simulator;

pub(super) async fn list(State(simulator): State<Arc<Simulator>>, uri: Uri, headers: HeaderMap) -> Response {
    let answer = || {
        let listed = MODELS.iter().filter(|model| simulator.offers(model.id));
        Ok(json!({"object": "list", "data": listed.map(Listed::from).collect::<Vec<_>>()}))
    };
    respond(&simulator, &uri, &headers, answer)
}

/// Ids hold a slash.
pub(super) async fn retrieve(
    State(simulator): State<Arc<Simulator>>,
    Path(id): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let answer = || {
        let model = models::find(&id).filter(|model| simulator.offers(model.id));
        let model = model.ok_or_else(|| Refusal::model_not_found(&id))?;
        Ok(json!(Listed::from(model)))
    };
    respond(&simulator, &uri, &headers, answer)
}

fn respond(
    simulator: &Simulator,
    uri: &Uri,
    headers: &HeaderMap,
    answer: impl FnOnce() -> Result<Value, Refusal>,
) -> Response {
    simulator.journal.receive(path_of(uri), kept(headers), Value::Null);
    let request_id = new_request_id();
    match authorize(headers).and_then(|()| answer()) {
        Ok(body) => json_response(200, &body, &request_id),
        Err(refusal) => refused(&refusal, &request_id),
    }
}
