//! Requests to the provider.

use std::time::Duration;

use anyhow::Context as _;
use reqwest::header::{AUTHORIZATION, HeaderMap};
use reqwest::{Response, Url, redirect, retry};
use tokio::time::{Instant, timeout_at};

use super::call::Call;
use super::failure::{Failure, Kind, Phase};
use super::wire::{ChatRequest, Model, Models};
use crate::settings::{Limits, Provider};

/// The most of an error's body that is read.
const LONGEST_ERROR: usize = 64 * 1024;
/// The most of a list of models that is read; the provider's has about 20 KiB.
const LONGEST_LIST: usize = 1024 * 1024;

/// Speaks to one provider. Cheap to clone; clones share connections.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    completions: Url,
    models: Url,
    limits: Limits,
}

impl Client {
    /// A client with the address, key and time limits of `provider`.
    ///
    /// # Errors
    /// Where the key cannot stand in a header, or TLS cannot be set up.
    pub fn new(provider: &Provider) -> anyhow::Result<Self> {
        let mut headers = HeaderMap::new();
        if let Some(key) = provider.authorization()? {
            headers.insert(AUTHORIZATION, key);
        }
        let mut builder = reqwest::Client::builder();
        if provider.base_url.scheme() == "http" {
            // Nothing to verify: so none of the system's certificates are needed or loaded.
            builder = builder.tls_certs_only([]);
        }
        let http = builder
            .user_agent(concat!("deskhand/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers)
            // A connection of its own for each answer: closing it is what tells the provider to stop writing.
            .http1_only()
            .connect_timeout(provider.limits.connect)
            .tcp_nodelay(true)
            .pool_idle_timeout(Duration::from_secs(50))
            // Whether to ask again, and whom, is decided where the caller's time is known.
            .retry(retry::never())
            .redirect(redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .build()
            .context("the HTTP client cannot be set up")?;
        Ok(Self {
            http,
            completions: provider.url("chat/completions")?,
            models: provider.url("models")?,
            limits: provider.limits,
        })
    }

    /// Prepares a call; its request leaves, and its clock starts, when the first step is asked for. It is cut off at `ends` at
    /// the latest.
    pub fn call(&self, request: &ChatRequest<'_>, ends: Option<Instant>) -> Call {
        let tools = request.tools.iter().flatten();
        Call::new(
            self.http.post(self.completions.clone()).json(request),
            self.limits,
            request.stream,
            ends,
            tools.map(|tool| tool.function.name.to_owned()).collect(),
        )
    }

    /// The models that the provider offers now, by id.
    ///
    /// # Errors
    /// Where the provider cannot be asked, or answers with an error.
    pub async fn models(&self) -> Result<Vec<Model>, Failure> {
        let ends = Instant::now() + self.limits.total;
        let asked = timeout_at(ends, async {
            let response = self
                .http
                .get(self.models.clone())
                .send()
                .await
                .map_err(Failure::from_transport)?;
            let mut response = succeeded(response).await?;
            let (body, whole) = read_up_to(&mut response, LONGEST_LIST).await?;
            let list = serde_json::from_slice::<Models>(&body).ok().filter(|_| whole);
            list.ok_or(Failure::new(Kind::Protocol("the answer is not a list of models")))
        });
        let mut models = asked
            .await
            .map_err(|_| Failure::new(Kind::TimedOut(Phase::Total)))??
            .data;
        models.retain(|model| model.active != Some(false));
        models.sort_by(|one, other| one.id.cmp(&other.id));
        Ok(models)
    }
}

/// The response of a request that went well, or how it failed, its body read.
pub(super) async fn succeeded(mut response: Response) -> Result<Response, Failure> {
    if response.status().is_success() {
        return Ok(response);
    }
    // What an error's body would have said is lost with its connection; the status is not.
    let (body, _) = read_up_to(&mut response, LONGEST_ERROR).await.unwrap_or_default();
    Err(Failure::from_response(response.status(), response.headers(), &body))
}

/// A success that is not an event stream: an error in disguise, or nothing that is understood.
pub(super) async fn not_a_stream(mut response: Response) -> Failure {
    let (body, _) = read_up_to(&mut response, LONGEST_ERROR).await.unwrap_or_default();
    match serde_json::from_slice::<super::wire::ErrorBody>(&body) {
        Ok(told) => Failure::from_stream(told.error),
        Err(_) => Failure::new(Kind::Protocol("the answer is not an event stream")),
    }
}

/// The body's first `limit` bytes, and whether that is all of it.
pub(super) async fn read_up_to(response: &mut Response, limit: usize) -> Result<(Vec<u8>, bool), Failure> {
    let mut body = Vec::new();
    while let Some(bytes) = response.chunk().await.map_err(Failure::from_transport)? {
        let room = limit - body.len();
        if bytes.len() > room {
            body.extend(bytes.iter().take(room));
            return Ok((body, false));
        }
        body.extend_from_slice(&bytes);
    }
    Ok((body, true))
}
