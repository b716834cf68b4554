//! Output that is not of the form, asked for anew: once in all, by this request or by the one that goes on with it.

use super::Assistant;
use super::terms::Terms;
use crate::groq::engine::Mend;
use crate::groq::failure::{Failure, Kind};
use crate::prompt::Prompt;
use crate::prompt::catalog::Task;

impl Assistant {
    /// What a request sends first: `prompt`, or where it goes on with output that is to be mended, that.
    pub(super) fn first(&self, prompt: &Prompt, terms: &Terms) -> Prompt {
        match terms.allowance.past().mend {
            Some(Mend { answer, wrong }) => self.writer.repair(prompt, &answer, &wrong),
            None => prompt.clone(),
        }
    }

    /// How the call of [`Self::first`] failed. Where there were no tokens left to mend with, as it had failed before: the
    /// prompt may be longer by now, for more is known of the length of tokens.
    pub(super) fn first_failed(failure: Failure, terms: &Terms) -> Failure {
        match failure.kind {
            Kind::OverAllowance if terms.allowance.past().mend.is_some() => Failure::new(Kind::InvalidOutput),
            _ => failure,
        }
    }

    /// What is sent to have output mended that answers `prompt`.
    ///
    /// # Errors
    /// [`Kind::InvalidOutput`] where the repair is used up, or there are no tokens left for it; [`Kind::OneCall`] where it is
    /// for another request to make.
    pub(super) fn mend(&self, task: Task, prompt: &Prompt, mend: Mend, terms: &Terms) -> Result<Prompt, Failure> {
        let again = self.writer.repair(prompt, &mend.answer, &mend.wrong);
        if !self.engine.affords(&self.ask(task, &again, terms)) || !terms.allowance.repair() {
            return Err(Failure::new(Kind::InvalidOutput));
        }
        if terms.allowance.one_call() {
            terms.allowance.to_mend(mend);
            return Err(Failure::new(Kind::OneCall));
        }
        Ok(again)
    }
}
