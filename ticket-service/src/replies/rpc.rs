//! `deskhand.replies.v1.ReplyService`: converts, calls, converts.

use std::sync::Arc;

use deskhand_proto::replies::v1::reply_service_server::ReplyService;
use deskhand_proto::replies::v1::{GetReplyRequest, GetReplyResponse, StreamReplyRequest, StreamReplyResponse};
use futures_util::stream::{BoxStream, StreamExt as _};
use tonic::{Request, Response, Status};

use super::service::{Question, Service};
use super::wire;
use crate::accounts::authenticate::caller;
use crate::db::idempotency::Key;
use crate::violations::{self, Violations};

/// The service as gRPC sees it.
pub(crate) struct Rpc(pub(crate) Arc<Service>);

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
        let key = Key::new(&self.0.secret, &caller, request_id, "StreamReply", &asked);
        let events = self.0.stream(caller, Question { ticket_id, mode, key }).await?;
        let events = events.map(|event| {
            Ok(StreamReplyResponse {
                event: Some(event?.into()),
            })
        });
        Ok(Response::new(events.boxed()))
    }

    async fn get_reply(&self, request: Request<GetReplyRequest>) -> Result<Response<GetReplyResponse>, Status> {
        let caller = caller(&request)?;
        let reply_id = violations::only("reply_id", violations::id(&request.into_inner().reply_id))?;
        let reply = self.0.get(&caller, reply_id).await?;
        Ok(Response::new(GetReplyResponse {
            reply: Some(reply.into()),
        }))
    }
}
