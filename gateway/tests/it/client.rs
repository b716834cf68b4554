//! A client that speaks plain HTTP and JSON, as curl does.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};

use crate::system::{PATIENCE, System};

pub(crate) const PASSWORD: &str = "correct horse battery";

static NEXT: AtomicU32 = AtomicU32::new(1);

/// Someone who calls; nobody in particular before they log in.
#[derive(Clone)]
pub(crate) struct Client {
    base: String,
    /// What it calls, kept alive.
    _system: Option<Arc<System>>,
    http: reqwest::Client,
    pub(crate) token: String,
    pub(crate) email: String,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Client {
    /// Nobody.
    pub(crate) fn of(system: &Arc<System>) -> Self {
        Self {
            _system: Some(system.clone()),
            ..Self::at(system.url(""))
        }
    }

    /// Nobody, at another gateway.
    pub(crate) fn at(base: String) -> Self {
        Self {
            base,
            _system: None,
            http: http(PATIENCE),
            token: String::new(),
            email: String::new(),
        }
    }

    /// A new customer, logged in.
    pub(crate) async fn customer(system: &Arc<System>) -> Self {
        Self::of(system).signed_up().await
    }

    /// The same as a new customer, logged in.
    pub(crate) async fn signed_up(mut self) -> Self {
        self.email = format!("customer{}@example.com", NEXT.fetch_add(1, Ordering::Relaxed));
        let new = json!({"email": self.email, "password": PASSWORD, "display_name": "Ann Example"});
        self.post("/v1/auth/signup", &new).await.ok();
        self.log_in(PASSWORD).await;
        self
    }

    /// The same, who waits longer for the end of an answer.
    pub(crate) fn waiting(self, patience: Duration) -> Self {
        Self {
            http: http(patience),
            ..self
        }
    }

    /// The admin.
    pub(crate) async fn admin(system: &Arc<System>) -> Self {
        let mut client = Self::of(system);
        let (email, password) = system.admin();
        client.email = email.to_owned();
        client.log_in(password).await;
        client
    }

    async fn log_in(&mut self, password: &str) {
        let credentials = json!({"email": self.email, "password": password});
        let answer = self.post("/v1/auth/login", &credentials).await.ok();
        self.token = answer["access_token"].as_str().unwrap().to_owned();
    }

    /// The same, with another token.
    pub(crate) fn with_token(&self, token: &str) -> Self {
        Self {
            token: token.to_owned(),
            ..self.clone()
        }
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        if self.token.is_empty() {
            request
        } else {
            request.bearer_auth(&self.token)
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        Answer::of(self.request(Method::GET, path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::POST, path, body.to_string()).await
    }

    /// Any text as JSON.
    pub(crate) async fn send(&self, method: Method, path: &str, body: impl Into<reqwest::Body>) -> Answer {
        let request = self.request(method, path).header("content-type", "application/json");
        Answer::of(request.body(body)).await
    }

    /// A new ticket's id.
    pub(crate) async fn ticket(&self, description: &str) -> String {
        let new = json!({"title": "The printer is on fire", "description": description});
        let answer = self.post("/v1/tickets", &new).await.ok();
        answer["ticket"]["id"].as_str().unwrap().to_owned()
    }

    /// Begins to read a stream.
    pub(crate) async fn stream(&self, method: Method, path: &str) -> Stream {
        self.stream_of(method, path, &json!({})).await
    }

    /// The same of a request with a body, where the method is POST.
    pub(crate) async fn stream_of(&self, method: Method, path: &str, body: &Value) -> Stream {
        let stream = self.open(method, path, body).await;
        stream.unwrap_or_else(|| panic!("{path}: the service is away"))
    }

    /// The same; `None` where the service is away.
    pub(crate) async fn open(&self, method: Method, path: &str, body: &Value) -> Option<Stream> {
        let mut request = self.request(method.clone(), path);
        if method == Method::POST {
            request = request.json(body);
        }
        let response = request.send().await.unwrap();
        if response.status() == StatusCode::SERVICE_UNAVAILABLE {
            return None;
        }
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        assert_eq!(response.headers()["content-type"], "text/event-stream", "{path}");
        Some(Stream {
            response,
            rest: Vec::new(),
        })
    }
}

fn http(patience: Duration) -> reqwest::Client {
    reqwest::Client::builder().timeout(patience).build().unwrap()
}

impl Answer {
    pub(crate) async fn of(request: reqwest::RequestBuilder) -> Self {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let text = response.text().await.unwrap();
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Self { status, headers, body }
    }

    /// What was answered, which has to be good.
    #[track_caller]
    pub(crate) fn ok(self) -> Value {
        assert_eq!(self.status, StatusCode::OK, "{}", self.body);
        assert_eq!(self.headers["content-type"], "application/json");
        self.body
    }

    /// The reason of an error, all of whose form is checked.
    #[track_caller]
    pub(crate) fn reason(&self) -> &str {
        assert!(self.status.as_u16() >= 400, "{self:?}");
        assert_eq!(self.headers["content-type"], "application/json", "{self:?}");
        assert!(self.headers.contains_key("x-request-id"), "{self:?}");
        let error = self.body.as_object().unwrap_or_else(|| panic!("no object: {self:?}"));
        assert_eq!(
            error.keys().collect::<Vec<_>>(),
            ["code", "details", "message"],
            "{self:?}"
        );
        assert!((1..=16).contains(&error["code"].as_u64().unwrap()), "{self:?}");
        assert!(!error["message"].as_str().unwrap().is_empty(), "{self:?}");
        let info = &error["details"][0];
        assert_eq!(info["@type"], "type.googleapis.com/google.rpc.ErrorInfo", "{self:?}");
        assert_eq!(info["domain"], "deskhand", "{self:?}");
        info["reason"].as_str().unwrap()
    }

    /// The fields that an error names.
    #[track_caller]
    pub(crate) fn fields(&self) -> Vec<&str> {
        let details = self.body["details"].as_array().unwrap();
        let bad = details
            .iter()
            .find(|detail| detail["@type"] == "type.googleapis.com/google.rpc.BadRequest");
        let violations = bad.unwrap_or_else(|| panic!("no fields: {self:?}"))["field_violations"]
            .as_array()
            .unwrap();
        violations
            .iter()
            .map(|violation| violation["field"].as_str().unwrap())
            .collect()
    }

    #[track_caller]
    pub(crate) fn assert_refused(&self, status: u16, reason: &str) {
        assert_eq!((self.status.as_u16(), self.reason()), (status, reason), "{self:?}");
    }
}

/// Server-sent events.
pub(crate) struct Stream {
    response: Response,
    rest: Vec<u8>,
}

impl Stream {
    pub(crate) fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    /// The next event; `None` at the stream's end.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        let event = self.next_of_a_stream_that_may_break().await.unwrap();
        assert!(
            event.is_some() || self.rest.is_empty(),
            "half an event: {:?}",
            self.rest
        );
        event
    }

    /// The same, where the connection may break too.
    pub(crate) async fn next_of_a_stream_that_may_break(&mut self) -> reqwest::Result<Option<Value>> {
        loop {
            if let Some(end) = self.rest.windows(2).position(|two| two == b"\n\n") {
                let event: Vec<u8> = self.rest.drain(..end + 2).collect();
                let event = String::from_utf8(event).unwrap();
                let data = event
                    .trim_end()
                    .strip_prefix("data: ")
                    .unwrap_or_else(|| panic!("no data: {event:?}"));
                assert!(!data.contains('\n'), "one line each: {event:?}");
                return Ok(Some(serde_json::from_str::<Value>(data).unwrap()["event"].take()));
            }
            match self.response.chunk().await? {
                Some(chunk) => self.rest.extend_from_slice(&chunk),
                None => return Ok(None),
            }
        }
    }

    /// The text until the stream's end, whose pieces have to follow on `before` bytes, and the last event.
    pub(crate) async fn text(&mut self, before: usize) -> (String, Value) {
        let (mut text, mut last) = (String::new(), Value::Null);
        while let Some(event) = self.next().await {
            assert!(last.is_null(), "nothing comes after the end: {event}");
            match event.get("delta") {
                Some(delta) => {
                    assert_eq!(delta["offset"], (before + text.len()).to_string(), "{event}");
                    text.push_str(delta["text"].as_str().unwrap());
                }
                None => last = event,
            }
        }
        (text, last)
    }
}
