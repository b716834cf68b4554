//! Writing a text anew.

use std::sync::Arc;

use super::Assistant;
use super::terms::Terms;
use super::whole::{Done, Undone};
use crate::conversation::Rewriting;
use crate::error::Error;
use crate::groq::failure::{Failure, Kind};
use crate::guard::Guard;
use crate::prompt::Prompt;
use crate::prompt::catalog::Task;

/// Beside what the text has itself, in tokens.
const SLACK: u32 = 256;

impl Assistant {
    /// Writes a text anew, in another tone.
    ///
    /// # Errors
    /// Where the text is longer than the model is given, the provider fails, or the model writes nothing.
    pub async fn rewrite(&self, rewriting: &Rewriting, terms: &Terms) -> Result<Done<String>, Undone> {
        let prompt = self.rewrite_prompt(rewriting).map_err(Undone::before)?;
        let mut ask = self.ask(Task::Rewrite, &prompt, terms);
        // The new text may be somewhat longer than the old one.
        let text = self.writer.ratios().estimate(self.model(), rewriting.text.len());
        ask.answer_tokens = ask.answer_tokens.max(text + text / 4 + SLACK);
        // Whoever has a text rewritten stands for its links.
        let hosts = self.links_allowed.and_those_in(&rewriting.text);
        let guard = Guard::new(self.writer.mark().clone(), hosts, Arc::clone(&prompt.placeholders));
        self.text(prompt, ask, &guard).await
    }

    /// Exactly what [`Self::rewrite`] sends.
    ///
    /// # Errors
    /// Where the text is longer than the model is given.
    pub fn rewrite_prompt(&self, rewriting: &Rewriting) -> Result<Prompt, Error> {
        let prompt = self.writer.rewrite(rewriting);
        prompt.ok_or_else(|| Failure::new(Kind::TooLarge).into())
    }
}
