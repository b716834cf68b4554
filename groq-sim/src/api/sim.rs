//! `/_sim/…`: to control the simulator, and to see what happened.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{FromRef, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::dials;
use crate::books::Books;
use crate::control::Control;
use crate::scenario::catalog::COMMON;
use crate::scenario::{Scenario, catalog};
use crate::settings::Pace;
use crate::simulator::Simulator;

impl FromRef<Arc<Simulator>> for Control {
    fn from_ref(simulator: &Arc<Simulator>) -> Self {
        Self::new(Arc::clone(simulator))
    }
}

pub(super) fn router() -> Router<Arc<Simulator>> {
    Router::new()
        .route("/", get(status))
        .route("/scenarios", get(scenarios))
        .route("/scenario", put(set_scenario))
        .route("/next", post(next))
        .route("/pace", put(set_pace))
        .route("/answer", put(set_answer))
        .merge(dials::router())
        .route("/reset", post(reset))
        .route("/books", get(books))
        .route("/requests", get(requests))
        .route("/calls", get(calls))
}

async fn status(State(control): State<Control>) -> Json<Value> {
    Json(status_of(&control))
}

async fn scenarios() -> Json<Value> {
    Json(json!({"scenarios": catalog(), "common": COMMON}))
}

async fn set_scenario(
    State(control): State<Control>,
    body: Result<Json<Scenario>, JsonRejection>,
) -> Result<Json<Value>, Mistake> {
    control.set_scenario(body?.0);
    Ok(Json(status_of(&control)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Next {
    #[serde(default = "once")]
    times: u32,
    scenario: Scenario,
}

fn once() -> u32 {
    1
}

async fn next(State(control): State<Control>, body: Result<Json<Next>, JsonRejection>) -> Result<Json<Value>, Mistake> {
    let Next { times, scenario } = body?.0;
    control.next(times, scenario);
    Ok(Json(status_of(&control)))
}

async fn set_pace(
    State(control): State<Control>,
    body: Result<Json<Pace>, JsonRejection>,
) -> Result<Json<Value>, Mistake> {
    control.set_pace(body?.0);
    Ok(Json(status_of(&control)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AnswerLength {
    tokens: Option<u32>,
}

async fn set_answer(
    State(control): State<Control>,
    body: Result<Json<AnswerLength>, JsonRejection>,
) -> Result<Json<Value>, Mistake> {
    control.set_answer_tokens(body?.0.tokens);
    Ok(Json(status_of(&control)))
}

async fn reset(State(control): State<Control>) -> Json<Value> {
    control.reset();
    Json(status_of(&control))
}

async fn books(State(control): State<Control>) -> Json<Books> {
    Json(control.books())
}

async fn requests(State(control): State<Control>) -> Json<Value> {
    Json(json!({"requests": control.requests()}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Waiting {
    /// Answer when so many calls have ended.
    #[serde(default)]
    ended: usize,
    /// Or after this time, with what there is then.
    #[serde(default = "five_seconds")]
    within_ms: u64,
}

fn five_seconds() -> u64 {
    5000
}

async fn calls(
    State(control): State<Control>,
    query: Result<Query<Waiting>, QueryRejection>,
) -> Result<Json<Value>, Mistake> {
    let Waiting { ended, within_ms } = query?.0;
    let waited = control.wait_for_ended(ended, Duration::from_millis(within_ms)).await;
    Ok(Json(json!({"calls": waited.unwrap_or_else(|| control.calls())})))
}

pub(super) fn status_of(control: &Control) -> Value {
    json!({
        "scenario": control.scenario(),
        "queued": control.queued(),
        "pace": control.pace(),
        "model_speed": control.model_speed(),
        "answer_tokens": control.answer_tokens(),
        "answer_language": control.answer_language(),
        "requests": control.requests().len(),
        "calls": control.calls().len(),
    })
}

/// A control request that was not understood: 400 and a sentence.
pub(super) struct Mistake(pub(super) String);

impl From<JsonRejection> for Mistake {
    fn from(rejection: JsonRejection) -> Self {
        Self(rejection.body_text())
    }
}

impl From<QueryRejection> for Mistake {
    fn from(rejection: QueryRejection) -> Self {
        Self(rejection.body_text())
    }
}

impl IntoResponse for Mistake {
    fn into_response(self) -> Response {
        (StatusCode::BAD_REQUEST, Json(json!({"error": self.0}))).into_response()
    }
}
