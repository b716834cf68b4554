//! One call: made, told, and entered into the books.

use std::sync::Arc;
use std::time::Duration;

use super::allowance::Allowance;
use super::model::Model;
use super::told::{Ended, Outcome, Progress, Started};
use crate::groq::breaker::Pass;
use crate::groq::call::{Call, Reach, Step};
use crate::groq::failure::{Failure, Kind, Phase, Window};
use crate::groq::gate::Permit;
use crate::groq::offer::Offer;
use crate::usage::{Heard, Source, Tokens};

/// One call and its books. Dropped before its end, it is logged as cut off, and what it may have used is counted.
pub(super) struct Attempt<'a> {
    pub(super) model: &'a Model,
    pub(super) started: Started,
    pub(super) estimated_prompt: u64,
    pub(super) call: Call,
    pub(super) allowance: &'a Allowance,
    pub(super) offer: &'a Offer,
    /// What it holds until it has ended.
    pub(super) open: Option<(Pass, Permit)>,
}

impl Attempt<'_> {
    /// How the call ended, and whether text was told.
    pub(super) async fn make<T, F>(mut self, tell: &T) -> (Result<(), Failure>, bool)
    where
        T: Fn(Progress) -> F,
        F: Future<Output = ()>,
    {
        tell(Progress::CallStarted(self.started.clone())).await;
        let mut shown = false;
        let result = loop {
            let step = self.call.next().await;
            if let (Some(standing), Some((_, permit))) = (self.call.take_standing(), &self.open) {
                permit.learn(&standing);
            }
            match step {
                Ok(Step::Text(text)) => {
                    shown = true;
                    tell(Progress::Text(text)).await;
                }
                Ok(Step::Alive) => {}
                Ok(Step::Whole) => break Ok(()),
                Err(failure) => break Err(failure),
            }
        };
        let ended = self.end(&result);
        if result.is_ok() {
            for call in self.call.take_calls() {
                tell(Progress::ToolCall {
                    name: call.name,
                    arguments: call.arguments,
                })
                .await;
            }
        }
        tell(Progress::CallEnded(ended)).await;
        if result.is_ok() {
            self.call.settle();
        }
        (result, shown)
    }

    /// Closes the books.
    fn end(&mut self, result: &Result<(), Failure>) -> Ended {
        let ended = self.ended(result);
        log(&ended);
        self.learn(result.as_ref().err());
        self.allowance.settle(&self.started, &ended);
        if let Some((pass, permit)) = self.open.take() {
            pass.report(result.as_ref().err());
            let counted = match ended.source {
                Source::Reported => ended.usage.counted(),
                Source::Estimated => self.estimated_prompt + ended.usage.output,
            };
            permit.settle(counted, self.call.reach() != Reach::Unsent);
        }
        ended
    }

    /// What its end says of the provider.
    fn learn(&self, failure: Option<&Failure>) {
        match failure.map(|failure| failure.kind) {
            Some(Kind::Unauthenticated) => self.offer.key_refused(),
            Some(Kind::ModelUnavailable) => self.offer.model_refused(&self.model.name),
            _ if self.call.reach() == Reach::Accepted => self.offer.key_accepted(self.call.began()),
            _ => {}
        }
        if let Some(failure) = failure
            && failure.kind == Kind::RateLimited(Window::Minute)
        {
            if let Some(limit) = failure.detail.requests_a_minute {
                self.model.gate.used_up_requests(limit.get().into());
            }
            if let Some(wait) = failure.retry_after {
                self.model.gate.close(wait);
            }
        }
    }

    fn ended(&self, result: &Result<(), Failure>) -> Ended {
        let (usage, source) = self.usage(result.as_ref().err());
        if usage.input > self.started.input_tokens_at_most || usage.output > self.started.output_tokens_at_most {
            tracing::error!(?usage, started = ?self.started, "the provider counts more than was announced");
        }
        let outcome = match result {
            Ok(()) => Outcome::Completed,
            Err(failure) if matches!(failure.kind, Kind::TimedOut(_)) => Outcome::CutShort,
            Err(_) => Outcome::Failed,
        };
        Ended {
            call_no: self.started.call_no,
            model: Arc::clone(&self.started.model),
            outcome,
            usage,
            source,
            cost_micro_usd: self.model.price.map_or(0, |price| price.of(&usage)),
            upstream_id: self.call.upstream_id().unwrap_or_default().to_owned(),
            time_to_first_text: self.call.time_to_first_text(),
            duration: self.call.elapsed(),
        }
    }

    /// What the provider says; nothing where it had not begun to write; else an estimate.
    fn usage(&self, failure: Option<&Failure>) -> (Tokens, Source) {
        if let Some(usage) = self.call.usage() {
            return (usage.into(), Source::Reported);
        }
        // These refusals come after the model has written.
        let written = failure.is_some_and(|failure| matches!(failure.kind, Kind::InvalidOutput | Kind::Abandoned));
        let silent = match self.call.reach() {
            Reach::Unsent => return (Tokens::default(), Source::Reported),
            Reach::Refused if !written => return (Tokens::default(), Source::Reported),
            Reach::Refused => Duration::MAX,
            Reach::Sent | Reach::Accepted => self.call.silent(),
        };
        let heard = Heard {
            input_at_most: self.started.input_tokens_at_most,
            output_at_most: self.started.output_tokens_at_most,
            bytes: self.call.bytes(),
            silent,
        };
        (heard.estimate(), Source::Estimated)
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if self.open.is_some() {
            // Nobody is left to be told; whoever asked charges what was announced.
            self.end(&Err(Failure::new(Kind::TimedOut(Phase::Deadline))));
        }
    }
}

/// A call's one line; why it failed is logged where the caller is told.
fn log(ended: &Ended) {
    tracing::info!(
        model = %ended.model,
        call_no = ended.call_no,
        upstream_id = ended.upstream_id,
        outcome = ?ended.outcome,
        first_text_ms = ended.time_to_first_text.map(|time| time.as_millis()),
        ms = ended.duration.as_millis(),
        usage = ?ended.source,
        input_tokens = ended.usage.input,
        cached_input_tokens = ended.usage.cached_input,
        output_tokens = ended.usage.output,
        reasoning_tokens = ended.usage.reasoning,
        cost_micro_usd = ended.cost_micro_usd,
        "call to the provider ended"
    );
}
