//! The HTTP surface.

mod chat;
mod dials;
mod models;
mod sim;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::DefaultBodyLimit;
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Router, http::Method};
use http::header::{AUTHORIZATION, CONTENT_TYPE, PROXY_AUTHORIZATION};
use http::{HeaderMap, StatusCode, Uri};
use uuid::Uuid;

use crate::request::Refusal;
use crate::simulator::Simulator;

/// Larger requests are refused with 413.
const LARGEST_BODY: usize = 20 * 1024 * 1024;

pub(crate) fn router(simulator: Arc<Simulator>) -> Router {
    Router::new()
        .route("/openai/v1/models", get(models::list))
        .route("/openai/v1/models/{*id}", get(models::retrieve))
        .route("/openai/v1/chat/completions", post(chat::completions))
        .nest("/_sim", sim::router())
        .fallback(unknown)
        .method_not_allowed_fallback(unknown)
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .with_state(simulator)
}

async fn unknown(method: Method, uri: Uri) -> Response {
    refused(&Refusal::unknown_url(method.as_str(), uri.path()), &new_request_id())
}

/// Any key does, as long as there is one.
fn authorize(headers: &HeaderMap) -> Result<(), Refusal> {
    let value = headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    match value.split_once(' ') {
        Some((scheme, key)) if scheme.eq_ignore_ascii_case("bearer") && !key.trim().is_empty() => Ok(()),
        _ => Err(Refusal::unauthorized()),
    }
}

/// What the journal keeps of the headers: no key.
fn kept(headers: &HeaderMap) -> std::collections::BTreeMap<String, String> {
    headers
        .iter()
        .filter(|(name, _)| ![AUTHORIZATION, PROXY_AUTHORIZATION].contains(name))
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect()
}

fn path_of(uri: &Uri) -> String {
    uri.path_and_query()
        .map_or_else(|| uri.path().to_owned(), ToString::to_string)
}

fn new_request_id() -> String {
    let id = Uuid::now_v7().simple().to_string();
    format!("req_01{}", &id[6..])
}

fn refused(refusal: &Refusal, request_id: &str) -> Response {
    json_response(refusal.status, &refusal.body(), request_id)
}

fn json_response(status: u16, body: &impl serde::Serialize, request_id: &str) -> Response {
    let mut response = Response::new(Body::from(serde_json::to_vec(body).unwrap_or_default()));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    if let Ok(id) = http::HeaderValue::from_str(request_id) {
        headers.insert("x-request-id", id);
    }
    response
}
