//! The gRPC service: requests in, domain types through, responses out.

use std::pin::Pin;

use deskhand_proto::assistant::v1 as proto;
use deskhand_proto::assistant::v1::assistant_service_server::AssistantService;
use deskhand_proto::assistant::v1::stream_reply_response as response;
use deskhand_proto::tickets::v1::TicketCategory;
use futures_util::{Stream, StreamExt as _};
use service_kit::deadline::Deadline;
use tonic::{Request, Response, Status};

use crate::conversation::{Category, Conversation};
use crate::error::Error;
use crate::groq::engine::{Ended, Engine, Outcome, Started};
use crate::groq::wire::Model;
use crate::prompt::catalog::{Task, Template};
use crate::tasks::reply::{Event, Replies};
use crate::usage::Source;

/// Serves `deskhand.assistant.v1.AssistantService`.
#[derive(Clone, Debug)]
pub struct Rpc {
    replies: Replies,
}

impl Rpc {
    /// Serves what `replies` can do.
    pub fn new(replies: Replies) -> Self {
        Self { replies }
    }
}

#[tonic::async_trait]
impl AssistantService for Rpc {
    type StreamReplyStream = Pin<Box<dyn Stream<Item = Result<proto::StreamReplyResponse, Status>> + Send>>;

    async fn stream_reply(
        &self,
        request: Request<proto::StreamReplyRequest>,
    ) -> Result<Response<Self::StreamReplyStream>, Status> {
        let deadline = request.extensions().get::<Deadline>().copied();
        let conversation = Conversation::parse(request.into_inner().conversation).map_err(Error::Invalid)?;
        let events = self.replies.stream(&conversation, deadline)?;
        Ok(Response::new(Box::pin(
            events.map(|event| event.map(stream_response).map_err(Status::from)),
        )))
    }

    async fn summarize(
        &self,
        _request: Request<proto::SummarizeRequest>,
    ) -> Result<Response<proto::SummarizeResponse>, Status> {
        Err(Status::unimplemented("not yet"))
    }

    async fn triage(&self, _request: Request<proto::TriageRequest>) -> Result<Response<proto::TriageResponse>, Status> {
        Err(Status::unimplemented("not yet"))
    }

    async fn rewrite(
        &self,
        _request: Request<proto::RewriteRequest>,
    ) -> Result<Response<proto::RewriteResponse>, Status> {
        Err(Status::unimplemented("not yet"))
    }

    async fn list_prompts(
        &self,
        _request: Request<proto::ListPromptsRequest>,
    ) -> Result<Response<proto::ListPromptsResponse>, Status> {
        let prompts = self.replies.catalog().all().map(prompt).into();
        Ok(Response::new(proto::ListPromptsResponse { prompts }))
    }

    async fn render_prompt(
        &self,
        request: Request<proto::RenderPromptRequest>,
    ) -> Result<Response<proto::RenderPromptResponse>, Status> {
        let conversation = Conversation::parse(request.into_inner().conversation).map_err(Error::Invalid)?;
        let prompt = self.replies.prompt(&conversation)?;
        let messages = prompt.messages.into_iter().map(|message| proto::PromptMessage {
            role: message.role.name().to_owned(),
            content: message.content,
        });
        Ok(Response::new(proto::RenderPromptResponse {
            prompt_id: prompt.id.to_owned(),
            prompt_version: prompt.version,
            model: self.replies.engine().model().to_owned(),
            messages: messages.collect(),
            estimated_tokens: 0,
        }))
    }

    async fn list_models(
        &self,
        _request: Request<proto::ListModelsRequest>,
    ) -> Result<Response<proto::ListModelsResponse>, Status> {
        let offered = self.replies.models().await?;
        let models = offered
            .into_iter()
            .map(|offered| model(offered, self.replies.engine()))
            .collect();
        Ok(Response::new(proto::ListModelsResponse { models }))
    }
}

fn stream_response(event: Event) -> proto::StreamReplyResponse {
    let event = match event {
        Event::CallStarted {
            started,
            prompt_id,
            prompt_version,
        } => response::Event::CallStarted(call_started(started, prompt_id, prompt_version)),
        Event::Delta(text) => response::Event::Delta(response::Delta { text }),
        Event::CallEnded(ended) => response::Event::CallEnded(call_ended(ended)),
        Event::Finished => response::Event::Finished(response::Finished {}),
    };
    proto::StreamReplyResponse { event: Some(event) }
}

fn call_started(started: Started, prompt_id: &str, prompt_version: String) -> response::CallStarted {
    response::CallStarted {
        call_no: started.call_no,
        model: started.model.to_string(),
        prompt_id: prompt_id.to_owned(),
        prompt_version,
        input_tokens_at_most: signed(started.input_tokens_at_most),
        output_tokens_at_most: signed(started.output_tokens_at_most),
    }
}

fn call_ended(ended: Ended) -> response::CallEnded {
    let outcome = match ended.outcome {
        Outcome::Completed => proto::CallOutcome::Completed,
        Outcome::Failed => proto::CallOutcome::Failed,
        Outcome::CutShort => proto::CallOutcome::CutShort,
    };
    let source = match ended.source {
        Source::Reported => proto::UsageSource::Reported,
        Source::Estimated => proto::UsageSource::Estimated,
    };
    response::CallEnded {
        call_no: ended.call_no,
        outcome: outcome.into(),
        usage: Some(proto::TokenUsage {
            input_tokens: signed(ended.usage.input),
            cached_input_tokens: signed(ended.usage.cached_input),
            output_tokens: signed(ended.usage.output),
            reasoning_tokens: signed(ended.usage.reasoning),
        }),
        upstream_id: ended.upstream_id,
        // The limits of a call make longer ones impossible.
        time_to_first_token: ended.time_to_first_text.and_then(|time| time.try_into().ok()),
        duration: ended.duration.try_into().ok(),
        usage_source: source.into(),
        cost_micro_usd: signed(ended.cost_micro_usd),
        model: ended.model.to_string(),
    }
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn prompt(template: &Template) -> proto::Prompt {
    let task = match template.task {
        Task::Reply => proto::Task::Reply,
    };
    let category = match template.category {
        Category::General => TicketCategory::General,
        Category::Billing => TicketCategory::Billing,
        Category::Technical => TicketCategory::Technical,
        Category::Account => TicketCategory::Account,
    };
    proto::Prompt {
        id: template.id.to_owned(),
        version: template.version.clone(),
        task: task.into(),
        category: category.into(),
        overridden: false,
    }
}

fn model(offered: Model, engine: &Engine) -> proto::Model {
    proto::Model {
        in_use: offered.id == engine.model(),
        fallback: Some(offered.id.as_str()) == engine.fallback(),
        id: offered.id,
        owned_by: offered.owned_by,
        context_window: offered.context_window.unwrap_or_default().into(),
        max_output_tokens: offered.max_completion_tokens.unwrap_or_default().into(),
    }
}
