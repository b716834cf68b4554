//! The yardstick of assistant-service: a gRPC service that hands the provider's bytes on and looks at nothing.

use std::pin::Pin;

use deskhand_proto::assistant::v1::assistant_service_client::AssistantServiceClient;
use deskhand_proto::assistant::v1::assistant_service_server::{AssistantService, AssistantServiceServer};
use deskhand_proto::assistant::v1::stream_reply_response::{Delta, Event};
use deskhand_proto::assistant::v1::{
    ListModelsRequest, ListModelsResponse, ListPromptsRequest, ListPromptsResponse, RenderPromptRequest,
    RenderPromptResponse, RewriteRequest, RewriteResponse, StreamReplyRequest, StreamReplyResponse, SummarizeRequest,
    SummarizeResponse, TriageRequest, TriageResponse,
};
use futures_util::{Stream, StreamExt as _};
use tonic::transport::{Channel, Server};
use tonic::{Request, Response, Status};

/// Where it listens. A process that has this variable is the relay.
pub(crate) const LISTEN: &str = "BENCH_RELAY_LISTEN";
/// Whom it asks.
pub(crate) const UPSTREAM: &str = "BENCH_RELAY_UPSTREAM";
/// Another relay, which is asked instead of the provider.
pub(crate) const RELAY: &str = "BENCH_RELAY_RELAY";
/// What it sends, whatever it is asked.
pub(crate) const BODY: &str = "BENCH_RELAY_BODY";

enum Relay {
    /// Asks the provider.
    Provider {
        http: reqwest::Client,
        upstream: String,
        body: String,
    },
    /// Asks another relay.
    Relay(AssistantServiceClient<Channel>),
}

/// Serves until it is killed.
pub(crate) async fn serve(listen: &str) -> anyhow::Result<()> {
    let relay = match std::env::var(RELAY) {
        Ok(other) => Relay::Relay(AssistantServiceClient::new(
            Channel::from_shared(other)?.tcp_nodelay(true).connect_lazy(),
        )),
        Err(_) => Relay::Provider {
            http: reqwest::Client::new(),
            upstream: std::env::var(UPSTREAM)?,
            body: std::env::var(BODY)?,
        },
    };
    let server = Server::builder()
        .tcp_nodelay(true)
        .add_service(AssistantServiceServer::new(relay));
    Ok(server.serve(listen.parse()?).await?)
}

/// A streamed answer of the provider.
pub(crate) async fn ask(http: &reqwest::Client, upstream: &str, body: &str) -> anyhow::Result<reqwest::Response> {
    let request = http
        .post(format!("{upstream}/openai/v1/chat/completions"))
        .bearer_auth("bench");
    let request = request.header("content-type", "application/json").body(body.to_owned());
    Ok(request.send().await?.error_for_status()?)
}

#[tonic::async_trait]
impl AssistantService for Relay {
    type StreamReplyStream = Pin<Box<dyn Stream<Item = Result<StreamReplyResponse, Status>> + Send>>;

    async fn stream_reply(
        &self,
        request: Request<StreamReplyRequest>,
    ) -> Result<Response<Self::StreamReplyStream>, Status> {
        let failed = |error: &dyn std::fmt::Display| Status::unavailable(error.to_string());
        let response = match self {
            Self::Provider { http, upstream, body } => {
                ask(http, upstream, body).await.map_err(|error| failed(&error))?
            }
            Self::Relay(other) => {
                let stream = other.clone().stream_reply(request.into_inner()).await?.into_inner();
                return Ok(Response::new(Box::pin(stream)));
            }
        };
        let pieces = response.bytes_stream().map(move |bytes| {
            let text = String::from_utf8_lossy(&bytes.map_err(|error| failed(&error))?).into_owned();
            let event = Some(Event::Delta(Delta { text }));
            Ok(StreamReplyResponse { event })
        });
        Ok(Response::new(Box::pin(pieces)))
    }

    async fn summarize(&self, _: Request<SummarizeRequest>) -> Result<Response<SummarizeResponse>, Status> {
        Err(Status::unimplemented("a yardstick"))
    }

    async fn triage(&self, _: Request<TriageRequest>) -> Result<Response<TriageResponse>, Status> {
        Err(Status::unimplemented("a yardstick"))
    }

    async fn rewrite(&self, _: Request<RewriteRequest>) -> Result<Response<RewriteResponse>, Status> {
        Err(Status::unimplemented("a yardstick"))
    }

    async fn list_prompts(&self, _: Request<ListPromptsRequest>) -> Result<Response<ListPromptsResponse>, Status> {
        Err(Status::unimplemented("a yardstick"))
    }

    async fn render_prompt(&self, _: Request<RenderPromptRequest>) -> Result<Response<RenderPromptResponse>, Status> {
        Err(Status::unimplemented("a yardstick"))
    }

    async fn list_models(&self, _: Request<ListModelsRequest>) -> Result<Response<ListModelsResponse>, Status> {
        Err(Status::unimplemented("a yardstick"))
    }
}
