//! The gRPC service: requests in, domain types through, responses out.

use std::pin::Pin;

use deskhand_proto::assistant::v1 as proto;
use deskhand_proto::assistant::v1::assistant_service_server::AssistantService;
use deskhand_proto::tickets::v1::TicketCategory;
use futures_util::{Stream, StreamExt as _};
use tonic::{Request, Response, Status};

use crate::conversation::{Category, Conversation};
use crate::error::Error;
use crate::groq::wire::{Model, Usage};
use crate::prompt::catalog::{Task, Template};
use crate::tasks::reply::{Ended, Event, Replies};

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
        let conversation = Conversation::parse(request.into_inner().conversation).map_err(Error::Invalid)?;
        let events = self.replies.stream(&conversation)?;
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
            model: self.replies.model().to_owned(),
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
            .map(|offered| model(offered, self.replies.model()))
            .collect();
        Ok(Response::new(proto::ListModelsResponse { models }))
    }
}

fn stream_response(event: Event) -> proto::StreamReplyResponse {
    use proto::stream_reply_response as response;
    let event = match event {
        Event::CallStarted {
            call_no,
            model,
            prompt_id,
            prompt_version,
        } => response::Event::CallStarted(response::CallStarted {
            call_no,
            model,
            prompt_id: prompt_id.to_owned(),
            prompt_version,
            input_tokens_at_most: 0,
            output_tokens_at_most: 0,
        }),
        Event::Delta(text) => response::Event::Delta(response::Delta { text }),
        Event::CallEnded(Ended {
            call_no,
            completed,
            usage,
            upstream_id,
            time_to_first_text,
            duration,
        }) => {
            let outcome = if completed {
                proto::CallOutcome::Completed
            } else {
                proto::CallOutcome::Failed
            };
            response::Event::CallEnded(response::CallEnded {
                call_no,
                outcome: outcome.into(),
                usage: usage.map(token_usage),
                upstream_id,
                // The limits of a call make longer ones impossible.
                time_to_first_token: time_to_first_text.and_then(|time| time.try_into().ok()),
                duration: duration.try_into().ok(),
                usage_source: proto::UsageSource::Reported.into(),
                cost_micro_usd: 0,
                model: String::new(),
            })
        }
        Event::Finished => response::Event::Finished(response::Finished {}),
    };
    proto::StreamReplyResponse { event: Some(event) }
}

fn token_usage(usage: Usage) -> proto::TokenUsage {
    let cached = usage.prompt_tokens_details.and_then(|details| details.cached_tokens);
    let reasoning = usage
        .completion_tokens_details
        .and_then(|details| details.reasoning_tokens);
    proto::TokenUsage {
        input_tokens: usage.prompt_tokens.into(),
        cached_input_tokens: cached.unwrap_or_default().into(),
        output_tokens: usage.completion_tokens.into(),
        reasoning_tokens: reasoning.unwrap_or_default().into(),
    }
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

fn model(offered: Model, in_use: &str) -> proto::Model {
    proto::Model {
        in_use: offered.id == in_use,
        fallback: false,
        id: offered.id,
        owned_by: offered.owned_by,
        context_window: offered.context_window.unwrap_or_default().into(),
        max_output_tokens: offered.max_completion_tokens.unwrap_or_default().into(),
    }
}
