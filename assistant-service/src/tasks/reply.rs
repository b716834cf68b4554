//! Answering a customer, or writing the draft of an answer: in pieces, as they come.

use std::sync::{Arc, Mutex, PoisonError};

use service_kit::deadline::Deadline;

use super::events::{Events, Sink, stream};
use super::{Assistant, hand_off};
use crate::conversation::Conversation;
use crate::error::Error;
use crate::groq::engine::{Ended, Outcome, Progress, Started};
use crate::groq::failure::{Failure, Kind};
use crate::prompt::Prompt;
use crate::prompt::catalog::Task;

/// What happens while an answer is written. Whatever is not followed by [`Event::Finished`] is no answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A call to the provider is about to be made.
    CallStarted(Started),
    /// Some of the answer. Never empty.
    Delta(String),
    /// The ticket is left to a person, for this reason: what text came is no answer.
    HandOff(String),
    /// A call to the provider is over.
    CallEnded(Ended),
    /// The answer is whole, or the ticket handed off.
    Finished,
}

/// An answer on its way.
pub struct Reply {
    /// What the model was told.
    pub prompt: Prompt,
    /// What happens.
    pub events: Events<Event, Error>,
}

/// What one round of asking came to.
#[derive(Default)]
struct Round {
    /// How many calls there were before it.
    before: i32,
    /// How many there are now.
    calls: i32,
    wrote: bool,
    /// Why a person is needed.
    reason: Option<String>,
    /// What is wrong with the call of a tool.
    mistake: Option<Mistake>,
}

struct Mistake {
    /// What the model called.
    answer: String,
    /// For the model.
    wrong: &'static str,
}

impl Assistant {
    /// Answers `conversation`, for the customer ([`Task::Reply`]) or as a draft, before `deadline`. Dropping the stream cuts
    /// the provider off.
    pub async fn reply(&self, task: Task, conversation: &Conversation, deadline: Option<Deadline>) -> Reply {
        let prompt = self.prompt(task, conversation);
        let (assistant, written) = (self.clone(), prompt.clone());
        let events = stream(|sink| async move { assistant.answer(task, &written, deadline, &sink).await }).await;
        Reply { prompt, events }
    }

    /// Asks, and once more where the model called a tool as it must not, and nothing was written yet.
    async fn answer(
        &self,
        task: Task,
        prompt: &Prompt,
        deadline: Option<Deadline>,
        sink: &Sink<Event>,
    ) -> Result<(), Error> {
        let mut round = self.round(task, prompt, deadline, 0, sink).await?;
        if let (Some(mistake), false) = (&round.mistake, round.wrote) {
            tracing::info!(
                wrong = mistake.wrong,
                "a tool was called as it must not be; asking again"
            );
            let again = self.writer.repair(prompt, &mistake.answer, mistake.wrong);
            round = self.round(task, &again, deadline, round.calls, sink).await?;
        }
        if round.mistake.is_some() {
            return Err(Failure::new(Kind::InvalidOutput).into());
        }
        sink.send(Event::Finished).await;
        Ok(())
    }

    async fn round(
        &self,
        task: Task,
        prompt: &Prompt,
        deadline: Option<Deadline>,
        before: i32,
        sink: &Sink<Event>,
    ) -> Result<Round, Failure> {
        let mut ask = self.ask(prompt, deadline);
        ask.tools = (task == Task::Reply).then(|| Arc::clone(&self.hand_off));
        let round = Mutex::new(Round {
            before,
            ..Round::default()
        });
        let tell = |progress| {
            if let Progress::CallEnded(ended) = &progress {
                self.learn(prompt, ended);
            }
            let events = round.lock().unwrap_or_else(PoisonError::into_inner).take(progress);
            async move {
                for event in events.into_iter().flatten() {
                    sink.send(event).await;
                }
            }
        };
        self.engine.stream(&ask, tell).await?;
        Ok(round.into_inner().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Round {
    /// Takes what happened, and says what of it is told. What a call says of tools counts once the call is whole.
    fn take(&mut self, progress: Progress) -> [Option<Event>; 2] {
        match progress {
            Progress::CallStarted(mut started) => {
                started.call_no += self.before;
                self.calls = started.call_no;
                (self.reason, self.mistake) = (None, None);
                [Some(Event::CallStarted(started)), None]
            }
            Progress::Text(text) => {
                self.wrote = true;
                [Some(Event::Delta(text)), None]
            }
            Progress::ToolCall { name, arguments } => {
                match hand_off::reason(&name, &arguments) {
                    Ok(reason) => drop(self.reason.get_or_insert(reason)),
                    Err(wrong) => {
                        let answer = format!("{name} {arguments}");
                        self.mistake = Some(Mistake { answer, wrong });
                    }
                }
                [None, None]
            }
            Progress::CallEnded(mut ended) => {
                ended.call_no += self.before;
                let reason = self.reason.take_if(|_| ended.outcome == Outcome::Completed);
                if reason.is_some() {
                    self.mistake = None;
                }
                [reason.map(Event::HandOff), Some(Event::CallEnded(ended))]
            }
        }
    }
}
