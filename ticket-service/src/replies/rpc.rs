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

use super::ask::{About, Question, allowed_mode};
use super::reply::{End, Event};
use super::request::{Acceptance, NewRating, Rewriting, keys, parse_ids};
use super::service::Service;
use super::usage::Report;
use super::wire::{self, usage_row};
use crate::accounts::authenticate::{caller, while_allowed};
use crate::accounts::revocations::Revocations;
use crate::caller::{Caller, Role};
use crate::db::idempotency::Key;
use crate::error::{self, Error};
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

/// Who calls, if it is someone of the desk. Before anything else: to others not even whether the request makes sense is told.
fn staff<T>(request: &Request<T>) -> error::Result<Caller> {
    let caller = caller(request)?;
    if !caller.role.is_staff() {
        return Err(Error::RoleNotAllowed("This is for agents and admins."));
    }
    Ok(caller)
}

/// Who calls, if it is an admin.
fn admin<T>(request: &Request<T>) -> error::Result<Caller> {
    let caller = caller(request)?;
    if caller.role != Role::Admin {
        return Err(Error::RoleNotAllowed("What the assistant costs is for admins to see."));
    }
    Ok(caller)
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
        let events = {
            let mode = allowed_mode(&caller, mode)?;
            let about = About::Ticket(ticket_id);
            self.replies.stream(caller, Question { about, mode, key }).await?
        };
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
        let (reply_id, request_id) = parse_ids("reply_id", &asked.reply_id, &asked.request_id)?;
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
        request: Request<proto::AcceptDraftRequest>,
    ) -> Result<Response<proto::AcceptDraftResponse>, Status> {
        let caller = staff(&request)?;
        let asked = request.into_inner();
        let Acceptance {
            reply_id,
            body,
            request_id,
        } = Acceptance::parse(&asked)?;
        let key = Key::new(&self.replies.secret, &caller, request_id, "AcceptDraft", &asked);
        let reply = self.replies.accept(&caller, reply_id, body, key).await?;
        Ok(Response::new(proto::AcceptDraftResponse {
            reply: Some(reply.into()),
        }))
    }

    async fn discard_draft(
        &self,
        request: Request<proto::DiscardDraftRequest>,
    ) -> Result<Response<proto::DiscardDraftResponse>, Status> {
        let caller = staff(&request)?;
        let asked = request.into_inner();
        let (reply_id, request_id) = parse_ids("reply_id", &asked.reply_id, &asked.request_id)?;
        let key = Key::new(&self.replies.secret, &caller, request_id, "DiscardDraft", &asked);
        let reply = self.replies.discard(&caller, reply_id, key).await?;
        Ok(Response::new(proto::DiscardDraftResponse {
            reply: Some(reply.into()),
        }))
    }

    async fn rate_reply(
        &self,
        request: Request<proto::RateReplyRequest>,
    ) -> Result<Response<proto::RateReplyResponse>, Status> {
        let caller = caller(&request)?;
        let asked = request.into_inner();
        let rating = NewRating::parse(&asked)?;
        let key = Key::new(&self.replies.secret, &caller, rating.request_id, "RateReply", &asked);
        let reply = self
            .replies
            .rate(&caller, rating.reply_id, rating.verdict, &rating.comment, key)
            .await?;
        Ok(Response::new(proto::RateReplyResponse {
            reply: Some(reply.into()),
        }))
    }

    async fn summarize_ticket(
        &self,
        request: Request<proto::SummarizeTicketRequest>,
    ) -> Result<Response<proto::SummarizeTicketResponse>, Status> {
        let caller = staff(&request)?;
        let asked = request.into_inner();
        let (ticket_id, request_id) = parse_ids("ticket_id", &asked.ticket_id, &asked.request_id)?;
        let key = Key::new(&self.replies.secret, &caller, request_id, "SummarizeTicket", &asked);
        let (reply_id, summary) = self.replies.summarize(caller, ticket_id, key).await?;
        Ok(Response::new(proto::SummarizeTicketResponse {
            summary,
            reply_id: reply_id.to_string(),
        }))
    }

    async fn triage_ticket(
        &self,
        request: Request<proto::TriageTicketRequest>,
    ) -> Result<Response<proto::TriageTicketResponse>, Status> {
        let caller = staff(&request)?;
        let asked = request.into_inner();
        let (ticket_id, request_id) = parse_ids("ticket_id", &asked.ticket_id, &asked.request_id)?;
        let key = Key::new(&self.replies.secret, &caller, request_id, "TriageTicket", &asked);
        let judged = self.replies.triage(caller, ticket_id, key).await?;
        Ok(Response::new(proto::TriageTicketResponse {
            triage: Some(judged.triage.into()),
            applied: judged.applied,
            ticket: Some(judged.ticket.into()),
            reply_id: judged.reply_id.to_string(),
        }))
    }

    async fn rewrite_text(
        &self,
        request: Request<proto::RewriteTextRequest>,
    ) -> Result<Response<proto::RewriteTextResponse>, Status> {
        let caller = staff(&request)?;
        let asked = request.into_inner();
        let Rewriting { text, tone, request_id } = Rewriting::parse(&asked)?;
        let key = Key::new(&self.replies.secret, &caller, request_id, "RewriteText", &asked);
        let (reply_id, text) = self.replies.rewrite(caller, text, tone, key).await?;
        Ok(Response::new(proto::RewriteTextResponse {
            text,
            reply_id: reply_id.to_string(),
        }))
    }

    async fn get_usage(
        &self,
        request: Request<proto::GetUsageRequest>,
    ) -> Result<Response<proto::GetUsageResponse>, Status> {
        let caller = admin(&request)?;
        let asked = request.into_inner();
        let report = Report::parse(
            &asked.first_day,
            &asked.last_day,
            keys(&asked.group_by),
            asked.page_size,
        )?;
        let page = self.replies.usage(&caller, &report, &asked.page_token).await?;
        Ok(Response::new(proto::GetUsageResponse {
            rows: page.items.into_iter().map(usage_row).collect::<error::Result<_>>()?,
            next_page_token: page.next_page_token,
        }))
    }
}
