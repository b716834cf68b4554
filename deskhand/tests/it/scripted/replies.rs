//! Replies, as the scripted server has them: all are the same one, and its streams do as they are told.

use deskhand_proto::replies::v1 as proto;
use deskhand_proto::replies::v1::ReplyEvent;
use deskhand_proto::replies::v1::reply_service_server::ReplyService;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::{State, Step};

/// Plays the steps, each event in the response that the method has.
fn played<T: Send + 'static>(
    steps: Vec<Step>,
    response: impl Fn(Option<ReplyEvent>) -> T + Send + 'static,
) -> Response<ReceiverStream<Result<T, Status>>> {
    let (send, receive) = mpsc::channel(1);
    tokio::spawn(async move {
        for step in steps {
            let sent = match step {
                Step::Send(event) => send.send(Ok(response(Some(ReplyEvent { event: Some(event) })))).await,
                Step::Fail(status) => send.send(Err(status)).await,
                Step::Wait(gate) => {
                    // A test that is gone wants nothing more.
                    let _ = tokio::task::spawn_blocking(move || gate.recv()).await;
                    Ok(())
                }
                Step::Hang => {
                    send.closed().await;
                    return;
                }
            };
            if sent.is_err() {
                return;
            }
        }
    });
    Response::new(ReceiverStream::new(receive))
}

impl State {
    fn reply(&self) -> Option<proto::Reply> {
        Some(self.script.lock().unwrap().reply.clone())
    }
}

#[tonic::async_trait]
impl ReplyService for State {
    type StreamReplyStream = ReceiverStream<Result<proto::StreamReplyResponse, Status>>;

    async fn stream_reply(
        &self,
        request: Request<proto::StreamReplyRequest>,
    ) -> Result<Response<Self::StreamReplyStream>, Status> {
        self.admit("StreamReply", &request, &request.get_ref().request_id)?;
        let mut script = self.script.lock().unwrap();
        let mut steps = std::mem::take(&mut script.stream);
        if steps.is_empty() {
            steps = script.streams.pop_front().unwrap_or_default();
        }
        Ok(played(steps, |event| proto::StreamReplyResponse { event }))
    }

    type AttachReplyStream = ReceiverStream<Result<proto::AttachReplyResponse, Status>>;

    async fn attach_reply(
        &self,
        request: Request<proto::AttachReplyRequest>,
    ) -> Result<Response<Self::AttachReplyStream>, Status> {
        self.admit("AttachReply", &request, "")?;
        self.asked.lock().unwrap().attaches.push(request.into_inner());
        let steps = self.script.lock().unwrap().attaches.pop_front();
        let mut steps = steps.unwrap_or_else(|| vec![Step::Hang]);
        // As a server refuses: before there is a stream.
        if let Some(Step::Fail(_)) = steps.first()
            && let Step::Fail(status) = steps.remove(0)
        {
            return Err(status);
        }
        Ok(played(steps, |event| proto::AttachReplyResponse { event }))
    }

    async fn list_replies(
        &self,
        request: Request<proto::ListRepliesRequest>,
    ) -> Result<Response<proto::ListRepliesResponse>, Status> {
        self.admit("ListReplies", &request, "")?;
        Ok(Response::new(proto::ListRepliesResponse {
            replies: self.reply().into_iter().collect(),
            next_page_token: String::new(),
        }))
    }

    async fn cancel_reply(
        &self,
        request: Request<proto::CancelReplyRequest>,
    ) -> Result<Response<proto::CancelReplyResponse>, Status> {
        self.admit("CancelReply", &request, &request.get_ref().request_id)?;
        Ok(Response::new(proto::CancelReplyResponse { reply: self.reply() }))
    }

    async fn get_reply(
        &self,
        request: Request<proto::GetReplyRequest>,
    ) -> Result<Response<proto::GetReplyResponse>, Status> {
        self.admit("GetReply", &request, "")?;
        Ok(Response::new(proto::GetReplyResponse { reply: self.reply() }))
    }

    async fn accept_draft(
        &self,
        request: Request<proto::AcceptDraftRequest>,
    ) -> Result<Response<proto::AcceptDraftResponse>, Status> {
        self.admit("AcceptDraft", &request, &request.get_ref().request_id)?;
        self.asked.lock().unwrap().accepts.push(request.into_inner());
        Ok(Response::new(proto::AcceptDraftResponse { reply: self.reply() }))
    }

    async fn discard_draft(
        &self,
        request: Request<proto::DiscardDraftRequest>,
    ) -> Result<Response<proto::DiscardDraftResponse>, Status> {
        self.admit("DiscardDraft", &request, &request.get_ref().request_id)?;
        Ok(Response::new(proto::DiscardDraftResponse { reply: self.reply() }))
    }

    async fn rate_reply(
        &self,
        request: Request<proto::RateReplyRequest>,
    ) -> Result<Response<proto::RateReplyResponse>, Status> {
        self.admit("RateReply", &request, &request.get_ref().request_id)?;
        self.asked.lock().unwrap().ratings.push(request.into_inner());
        Ok(Response::new(proto::RateReplyResponse { reply: self.reply() }))
    }

    async fn summarize_ticket(
        &self,
        request: Request<proto::SummarizeTicketRequest>,
    ) -> Result<Response<proto::SummarizeTicketResponse>, Status> {
        self.admit("SummarizeTicket", &request, &request.get_ref().request_id)?;
        Ok(Response::new(proto::SummarizeTicketResponse {
            summary: "It burns.\nNobody came.".to_owned(),
            reply_id: super::REPLY.to_owned(),
        }))
    }

    async fn triage_ticket(
        &self,
        request: Request<proto::TriageTicketRequest>,
    ) -> Result<Response<proto::TriageTicketResponse>, Status> {
        self.admit("TriageTicket", &request, &request.get_ref().request_id)?;
        let triage = proto::Triage {
            language: "en".to_owned(),
            confidence: 0.5,
            why: "It burns.".to_owned(),
            ..proto::Triage::default()
        };
        Ok(Response::new(proto::TriageTicketResponse {
            triage: Some(triage),
            applied: false,
            ticket: Some(Self::ticket()),
            reply_id: super::REPLY.to_owned(),
        }))
    }

    async fn rewrite_text(
        &self,
        request: Request<proto::RewriteTextRequest>,
    ) -> Result<Response<proto::RewriteTextResponse>, Status> {
        self.admit("RewriteText", &request, &request.get_ref().request_id)?;
        let request = request.into_inner();
        let text = request.text.to_uppercase();
        self.asked.lock().unwrap().rewrites.push(request);
        Ok(Response::new(proto::RewriteTextResponse {
            text,
            reply_id: super::REPLY.to_owned(),
        }))
    }

    async fn get_usage(
        &self,
        request: Request<proto::GetUsageRequest>,
    ) -> Result<Response<proto::GetUsageResponse>, Status> {
        self.admit("GetUsage", &request, "")?;
        self.asked.lock().unwrap().usages.push(request.into_inner());
        let mut script = self.script.lock().unwrap();
        let rows = script.usage.pop_front().unwrap_or_default();
        let next_page_token = if script.usage.is_empty() { "" } else { "more" };
        Ok(Response::new(proto::GetUsageResponse {
            rows,
            next_page_token: next_page_token.to_owned(),
        }))
    }
}
