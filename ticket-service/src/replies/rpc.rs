//! `deskhand.replies.v1.ReplyService`: converts, calls, converts.

use std::sync::Arc;

use deskhand_proto::replies::v1 as proto;
use deskhand_proto::replies::v1::reply_service_server::ReplyService;
use deskhand_proto::replies::v1::{
    AttachReplyRequest, AttachReplyResponse, CancelReplyRequest, CancelReplyResponse, GetReplyRequest,
    GetReplyResponse, ListRepliesRequest, ListRepliesResponse, ReplyEvent, StreamReplyRequest, StreamReplyResponse,
};
use futures_util::stream::{BoxStream, Stream, StreamExt as _};
use tonic::{Request, Response, Status};

use super::reply::{End, Event};
use super::service::{Question, Service};
use super::wire;
use crate::accounts::authenticate::{caller, while_allowed};
use crate::accounts::revocations::Revocations;
use crate::caller::Caller;
use crate::db::idempotency::Key;
use crate::error;
use crate::page;
use crate::violations::{self, Violations};

/// The service as gRPC sees it.
pub(crate) struct Rpc {
    pub(crate) replies: Arc<Service>,
    pub(crate) revocations: Arc<Revocations>,
}

impl Rpc {
    /// A stream of events as a response has them, until its caller's session ends.
    fn told<T: Send + 'static>(
        &self,
        events: impl Stream<Item = error::Result<Event>> + Send + 'static,
        caller: Caller,
        response: impl Fn(Option<ReplyEvent>) -> T + Send + 'static,
    ) -> BoxStream<'static, Result<T, Status>> {
        let ended = Event::Ended(End::Interrupted {
            reason: "SESSION_ENDED",
        });
        let ended = response(Some(ended.into()));
        let events = events.map(move |event| Ok(response(Some(event?.into()))));
        while_allowed(events, self.revocations.clone(), caller, ended).boxed()
    }
}

#[tonic::async_trait]
impl ReplyService for Rpc {
    type StreamReplyStream = BoxStream<'static, Result<StreamReplyResponse, Status>>;
    type AttachReplyStream = BoxStream<'static, Result<AttachReplyResponse, Status>>;

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
        let events = self.told(events, caller, |event| StreamReplyResponse { event });
        Ok(Response::new(events))
    }

    async fn attach_reply(
        &self,
        request: Request<AttachReplyRequest>,
    ) -> Result<Response<Self::AttachReplyStream>, Status> {
        let caller = caller(&request)?;
        let asked = request.into_inner();
        let mut violations = Violations::default();
        let reply_id = violations.check("reply_id", violations::id(&asked.reply_id));
        if asked.attempt < 0 {
            violations.note("attempt", "must not be negative");
        }
        let offset = usize::try_from(asked.after_offset).map_err(|_| "must not be negative");
        let offset = violations.check("after_offset", offset);
        if asked.attempt == 0 && asked.after_offset > 0 {
            violations.note("after_offset", "needs the attempt that it is of");
        }
        let (Some(reply_id), Some(offset)) = (reply_id, offset) else {
            return Err(violations.refused().into());
        };
        violations.finish()?;
        let events = self.replies.attach(caller, reply_id, asked.attempt, offset).await?;
        let events = self.told(events, caller, |event| AttachReplyResponse { event });
        Ok(Response::new(events))
    }

    async fn list_replies(
        &self,
        request: Request<ListRepliesRequest>,
    ) -> Result<Response<ListRepliesResponse>, Status> {
        let caller = caller(&request)?;
        let asked = request.into_inner();
        let mut violations = Violations::default();
        let ticket_id = violations.check("ticket_id", violations::id(&asked.ticket_id));
        let size = violations.check("page_size", page::size(asked.page_size));
        let (Some(ticket_id), Some(size)) = (ticket_id, size) else {
            return Err(violations.refused().into());
        };
        let page = self.replies.list(&caller, ticket_id, size, &asked.page_token).await?;
        let replies = page.items.into_iter().map(Into::into).collect();
        Ok(Response::new(ListRepliesResponse {
            replies,
            next_page_token: page.next_page_token,
        }))
    }

    async fn cancel_reply(
        &self,
        request: Request<CancelReplyRequest>,
    ) -> Result<Response<CancelReplyResponse>, Status> {
        let caller = caller(&request)?;
        let asked = request.into_inner();
        let mut violations = Violations::default();
        let reply_id = violations.check("reply_id", violations::id(&asked.reply_id));
        let request_id = violations.check("request_id", violations::optional_id(&asked.request_id));
        let (Some(reply_id), Some(request_id)) = (reply_id, request_id) else {
            return Err(violations.refused().into());
        };
        let key = Key::new(&self.replies.secret, &caller, request_id, "CancelReply", &asked);
        let reply = self.replies.cancel(&caller, reply_id, key).await?;
        Ok(Response::new(CancelReplyResponse {
            reply: Some(reply.into()),
        }))
    }

    async fn get_reply(&self, request: Request<GetReplyRequest>) -> Result<Response<GetReplyResponse>, Status> {
        let caller = caller(&request)?;
        let reply_id = violations::only("reply_id", violations::id(&request.into_inner().reply_id))?;
        let reply = self.replies.get(&caller, reply_id).await?;
        Ok(Response::new(GetReplyResponse {
            reply: Some(reply.into()),
        }))
    }

    async fn accept_draft(
        &self,
        _: Request<proto::AcceptDraftRequest>,
    ) -> Result<Response<proto::AcceptDraftResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn discard_draft(
        &self,
        _: Request<proto::DiscardDraftRequest>,
    ) -> Result<Response<proto::DiscardDraftResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn rate_reply(
        &self,
        _: Request<proto::RateReplyRequest>,
    ) -> Result<Response<proto::RateReplyResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn summarize_ticket(
        &self,
        _: Request<proto::SummarizeTicketRequest>,
    ) -> Result<Response<proto::SummarizeTicketResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn triage_ticket(
        &self,
        _: Request<proto::TriageTicketRequest>,
    ) -> Result<Response<proto::TriageTicketResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn rewrite_text(
        &self,
        _: Request<proto::RewriteTextRequest>,
    ) -> Result<Response<proto::RewriteTextResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn get_usage(&self, _: Request<proto::GetUsageRequest>) -> Result<Response<proto::GetUsageResponse>, Status> {
        Err(Status::unimplemented(""))
    }
}
