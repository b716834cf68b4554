//! assistant-service, as a client sees it.

use std::time::Duration;

use deskhand_proto::assistant::v1::assistant_service_client::AssistantServiceClient;
use deskhand_proto::assistant::v1::{self as proto, Continuation, ModelCall, StreamReplyRequest, StreamReplyResponse};
use prost::Message as _;
use tokio::time::Instant;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status, Streaming};
use tonic_types::StatusExt as _;

use super::judgement::{Sentiment, Tone, Triage};
use super::reply::{Failure, Mode};
use crate::settings;
use crate::tickets::store::{Conversation, Turn};
use crate::tickets::ticket::{Category, Priority, Visibility};

/// What assistant-service is given for one attempt.
pub(super) const ATTEMPT: Duration = Duration::from_secs(60);

/// How `google.protobuf.Any` names the calls among a status's details.
const CALLS: &str = "type.googleapis.com/deskhand.assistant.v1.ModelCalls";

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
        terms: Terms,
    ) -> Result<Streaming<StreamReplyResponse>, Status> {
        let task = if mode == Mode::Post {
            proto::Task::Reply
        } else {
            proto::Task::Draft
        };
        let request = limited(
            terms.until,
            StreamReplyRequest {
                conversation: Some(conversation.into()),
                task: task.into(),
                tokens_at_most: terms.tokens_at_most,
                one_call: true,
                continuation: terms.continuation,
            },
        );
        Ok(self.0.clone().stream_reply(request).await?.into_inner())
    }

    /// Asks for a summary.
    pub(super) async fn summarize(&self, conversation: Conversation, terms: Terms) -> Result<Made, Status> {
        let request = limited(
            terms.until,
            proto::SummarizeRequest {
                conversation: Some(conversation.into()),
                tokens_at_most: terms.tokens_at_most,
                one_call: true,
                continuation: terms.continuation,
            },
        );
        let made = self.0.clone().summarize(request).await?.into_inner();
        Ok(Made {
            text: made.summary,
            calls: made.calls,
            continuation: made.continuation,
        })
    }

    /// Asks for a judgement.
    pub(super) async fn triage(&self, conversation: Conversation, terms: Terms) -> Result<Made, Status> {
        let request = limited(
            terms.until,
            proto::TriageRequest {
                conversation: Some(conversation.into()),
                tokens_at_most: terms.tokens_at_most,
                one_call: true,
                continuation: terms.continuation,
            },
        );
        let mut made = self.0.clone().triage(request).await?.into_inner();
        Ok(Made {
            calls: std::mem::take(&mut made.calls),
            continuation: made.continuation.take(),
            text: triage(made)
                .and_then(|triage| serde_json::to_string(&triage).ok())
                .unwrap_or_default(),
        })
    }

    /// Asks for a text to be written anew.
    pub(super) async fn rewrite(&self, text: String, tone: Tone, terms: Terms) -> Result<Made, Status> {
        let tone = match tone {
            Tone::Neutral => proto::Tone::Neutral,
            Tone::Friendly => proto::Tone::Friendly,
            Tone::Formal => proto::Tone::Formal,
            Tone::Shorter => proto::Tone::Shorter,
        };
        let request = limited(
            terms.until,
            proto::RewriteRequest {
                text,
                tone: tone.into(),
                tokens_at_most: terms.tokens_at_most,
                one_call: true,
                continuation: terms.continuation,
            },
        );
        let made = self.0.clone().rewrite(request).await?.into_inner();
        Ok(Made {
            text: made.text,
            calls: made.calls,
            continuation: made.continuation,
        })
    }
}

/// What one call to the model may take.
#[derive(Clone)]
pub(super) struct Terms {
    pub(super) tokens_at_most: i64,
    /// Where the request goes on, if it is not its first call.
    pub(super) continuation: Option<Continuation>,
    /// When the attempt's time is over.
    pub(super) until: Instant,
}

fn limited<T>(until: Instant, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(until.saturating_duration_since(Instant::now()));
    request
}

/// What came in one piece.
pub(super) struct Made {
    /// Empty where it goes on; a judgement is JSON, and empty where it is not what was agreed on.
    pub(super) text: String,
    pub(super) calls: Vec<ModelCall>,
    /// Where it goes on: another call would help.
    pub(super) continuation: Option<Continuation>,
}

/// The calls that a failed task tells of. `None` where assistant-service may have made some of which it says nothing.
pub(super) fn calls(status: &Status) -> Option<Vec<ModelCall>> {
    if was_never_sent(status) {
        return Some(Vec::new());
    }
    let details = tonic_types::pb::Status::decode(status.details()).ok()?;
    let told = details.details.iter().find(|any| any.type_url == CALLS);
    if let Some(told) = told {
        return Some(proto::ModelCalls::decode(told.value.as_slice()).ok()?.calls);
    }
    // Its own word for a failure; but not where an outer layer of it said so, past the task.
    let reason = status.get_error_details().error_info()?.reason.clone();
    (!matches!(reason.as_str(), "DEADLINE_EXCEEDED" | "INTERNAL" | "CANCELLED")).then(Vec::new)
}

/// Whether there was no connection to send the request over.
fn was_never_sent(status: &Status) -> bool {
    let mut source = std::error::Error::source(status);
    while let Some(error) = source {
        if error.is::<tonic::ConnectError>() {
            return true;
        }
        source = error.source();
    }
    false
}

/// `None` where it is not what was agreed on.
fn triage(told: proto::TriageResponse) -> Option<Triage> {
    use deskhand_proto::tickets::v1::{TicketCategory, TicketPriority};

    Some(Triage {
        category: match told.category() {
            TicketCategory::General => Category::General,
            TicketCategory::Billing => Category::Billing,
            TicketCategory::Technical => Category::Technical,
            TicketCategory::Account => Category::Account,
            TicketCategory::Unspecified => return None,
        },
        priority: match told.priority() {
            TicketPriority::Low => Priority::Low,
            TicketPriority::Normal => Priority::Normal,
            TicketPriority::High => Priority::High,
            TicketPriority::Urgent => Priority::Urgent,
            TicketPriority::Unspecified => return None,
        },
        sentiment: match told.sentiment() {
            proto::Sentiment::Positive => Sentiment::Positive,
            proto::Sentiment::Neutral => Sentiment::Neutral,
            proto::Sentiment::Negative => Sentiment::Negative,
            proto::Sentiment::Angry => Sentiment::Angry,
            proto::Sentiment::Unspecified => return None,
        },
        // A longer one is none.
        language: Some(told.language).filter(|tag| tag.len() <= 35).unwrap_or_default(),
        confidence: told.confidence,
        needs_human: told.needs_human,
        why: told.why,
    })
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
        let turn = |turn: Turn| proto::Turn {
            author_kind: tickets::AuthorKind::from(turn.author_kind).into(),
            body: turn.body,
            internal: turn.visibility == Visibility::Internal,
        };
        Self {
            title: conversation.title,
            description: conversation.description,
            category: category.into(),
            turns: conversation.turns.into_iter().map(turn).collect(),
            language: conversation.language,
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
