//! The gRPC service: requests in, domain types through, responses out.

use std::pin::Pin;

use deskhand_proto::assistant::v1 as proto;
use deskhand_proto::assistant::v1::assistant_service_server::AssistantService;
use deskhand_proto::tickets::v1::{TicketCategory, TicketPriority};
use futures_util::{Stream, StreamExt as _};
use service_kit::deadline::Deadline;
use service_kit::refusal::Violation;
use tonic::{Request, Response, Status};

use crate::calls;
use crate::continuation;
use crate::conversation::{Category, Conversation, Reader, Rewriting};
use crate::error::Error;
use crate::groq::engine::Allowance;
use crate::groq::wire::Model;
use crate::prompt::Prompt;
use crate::prompt::catalog::{Task, Template};
use crate::tasks::Assistant;
use crate::tasks::reply::Event;
use crate::tasks::terms::Terms;
use crate::tasks::triage::{Judgement, Priority, Sentiment};
use crate::tasks::whole::{Done, Undone};

/// Serves `deskhand.assistant.v1.AssistantService`.
#[derive(Clone, Debug)]
pub struct Rpc {
    assistant: Assistant,
}

impl Rpc {
    /// Serves what `assistant` can do.
    pub fn new(assistant: Assistant) -> Self {
        Self { assistant }
    }
}

#[tonic::async_trait]
impl AssistantService for Rpc {
    type StreamReplyStream = Pin<Box<dyn Stream<Item = Result<proto::StreamReplyResponse, Status>> + Send>>;

    async fn stream_reply(
        &self,
        request: Request<proto::StreamReplyRequest>,
    ) -> Result<Response<Self::StreamReplyStream>, Status> {
        let sent = request.get_ref();
        let terms = terms(&request, sent.tokens_at_most, sent.one_call, sent.continuation.as_ref())?;
        let request = request.into_inner();
        let task = match proto::Task::try_from(request.task) {
            Ok(proto::Task::Unspecified | proto::Task::Reply) => Task::Reply,
            Ok(proto::Task::Draft) => Task::Draft,
            _ => return Err(invalid("task", "It must be TASK_REPLY or TASK_DRAFT.")),
        };
        let allowance = terms.allowance.clone();
        let reply = self
            .assistant
            .reply(task, &conversation(task, request.conversation)?, terms)
            .await?;
        let prompt = reply.prompt;
        let events = reply.events;
        Ok(Response::new(Box::pin(events.map(move |event| match event {
            Ok(event) => Ok(stream_response(event, &prompt)),
            Err(error) if error.goes_on() => Ok(goes_on(&allowance)),
            Err(error) => Err(error.into()),
        }))))
    }

    async fn summarize(
        &self,
        request: Request<proto::SummarizeRequest>,
    ) -> Result<Response<proto::SummarizeResponse>, Status> {
        let sent = request.get_ref();
        let terms = terms(&request, sent.tokens_at_most, sent.one_call, sent.continuation.as_ref())?;
        let conversation = conversation(Task::Summary, request.into_inner().conversation)?;
        let done = self.assistant.summarize(&conversation, &terms).await;
        let Told {
            result,
            calls,
            continuation,
        } = told(done, &terms)?;
        Ok(Response::new(proto::SummarizeResponse {
            summary: result.unwrap_or_default(),
            calls,
            continuation,
        }))
    }

    async fn triage(&self, request: Request<proto::TriageRequest>) -> Result<Response<proto::TriageResponse>, Status> {
        let sent = request.get_ref();
        let terms = terms(&request, sent.tokens_at_most, sent.one_call, sent.continuation.as_ref())?;
        let conversation = conversation(Task::Triage, request.into_inner().conversation)?;
        let done = self.assistant.triage(&conversation, &terms).await;
        let Told {
            result,
            calls,
            continuation,
        } = told(done, &terms)?;
        let judged = result.map_or_else(proto::TriageResponse::default, judgement);
        Ok(Response::new(proto::TriageResponse {
            calls,
            continuation,
            ..judged
        }))
    }

    async fn rewrite(
        &self,
        request: Request<proto::RewriteRequest>,
    ) -> Result<Response<proto::RewriteResponse>, Status> {
        let sent = request.get_ref();
        let terms = terms(&request, sent.tokens_at_most, sent.one_call, sent.continuation.as_ref())?;
        let request = request.into_inner();
        let rewriting = Rewriting::parse("text", request.text, request.tone).map_err(Error::Invalid)?;
        let done = self.assistant.rewrite(&rewriting, &terms).await;
        let Told {
            result,
            calls,
            continuation,
        } = told(done, &terms)?;
        Ok(Response::new(proto::RewriteResponse {
            text: result.unwrap_or_default(),
            calls,
            continuation,
        }))
    }

    async fn list_prompts(
        &self,
        _request: Request<proto::ListPromptsRequest>,
    ) -> Result<Response<proto::ListPromptsResponse>, Status> {
        let prompts = self
            .assistant
            .catalog()
            .all()
            .map(|template| prompt(template))
            .collect();
        Ok(Response::new(proto::ListPromptsResponse { prompts }))
    }

    async fn render_prompt(
        &self,
        request: Request<proto::RenderPromptRequest>,
    ) -> Result<Response<proto::RenderPromptResponse>, Status> {
        let request = request.into_inner();
        let task = match proto::Task::try_from(request.task) {
            Ok(proto::Task::Unspecified | proto::Task::Reply) => Task::Reply,
            Ok(proto::Task::Draft) => Task::Draft,
            Ok(proto::Task::Summary) => Task::Summary,
            Ok(proto::Task::Triage) => Task::Triage,
            Ok(proto::Task::Rewrite) => Task::Rewrite,
            Err(_) => return Err(invalid("task", "It is not a task that there is.")),
        };
        let prompt = if task == Task::Rewrite {
            let rewriting = Rewriting::parse("rewrite_text", request.rewrite_text, request.tone);
            self.assistant.rewrite_prompt(&rewriting.map_err(Error::Invalid)?)?
        } else {
            self.assistant
                .prompt(task, &conversation(task, request.conversation)?)
                .await
        };
        let estimated_tokens = self.assistant.estimate(&prompt).into();
        let placeholders = prompt.placeholders.iter().map(|one| proto::Placeholder {
            placeholder: one.name.clone(),
            original: one.original.clone(),
        });
        let messages = prompt.messages.into_iter().map(|message| proto::PromptMessage {
            role: message.role.name().to_owned(),
            content: message.content,
        });
        Ok(Response::new(proto::RenderPromptResponse {
            prompt_id: prompt.id.to_owned(),
            prompt_version: prompt.version,
            model: self.assistant.model().to_owned(),
            messages: messages.collect(),
            estimated_tokens,
            placeholders: placeholders.collect(),
        }))
    }

    async fn list_models(
        &self,
        _request: Request<proto::ListModelsRequest>,
    ) -> Result<Response<proto::ListModelsResponse>, Status> {
        let offered = self.assistant.models().await?;
        let models = offered
            .into_iter()
            .map(|offered| model(offered, &self.assistant))
            .collect();
        Ok(Response::new(proto::ListModelsResponse { models }))
    }
}

/// What the caller of a task allows.
fn terms<T>(
    request: &Request<T>,
    tokens_at_most: i64,
    one_call: bool,
    continuation: Option<&proto::Continuation>,
) -> Result<Terms, Status> {
    let tokens = u64::try_from(tokens_at_most).map_err(|_| invalid("tokens_at_most", "It must not be negative."))?;
    let past = continuation.map(continuation::parse).transpose();
    let past = past.map_err(|violation| Error::Invalid(vec![violation]))?;
    let one_call = one_call || past.is_some();
    Ok(Terms {
        deadline: request.extensions().get::<Deadline>().copied(),
        allowance: Allowance::after(past.unwrap_or_default(), (tokens > 0).then_some(tokens), one_call),
    })
}

/// What is told of a task whose answer comes in one piece.
struct Told<T> {
    /// Unset where it goes on.
    result: Option<T>,
    calls: Vec<proto::ModelCall>,
    continuation: Option<proto::Continuation>,
}

fn told<T>(done: Result<Done<T>, Undone>, terms: &Terms) -> Result<Told<T>, Status> {
    match done {
        Ok(Done { result, prompt, calls }) => Ok(Told {
            result: Some(result),
            calls: calls::made(calls, &prompt),
            continuation: None,
        }),
        Err(undone) if undone.goes_on() => Ok(Told {
            result: None,
            calls: undone
                .prompt
                .map_or_else(Vec::new, |prompt| calls::made(undone.calls, &prompt)),
            continuation: Some(continuation::told(&terms.allowance)),
        }),
        Err(undone) => Err(calls::status(undone)),
    }
}

fn invalid(field: &'static str, description: &'static str) -> Status {
    Error::Invalid(vec![Violation::new(field, description)]).into()
}

fn conversation(task: Task, sent: Option<proto::Conversation>) -> Result<Conversation, Error> {
    let reader = match task {
        Task::Reply => Reader::Customer,
        Task::Draft | Task::Summary | Task::Triage | Task::Rewrite => Reader::Staff,
    };
    Conversation::parse(sent, reader).map_err(Error::Invalid)
}

fn goes_on(allowance: &Allowance) -> proto::StreamReplyResponse {
    let continuation = continuation::told(allowance);
    proto::StreamReplyResponse {
        event: Some(proto::stream_reply_response::Event::Continuation(continuation)),
    }
}

fn stream_response(event: Event, prompt: &Prompt) -> proto::StreamReplyResponse {
    use proto::stream_reply_response as response;
    let event = match event {
        Event::CallStarted(started) => response::Event::CallStarted(calls::started(started, prompt)),
        Event::Delta(text) => response::Event::Delta(response::Delta { text }),
        Event::HandOff(why) => response::Event::HandOff(response::HandOff { why }),
        Event::CallEnded(ended) => response::Event::CallEnded(calls::ended(ended)),
        Event::Finished => response::Event::Finished(response::Finished {}),
    };
    proto::StreamReplyResponse { event: Some(event) }
}

fn judgement(judgement: Judgement) -> proto::TriageResponse {
    proto::TriageResponse {
        category: category(judgement.category).into(),
        priority: priority(judgement.priority).into(),
        sentiment: sentiment(judgement.sentiment).into(),
        language: judgement.language.tag().to_owned(),
        confidence: judgement.confidence,
        needs_human: judgement.needs_human,
        why: judgement.why,
        calls: Vec::new(),
        continuation: None,
    }
}

fn prompt(template: &Template) -> proto::Prompt {
    let task = match template.task {
        Task::Reply => proto::Task::Reply,
        Task::Draft => proto::Task::Draft,
        Task::Summary => proto::Task::Summary,
        Task::Triage => proto::Task::Triage,
        Task::Rewrite => proto::Task::Rewrite,
    };
    proto::Prompt {
        id: template.id.to_owned(),
        version: template.version.clone(),
        task: task.into(),
        category: template.category.map_or(TicketCategory::Unspecified, category).into(),
        overridden: template.overridden,
    }
}

fn category(category: Category) -> TicketCategory {
    match category {
        Category::General => TicketCategory::General,
        Category::Billing => TicketCategory::Billing,
        Category::Technical => TicketCategory::Technical,
        Category::Account => TicketCategory::Account,
    }
}

fn priority(priority: Priority) -> TicketPriority {
    match priority {
        Priority::Low => TicketPriority::Low,
        Priority::Normal => TicketPriority::Normal,
        Priority::High => TicketPriority::High,
        Priority::Urgent => TicketPriority::Urgent,
    }
}

fn sentiment(sentiment: Sentiment) -> proto::Sentiment {
    match sentiment {
        Sentiment::Positive => proto::Sentiment::Positive,
        Sentiment::Neutral => proto::Sentiment::Neutral,
        Sentiment::Negative => proto::Sentiment::Negative,
        Sentiment::Angry => proto::Sentiment::Angry,
    }
}

fn model(offered: Model, assistant: &Assistant) -> proto::Model {
    proto::Model {
        in_use: offered.id == assistant.model(),
        fallback: Some(offered.id.as_str()) == assistant.fallback(),
        id: offered.id,
        owned_by: offered.owned_by,
        context_window: offered.context_window.unwrap_or_default().into(),
        max_output_tokens: offered.max_completion_tokens.unwrap_or_default().into(),
    }
}
