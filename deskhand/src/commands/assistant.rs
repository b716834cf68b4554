//! The way to assistant-service, for operators: it is asked directly, not through the gateway.

use std::time::Duration;

use deskhand_proto::assistant::v1::assistant_service_client::AssistantServiceClient;
use tokio::time::timeout;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Response, Status};

use crate::cli::{self, Global};
use crate::failure::Failure;
use crate::server::Server;
use crate::status::{is_broken, root_cause};

const TIME: Duration = Duration::from_secs(30);
const CONNECT: Duration = Duration::from_secs(5);
/// How long after a deadline the server's own word about it is still waited for.
const GRACE: Duration = Duration::from_millis(250);

pub(super) struct Assistant {
    server: Server,
    channel: Channel,
    time: Duration,
}

impl Assistant {
    /// Nothing is connected before the first call.
    pub(super) fn new(args: &cli::Assistant, global: &Global) -> Result<Self, Failure> {
        let server = Server::find_assistant(args.address.as_deref())?;
        let time = global.timeout.unwrap_or(TIME);
        let endpoint = Endpoint::from_shared(format!("http://{}", server.address))
            .map_err(|error| Failure::Local(error.to_string()))?;
        Ok(Self {
            channel: endpoint.connect_timeout(time.min(CONNECT)).connect_lazy(),
            server,
            time,
        })
    }

    /// Makes a call.
    pub(super) async fn call<Q, A>(
        &self,
        message: Q,
        method: impl AsyncFnOnce(AssistantServiceClient<Channel>, Request<Q>) -> Result<Response<A>, Status>,
    ) -> Result<A, Failure> {
        let mut request = Request::new(message);
        request.set_timeout(self.time);
        let client = AssistantServiceClient::new(self.channel.clone()).max_decoding_message_size(64 << 20);
        match timeout(self.time + GRACE, method(client, request)).await {
            Ok(Ok(answer)) => Ok(answer.into_inner()),
            Ok(Err(status)) if is_broken(&status) => {
                let address = &self.server.address;
                let sentence = format!("cannot reach assistant-service at {address}: {}", root_cause(&status));
                Err(Failure::status(Status::unavailable(sentence), &self.server))
            }
            Ok(Err(status)) => Err(Failure::status(status, &self.server)),
            Err(_) => Err(Failure::TimedOut),
        }
    }
}
