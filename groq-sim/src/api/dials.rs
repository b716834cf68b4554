//! `/_sim/…`: limits, models, languages, scripts and the clock.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::sim::{Mistake, status_of};
use crate::answer::Language;
use crate::control::Control;
use crate::models::{Availability, MODELS};
use crate::scenario::Scenario;
use crate::scenario::script::Script;
use crate::settings::Limits;
use crate::simulator::Simulator;

type Answer = Result<Json<Value>, Mistake>;
type Sent<T> = Result<Json<T>, JsonRejection>;

pub(super) fn router() -> Router<Arc<Simulator>> {
    Router::new()
        .route("/limits", get(limits).put(set_limits))
        .route("/model-scenario", put(set_model_scenario))
        .route("/list-scenario", put(set_list_scenario))
        .route("/availability", put(set_availability))
        .route("/language", put(set_language))
        .route("/model-speed", put(set_model_speed))
        .route("/advance", post(advance))
        .route("/scripts", get(scripts))
        .route("/scripts/{name}", put(set_script))
}

/// For each model: its limits, and what is used of them.
async fn limits(State(control): State<Control>) -> Json<Value> {
    let each = MODELS.iter().map(|model| {
        let standing = json!({"limits": control.limits(model.id), "used": control.used(model.id)});
        (model.id, standing)
    });
    Json(json!({"models": each.collect::<BTreeMap<_, _>>()}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ForModel<T> {
    /// Left out: for all models.
    model: Option<String>,
    /// `null` takes a model's own away.
    limits: Option<T>,
}

async fn set_limits(State(control): State<Control>, body: Sent<ForModel<Limits>>) -> Answer {
    match body?.0 {
        ForModel {
            model: Some(model),
            limits,
        } => control.set_model_limits(&model, limits),
        ForModel {
            model: None,
            limits: Some(limits),
        } => control.set_limits(limits),
        ForModel { .. } => return Err(Mistake("limits for all models cannot be null".to_owned())),
    }
    Ok(limits(State(control)).await)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ModelScenario {
    model: String,
    scenario: Option<Scenario>,
}

async fn set_model_scenario(State(control): State<Control>, body: Sent<ModelScenario>) -> Answer {
    let ModelScenario { model, scenario } = body?.0;
    control.set_model_scenario(&model, scenario);
    Ok(Json(status_of(&control)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListScenario {
    scenario: Option<Scenario>,
}

async fn set_list_scenario(State(control): State<Control>, body: Sent<ListScenario>) -> Answer {
    control.set_list_scenario(body?.0.scenario);
    Ok(Json(status_of(&control)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ModelAvailability {
    model: String,
    availability: Option<Availability>,
}

async fn set_availability(State(control): State<Control>, body: Sent<ModelAvailability>) -> Answer {
    let ModelAvailability { model, availability } = body?.0;
    control.set_availability(&model, availability);
    Ok(Json(status_of(&control)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AnswerLanguage {
    language: Option<Language>,
}

async fn set_language(State(control): State<Control>, body: Sent<AnswerLanguage>) -> Answer {
    control.set_answer_language(body?.0.language);
    Ok(Json(status_of(&control)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ModelSpeed {
    on: bool,
}

async fn set_model_speed(State(control): State<Control>, body: Sent<ModelSpeed>) -> Answer {
    control.set_model_speed(body?.0.on);
    Ok(Json(status_of(&control)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    seconds: f64,
}

async fn advance(State(control): State<Control>, body: Sent<Advance>) -> Answer {
    let by = Duration::try_from_secs_f64(body?.0.seconds).map_err(|error| Mistake(error.to_string()))?;
    control.advance(by);
    Ok(limits(State(control)).await)
}

async fn scripts(State(control): State<Control>) -> Json<Value> {
    Json(json!({"scripts": control.scripts()}))
}

async fn set_script(State(control): State<Control>, Path(name): Path<String>, body: Sent<Script>) -> Answer {
    control
        .set_script(&name, body?.0)
        .map_err(|bad| Mistake(bad.to_string()))?;
    Ok(scripts(State(control)).await)
}
