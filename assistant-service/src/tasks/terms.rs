//! What a caller allows, and prompts that keep to it.

use service_kit::deadline::Deadline;

use super::Assistant;
use crate::conversation::Conversation;
use crate::error::Error;
use crate::groq::engine::Allowance;
use crate::groq::failure::{Failure, Kind};
use crate::prompt::Prompt;
use crate::prompt::catalog::Task;

/// A prompt is not cut so far that a ticket has less room than this beside the instructions, in bytes.
const LEAST_TICKET: usize = 1_000;

/// What a caller allows.
#[derive(Clone, Debug, Default)]
pub struct Terms {
    /// When its time is over.
    pub deadline: Option<Deadline>,
    /// What all calls for it may take.
    pub allowance: Allowance,
}

impl Assistant {
    /// What a task on `conversation` sends, cut so that a call keeps to `terms`.
    ///
    /// # Errors
    /// [`Kind::OverAllowance`] where not even a call with a short ticket does.
    pub(super) async fn prompt_within(
        &self,
        task: Task,
        conversation: &Conversation,
        terms: &Terms,
    ) -> Result<Prompt, Error> {
        let terms = terms.clone();
        self.beside(conversation, move |assistant, conversation| {
            assistant.cut(task, conversation, &terms)
        })
        .await
    }

    fn cut(&self, task: Task, conversation: &Conversation, terms: &Terms) -> Result<Prompt, Error> {
        let mut budget = self.writer.budget();
        loop {
            let prompt = self.prompt_of(task, conversation, budget);
            let Some(over) = self.beyond(task, &prompt, terms) else {
                return Ok(prompt);
            };
            let instructions = prompt.messages.first().map_or(0, |message| message.content.len());
            let least = instructions + self.attached(task) + LEAST_TICKET;
            let bytes = prompt.bytes.saturating_sub(over);
            if bytes < least {
                return Err(Failure::new(Kind::OverAllowance).into());
            }
            let tokens = self.writer.ratios().estimate(self.model(), bytes);
            budget = tokens.min(budget.saturating_sub(1));
        }
    }

    /// How many bytes `prompt` has too many for `terms`, about, if a call with it could go beyond them.
    fn beyond(&self, task: Task, prompt: &Prompt, terms: &Terms) -> Option<usize> {
        let left = terms.allowance.tokens_left()?;
        let call = self.engine.announced(&self.ask(task, prompt, terms))?;
        let over = call.at_most().checked_sub(left).filter(|over| *over > 0)?;
        // A message is announced with somewhat more than its bytes.
        let part = over as f64 / call.input_tokens_at_most.max(1) as f64;
        Some((prompt.bytes as f64 * part).ceil() as usize)
    }
}
