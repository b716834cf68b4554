//! A server in ticket-service's place that is well, notes what it is asked, and answers what it is told to.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use http::HeaderMap;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Code, Status};

/// The server, until it is dropped.
pub(crate) struct Upstream {
    pub(crate) address: String,
    noted: Noted,
    /// Its own, so that connections end with it.
    serving: Option<Runtime>,
}

#[derive(Clone, Default)]
struct Noted {
    calls: Arc<Mutex<Vec<(String, HeaderMap)>>>,
    answer: Arc<Mutex<Option<Code>>>,
}

impl Upstream {
    /// On this address; port 0 takes a free one.
    pub(crate) fn on(address: &str) -> Self {
        let listener = std::net::TcpListener::bind(address).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let noted = Noted::default();
        let router = Router::new().fallback(note).with_state(noted.clone());
        let (_, health) = tonic_health::server::health_reporter();
        let routes = Routes::from(router).add_service(health);
        let serving = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        serving.spawn(async move {
            let incoming = TcpIncoming::from(TcpListener::from_std(listener).unwrap());
            Server::builder().add_routes(routes).serve_with_incoming(incoming).await
        });
        Self {
            address,
            noted,
            serving: Some(serving),
        }
    }

    /// From now on, every call ends so.
    pub(crate) fn answers(&self, code: Code) {
        *self.noted.answer.lock().unwrap() = Some(code);
    }

    /// What it was asked so far: paths and headers.
    pub(crate) fn calls(&self) -> Vec<(String, HeaderMap)> {
        self.noted.calls.lock().unwrap().clone()
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.serving.take().unwrap().shutdown_background();
    }
}

async fn note(State(noted): State<Noted>, request: Request) -> Response {
    let call = (request.uri().path().to_owned(), request.headers().clone());
    noted.calls.lock().unwrap().push(call);
    let code = noted.answer.lock().unwrap().unwrap_or(Code::NotFound);
    Status::new(code, "as it was told").into_http::<axum::body::Body>()
}
