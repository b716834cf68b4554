//! Summing a ticket up, for staff.

use super::Assistant;
use super::hand_off::at_most;
use super::terms::Terms;
use super::whole::{Done, Undone};
use crate::conversation::Conversation;
use crate::prompt::catalog::Task;

/// The most characters of a summary, as the contract says.
const LONGEST: usize = 4_000;

impl Assistant {
    /// Says what `conversation` is about and where it stands.
    ///
    /// # Errors
    /// Where the provider fails, or the model writes nothing.
    pub async fn summarize(&self, conversation: &Conversation, terms: &Terms) -> Result<Done<String>, Undone> {
        let prompt = self
            .prompt_within(Task::Summary, conversation, terms)
            .await
            .map_err(Undone::before)?;
        let ask = self.ask(Task::Summary, &prompt, terms);
        let guard = self.guard(&prompt);
        let mut done = self.text(prompt, ask, &guard).await?;
        done.result = at_most(&done.result, LONGEST);
        Ok(done)
    }
}
