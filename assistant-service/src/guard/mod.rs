//! What the model says, before anybody hears it: the desk's instructions do not come back, placeholders do, nothing of it does
//! anything but be read, and it ends.
//!
//! - [`mark`]: by which instructions are known · [`hosts`]: what may be linked to · `inert`: text that is only text
//!
//! In this order: the model's own words are searched for the mark; then placeholders become what customers wrote; then
//! all of it is made inert, for customers are trusted no more than the model.

pub mod hosts;
mod inert;
pub mod mark;

use std::sync::Arc;

use hosts::Hosts;
use inert::Inert;
use mark::{Mark, Watch};

use crate::conversation::MAX_ANSWER;
use crate::groq::failure::Kind;
use crate::redaction::restore::{Placeholders, Restorer};

/// Why no more of an answer is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Stopped {
    /// It holds the desk's instructions.
    #[error("the answer holds the mark of the instructions")]
    Instructions,
    /// It is longer than an answer may be, in characters: it could never be part of a conversation.
    #[error("the answer is longer than {MAX_ANSWER} characters")]
    TooLong,
}

impl From<Stopped> for Kind {
    fn from(stopped: Stopped) -> Self {
        match stopped {
            Stopped::Instructions => Self::ContentFiltered,
            Stopped::TooLong => Self::Truncated,
        }
    }
}

/// What an answer is held to.
#[derive(Clone, Debug)]
pub struct Guard {
    mark: Mark,
    hosts: Hosts,
    placeholders: Arc<Placeholders>,
}

impl Guard {
    /// An answer to a prompt with this mark and these placeholders, which may link to `hosts`.
    pub fn new(mark: Mark, hosts: Hosts, placeholders: Arc<Placeholders>) -> Self {
        Self {
            mark,
            hosts,
            placeholders,
        }
    }

    /// For an answer that comes in pieces.
    pub fn stream(&self) -> Filter {
        Filter {
            watch: Watch::new(self.mark.clone()),
            restorer: Restorer::new(Arc::clone(&self.placeholders)),
            inert: Inert::new(self.hosts.clone()),
            room: MAX_ANSWER,
            stopped: None,
        }
    }

    /// A whole text of the model's, as it may be told.
    ///
    /// # Errors
    /// Why it may not.
    pub fn whole(&self, text: &str) -> Result<String, Stopped> {
        let mut filter = self.stream();
        let mut told = filter.push(text)?;
        told.push_str(&filter.finish()?);
        Ok(told)
    }

    /// Whether a text holds the desk's instructions.
    pub fn is_given_away_by(&self, text: &str) -> bool {
        self.mark.is_in(text)
    }

    /// `text` with what its placeholders stand for, and not yet inert.
    pub fn restore(&self, text: &str) -> String {
        self.placeholders.restore(text)
    }
}

/// Filters one answer.
#[derive(Debug)]
pub struct Filter {
    watch: Watch,
    restorer: Restorer,
    inert: Inert,
    /// Characters that may still be told.
    room: usize,
    stopped: Option<Stopped>,
}

impl Filter {
    /// What can be told after this piece; may be nothing.
    ///
    /// # Errors
    /// Why no more is told, now and from then on.
    pub fn push(&mut self, piece: &str) -> Result<String, Stopped> {
        self.go_on()?;
        let Ok(through) = self.watch.push(piece) else {
            return Err(self.stop(Stopped::Instructions));
        };
        let told = self.inert.push(&self.restorer.push(&through));
        self.within_room(told)
    }

    /// What was held back, once the answer is over.
    ///
    /// # Errors
    /// As of [`Self::push`].
    pub fn finish(&mut self) -> Result<String, Stopped> {
        self.go_on()?;
        let through = self.watch.finish();
        let mut restored = self.restorer.push(&through);
        restored.push_str(&self.restorer.finish());
        let mut told = self.inert.push(&restored);
        told.push_str(&self.inert.finish());
        self.within_room(told)
    }

    fn go_on(&self) -> Result<(), Stopped> {
        self.stopped.map_or(Ok(()), Err)
    }

    fn stop(&mut self, why: Stopped) -> Stopped {
        self.stopped = Some(why);
        why
    }

    fn within_room(&mut self, told: String) -> Result<String, Stopped> {
        let count = told.chars().count();
        if count > self.room {
            return Err(self.stop(Stopped::TooLong));
        }
        self.room -= count;
        Ok(told)
    }
}

#[cfg(test)]
mod tests;
