//! What tasks with a whole answer have in common.

use super::Assistant;
use crate::error::Error;
use crate::groq::engine::{Ask, CallRecord, Failed};
use crate::groq::failure::{Failure, Kind};
use crate::guard::{Guard, Stopped};
use crate::prompt::Prompt;

/// A result, and what it took.
#[derive(Clone, Debug, PartialEq)]
pub struct Done<T> {
    /// The result.
    pub result: T,
    /// What the model was told.
    pub prompt: Prompt,
    /// The calls to the provider, in their order.
    pub calls: Vec<CallRecord>,
}

/// No result, and what it took.
#[derive(Debug)]
pub struct Undone {
    /// Why.
    pub error: Error,
    /// What the model was told.
    pub prompt: Option<Prompt>,
    /// The calls to the provider, in their order.
    pub calls: Vec<CallRecord>,
}

impl Undone {
    /// Before anything was asked.
    pub(super) fn before(error: Error) -> Self {
        Self {
            error,
            prompt: None,
            calls: Vec::new(),
        }
    }

    /// Whether another call would help, which is for another request to make.
    pub fn goes_on(&self) -> bool {
        self.error.goes_on()
    }

    pub(super) fn new(failure: Failure, prompt: Prompt, calls: Vec<CallRecord>) -> Self {
        Self {
            error: failure.into(),
            prompt: Some(prompt),
            calls,
        }
    }
}

impl Assistant {
    /// Asks for a whole answer, trimmed and not empty, in the model's own words: with placeholders, and not yet inert. Adds the
    /// calls to `calls`.
    pub(super) async fn whole(
        &self,
        prompt: &Prompt,
        ask: Ask,
        calls: &mut Vec<CallRecord>,
    ) -> Result<String, Failure> {
        let (result, made) = match self.engine.complete(&ask).await {
            Ok(completed) => (Ok(completed.text), completed.calls),
            Err(Failed { failure, calls }) => (Err(failure), calls),
        };
        for call in made {
            self.learn(prompt, &call.ended);
            calls.push(call);
        }
        let text = plain(&result?);
        if text.is_empty() {
            return Err(Failure::new(Kind::Empty));
        }
        if self.guard(prompt).is_given_away_by(&text) {
            return Err(stop(Stopped::Instructions));
        }
        Ok(text)
    }

    /// A task whose answer is a text, which is held to `guard`.
    pub(super) async fn text(&self, prompt: Prompt, ask: Ask, guard: &Guard) -> Result<Done<String>, Undone> {
        let mut calls = Vec::new();
        let text = self.whole(&prompt, ask, &mut calls).await;
        let told = text.and_then(|text| guard.whole(&text).map_err(stop));
        match told.map(|told| told.trim().to_owned()) {
            Ok(result) if !result.is_empty() => Ok(Done { result, prompt, calls }),
            Ok(_) => Err(Undone::new(Failure::new(Kind::Empty), prompt, calls)),
            Err(failure) => Err(Undone::new(failure, prompt, calls)),
        }
    }
}

fn stop(stopped: Stopped) -> Failure {
    tracing::warn!(why = %stopped, "an answer is not told");
    Failure::new(stopped.into())
}

/// Trimmed, lines ending in `\n`, and without control characters.
fn plain(text: &str) -> String {
    let text = text.replace("\r\n", "\n");
    let seen = text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t'));
    seen.collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_trimmed_and_plain() {
        assert_eq!(plain(" \n a\r\nb\0\u{1b}\tc 👩‍🚒 \n"), "a\nb\tc 👩‍🚒");
        assert_eq!(plain(" \u{7}\n"), "");
    }
}
