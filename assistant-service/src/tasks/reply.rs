//! Answering a customer, or writing the draft of an answer: in pieces, as they come.

use std::sync::{Mutex, PoisonError};

use super::events::{Events, Sink, stream};
use super::terms::Terms;
use super::{Assistant, hand_off};
use crate::conversation::Conversation;
use crate::error::Error;
use crate::groq::engine::{Ended, Mend, Outcome, Progress, Started};
use crate::groq::failure::{Failure, Kind};
use crate::guard::{Filter, Guard, Stopped};
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
struct Round {
    guard: Guard,
    /// What the text of this call goes through.
    filter: Filter,
    /// Whether the model wrote text, and whether words were told of it.
    wrote: bool,
    told: bool,
    /// Why no more of it is told.
    stopped: Option<Stopped>,
    /// Why a person is needed.
    reason: Option<String>,
    handed_off: bool,
    /// What is wrong with the call of a tool.
    mistake: Option<Mend>,
}

impl Assistant {
    /// Answers `conversation`, for the customer ([`Task::Reply`]) or as a draft, on these terms. Dropping the stream cuts the
    /// provider off.
    ///
    /// # Errors
    /// Where not one call keeps to the terms.
    pub async fn reply(&self, task: Task, conversation: &Conversation, terms: Terms) -> Result<Reply, Error> {
        let prompt = self.prompt_within(task, conversation, &terms).await?;
        let (assistant, written) = (self.clone(), prompt.clone());
        let events = stream(|sink| async move { assistant.answer(task, &written, &terms, &sink).await }).await;
        Ok(Reply { prompt, events })
    }

    /// Asks, and once more where the model called a tool as it must not, and nothing was written or mended yet.
    async fn answer(&self, task: Task, prompt: &Prompt, terms: &Terms, sink: &Sink<Event>) -> Result<(), Error> {
        let first = self.first(prompt, terms);
        let round = self.round(task, &first, terms, sink).await;
        let mut round = round.map_err(|failure| Self::first_failed(failure, terms))?;
        if let Some(mistake) = round.mistake.take_if(|_| !round.wrote) {
            tracing::info!(wrong = mistake.wrong, "a tool was called as it must not be");
            let again = self.mend(task, prompt, mistake, terms)?;
            round = self.round(task, &again, terms, sink).await?;
        }
        if round.mistake.is_some() {
            return Err(Failure::new(Kind::InvalidOutput).into());
        }
        if !round.told && !round.handed_off {
            // What it wrote was nothing that can be seen.
            return Err(Failure::new(Kind::Empty).into());
        }
        sink.send(Event::Finished).await;
        Ok(())
    }

    async fn round(&self, task: Task, prompt: &Prompt, terms: &Terms, sink: &Sink<Event>) -> Result<Round, Failure> {
        let ask = self.ask(task, prompt, terms);
        let round = Mutex::new(Round::new(self.guard(prompt)));
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
        let result = self.engine.stream(&ask, tell).await;
        let round = round.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let Some(stopped) = round.stopped {
            return Err(Failure::new(stopped.into()));
        }
        result.map(|()| round)
    }
}

impl Round {
    fn new(guard: Guard) -> Self {
        Self {
            filter: guard.stream(),
            guard,
            wrote: false,
            told: false,
            stopped: None,
            reason: None,
            handed_off: false,
            mistake: None,
        }
    }

    /// Takes what happened, and says what of it is told. What a call says of tools counts once the call is whole.
    fn take(&mut self, progress: Progress) -> [Option<Event>; 3] {
        match progress {
            Progress::CallStarted(started) => {
                (self.reason, self.mistake) = (None, None);
                self.filter = self.guard.stream();
                [Some(Event::CallStarted(started)), None, None]
            }
            Progress::Text(text) => {
                self.wrote = true;
                let told = self.filter.push(&text);
                [self.delta(told), None, None]
            }
            // What the call goes on to write costs what it costs, and is not told.
            Progress::ToolCall { .. } if self.stopped.is_some() => [None, None, None],
            Progress::ToolCall { name, arguments } => {
                if self.guard.is_given_away_by(&format!("{name} {arguments}")) {
                    self.stop(Stopped::Instructions);
                }
                match hand_off::reason(&name, &arguments, &self.guard) {
                    Ok(reason) => drop(self.reason.get_or_insert(reason)),
                    Err(wrong) => {
                        let answer = format!("{name} {arguments}");
                        let wrong = wrong.to_owned();
                        self.mistake = Some(Mend { answer, wrong });
                    }
                }
                [None, None, None]
            }
            Progress::CallEnded(ended) => {
                let rest = self.filter.finish();
                let rest = self.delta(rest);
                let completed = ended.outcome == Outcome::Completed && self.stopped.is_none();
                let reason = self.reason.take_if(|_| completed);
                if reason.is_some() {
                    (self.mistake, self.handed_off) = (None, true);
                }
                [rest, reason.map(Event::HandOff), Some(Event::CallEnded(ended))]
            }
        }
    }

    fn delta(&mut self, told: Result<String, Stopped>) -> Option<Event> {
        match told {
            Ok(text) if text.is_empty() => None,
            Ok(text) => {
                self.told |= !text.trim().is_empty();
                Some(Event::Delta(text))
            }
            Err(stopped) => {
                self.stop(stopped);
                None
            }
        }
    }

    fn stop(&mut self, stopped: Stopped) {
        if self.stopped.replace(stopped).is_none() {
            tracing::warn!(why = %stopped, "no more of an answer is told");
        }
    }
}
