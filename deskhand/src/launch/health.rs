//! Whether a part answers.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tonic::transport::Endpoint;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

/// For one attempt.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// How a part shows that it is ready.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Sign {
    /// It accepts connections.
    Accepts(SocketAddr),
    /// It is a gateway, and ticket-service answers through it.
    Passes(SocketAddr),
    /// `grpc.health.v1` says SERVING of the whole server.
    Serves(SocketAddr),
}

impl Sign {
    /// One attempt; the error says what is missing.
    pub(crate) async fn is_given(self) -> Result<(), String> {
        match self {
            Self::Accepts(address) => TcpStream::connect(address)
                .await
                .map(|_| ())
                .map_err(|error| format!("{address}: {error}")),
            Self::Passes(address) => passes(address).await,
            Self::Serves(address) => serves(address).await,
        }
    }
}

async fn passes(address: SocketAddr) -> Result<(), String> {
    let head = async {
        let mut stream = TcpStream::connect(address).await?;
        let ask = format!("GET /.well-known/jwks.json HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
        stream.write_all(ask.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.take(4096).read_to_end(&mut answer).await?;
        std::io::Result::Ok(String::from_utf8_lossy(&answer).into_owned())
    };
    match tokio::time::timeout(ANSWER_WITHIN, head).await {
        Ok(Ok(answer)) if answer.starts_with("HTTP/1.1 200 ") => Ok(()),
        Ok(Ok(answer)) => Err(format!(
            "{address} answers {}",
            answer.lines().next().unwrap_or_default()
        )),
        Ok(Err(error)) => Err(format!("{address}: {error}")),
        Err(_) => Err(format!("{address} does not answer")),
    }
}

async fn serves(address: SocketAddr) -> Result<(), String> {
    let endpoint = Endpoint::new(format!("http://{address}")).map_err(|error| error.to_string())?;
    let channel = endpoint
        .connect_timeout(ANSWER_WITHIN)
        .timeout(ANSWER_WITHIN)
        .connect()
        .await;
    let channel = channel.map_err(|_| format!("{address} does not accept connections"))?;
    match HealthClient::new(channel).check(HealthCheckRequest::default()).await {
        Ok(answer) if answer.get_ref().status() == ServingStatus::Serving => Ok(()),
        Ok(answer) => Err(format!("its health is {}", answer.get_ref().status().as_str_name())),
        Err(status) => Err(format!(
            "its health check answers {:?}: {}",
            status.code(),
            status.message()
        )),
    }
}
