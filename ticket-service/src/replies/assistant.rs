//! assistant-service, as a client sees it.

use std::time::Duration;

use deskhand_proto::assistant::v1::assistant_service_client::AssistantServiceClient;
use deskhand_proto::assistant::v1::{self as proto, StreamReplyRequest, StreamReplyResponse};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status, Streaming};
use tonic_types::StatusExt as _;

use super::reply::{Failure, Mode};
use crate::settings;
use crate::tickets::store::Conversation;
use crate::tickets::ticket::{AuthorKind, Category};

/// What assistant-service is given for one attempt.
pub(super) const ATTEMPT: Duration = Duration::from_secs(60);

/// A client that connects when it is first used, and again whenever it must.
#[derive(Clone)]
pub(super) struct Assistant(AssistantServiceClient<Channel>);

impl Assistant {
    /// A client of the assistant-service at the address set.
    pub(super) fn new(settings: &settings::Assistant) -> anyhow::Result<Self> {
        let channel = Endpoint::new(settings.url.clone())?
            .connect_timeout(Duration::from_secs(2))
            .http2_keep_alive_interval(Duration::from_secs(20))
            .keep_alive_timeout(Duration::from_secs(10))
            .tcp_nodelay(true)
            .connect_lazy();
        Ok(Self(AssistantServiceClient::new(channel)))
    }

    /// Asks for an answer. Dropping what is returned cuts the call to the model off.
    pub(super) async fn stream_reply(
        &self,
        mode: Mode,
        conversation: Conversation,
    ) -> Result<Streaming<StreamReplyResponse>, Status> {
        let mut request = Request::new(StreamReplyRequest {
            conversation: Some(conversation.into()),
            task: match mode {
                Mode::Post => proto::Task::Reply,
                Mode::Draft => proto::Task::Draft,
            }
            .into(),
            tokens_at_most: 0,
        });
        request.set_timeout(ATTEMPT);
        Ok(self.0.clone().stream_reply(request).await?.into_inner())
    }
}

/// What a status of assistant-service means for the reply.
pub(super) fn failure(status: &Status) -> Failure {
    let details = status.get_error_details();
    let reason = details.error_info().map_or("", |info| info.reason.as_str());
    match reason {
        "UPSTREAM_UNAVAILABLE" => Failure::UpstreamUnavailable,
        "UPSTREAM_RATE_LIMITED" => Failure::UpstreamRateLimited,
        "UPSTREAM_REJECTED" | "UPSTREAM_UNAUTHENTICATED" | "MODEL_UNAVAILABLE" => Failure::UpstreamRejected,
        "UPSTREAM_PROTOCOL" | "INVALID_OUTPUT" => Failure::UpstreamProtocol,
        "UPSTREAM_TIMED_OUT" | "DEADLINE_EXCEEDED" => Failure::TimedOut,
        "CONVERSATION_TOO_LONG" => Failure::ConversationTooLong,
        "ANSWER_TRUNCATED" => Failure::AnswerTruncated,
        "EMPTY_ANSWER" => Failure::EmptyAnswer,
        "CONTENT_FILTERED" => Failure::ContentFiltered,
        _ => match status.code() {
            // Without a reason it comes from the connection, not from assistant-service.
            Code::Unavailable | Code::Unknown | Code::Cancelled => Failure::UpstreamUnavailable,
            Code::DeadlineExceeded => Failure::TimedOut,
            _ => Failure::Internal,
        },
    }
}

impl From<Conversation> for proto::Conversation {
    fn from(conversation: Conversation) -> Self {
        use deskhand_proto::tickets::v1 as tickets;

        let category = match conversation.category {
            Category::General => tickets::TicketCategory::General,
            Category::Billing => tickets::TicketCategory::Billing,
            Category::Technical => tickets::TicketCategory::Technical,
            Category::Account => tickets::TicketCategory::Account,
        };
        let turn = |(kind, body): (AuthorKind, String)| proto::Turn {
            author_kind: tickets::AuthorKind::from(kind).into(),
            body,
            internal: false,
        };
        Self {
            title: conversation.title,
            description: conversation.description,
            category: category.into(),
            turns: conversation.turns.into_iter().map(turn).collect(),
            language: String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use service_kit::refusal::Refusal;

    use super::*;

    #[test]
    fn reasons_beat_codes() {
        let told = Status::from(Refusal::new(Code::Unavailable, "UPSTREAM_PROTOCOL", ""));
        assert_eq!(failure(&told), Failure::UpstreamProtocol);
        assert_eq!(
            failure(&Status::unavailable("tcp connect error")),
            Failure::UpstreamUnavailable
        );
        assert_eq!(failure(&Status::internal("")), Failure::Internal);
    }
}
