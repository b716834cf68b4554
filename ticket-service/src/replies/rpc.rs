//! `deskhand.replies.v1.ReplyService`: converts, calls, converts.

use std::sync::Arc;

use deskhand_proto::replies::v1::reply_service_server::ReplyService;
use deskhand_proto::replies::v1::{GetReplyRequest, GetReplyResponse, StreamReplyRequest, StreamReplyResponse};
use futures_util::stream::{BoxStream, StreamExt as _};
use tonic::{Request, Response, Status};

use super::reply::{End, Event};
use super::service::{Question, Service};
use super::wire;
use crate::accounts::authenticate::{caller, while_allowed};
use crate::accounts::revocations::Revocations;
use crate::db::idempotency::Key;
use crate::violations::{self, Violations};

/// The service as gRPC sees it.
pub(crate) struct Rpc {
    pub(crate) replies: Arc<Service>,
    pub(crate) revocations: Arc<Revocations>,
}

#[tonic::async_trait]
impl ReplyService for Rpc {
    type StreamReplyStream = BoxStream<'static, Result<StreamReplyResponse, Status>>;

    async fn stream_reply(
        &self,
        request: Request<StreamReplyRequest>,
    ) -> Result<Response<Self::StreamReplyStream>, Status> {
        let caller = caller(&request)?;
        let asked = request.into_inner();
        let mut violations = Violations::default();
        let ticket_id = violations.check("ticket_id", violations::id(&asked.ticket_id));
        let mode = violations.check("mode", wire::mode(asked.mode).ok_or("is not a known mode"));
        let request_id = violations.check("request_id", violations::optional_id(&asked.request_id));
        let (Some(ticket_id), Some(mode), Some(request_id)) = (ticket_id, mode, request_id) else {
            return Err(violations.refused().into());
        };
        let key = Key::new(&self.replies.secret, &caller, request_id, "StreamReply", &asked);
        let events = self.replies.stream(caller, Question { ticket_id, mode, key }).await?;
        let events = events.map(|event| {
            let event = Some(event?.into());
            Ok(StreamReplyResponse { event })
        });
        let told = Event::Ended(End::Interrupted {
            reason: "SESSION_ENDED",
        })
        .into();
        let told = StreamReplyResponse { event: Some(told) };
        let events = while_allowed(events, self.revocations.clone(), caller, told);
        Ok(Response::new(events.boxed()))
    }

    async fn get_reply(&self, request: Request<GetReplyRequest>) -> Result<Response<GetReplyResponse>, Status> {
        let caller = caller(&request)?;
        let reply_id = violations::only("reply_id", violations::id(&request.into_inner().reply_id))?;
        let reply = self.replies.get(&caller, reply_id).await?;
        Ok(Response::new(GetReplyResponse {
            reply: Some(reply.into()),
        }))
    }
}
