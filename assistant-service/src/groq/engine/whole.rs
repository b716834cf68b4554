//! Answers in one piece.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::ask::Ask;
use super::told::{CallRecord, Completed, Ended, Failed, Outcome, Progress, Started};
use super::{Engine, Shared};
use crate::usage::{Source, Tokens};

impl Engine {
    /// Asks, and gives back the answer in one piece. Text of a call that failed is forgotten, so it may ask again after it.
    ///
    /// # Errors
    /// What the last call failed with, or why none was made, and the calls until then.
    pub async fn complete(&self, ask: &Ask) -> Result<Completed, Failed> {
        #[derive(Default)]
        struct Gathered {
            text: String,
            started: Option<Started>,
            calls: Vec<CallRecord>,
        }
        let gathered = Mutex::new(Gathered::default());
        let result = self
            .0
            .run(ask, false, &|progress| {
                let mut gathered = gathered.lock().unwrap_or_else(PoisonError::into_inner);
                match progress {
                    Progress::CallStarted(started) => {
                        gathered.text.clear();
                        gathered.started = Some(started);
                    }
                    Progress::Text(text) => gathered.text.push_str(&text),
                    Progress::ToolCall { .. } => {}
                    Progress::CallEnded(ended) => {
                        let started = gathered.started.take();
                        gathered
                            .calls
                            .extend(started.map(|started| CallRecord { started, ended }));
                    }
                }
                std::future::ready(())
            })
            .await;
        let Gathered {
            text,
            started,
            mut calls,
        } = gathered.into_inner().unwrap_or_else(PoisonError::into_inner);
        // The deadline came before its end could be told.
        calls.extend(started.map(|started| self.0.cut_off(started)));
        match result {
            Ok(()) => Ok(Completed { text, calls }),
            Err(failure) => Err(Failed { failure, calls }),
        }
    }
}

impl Shared {
    /// A call of which nothing more was heard than that it was announced.
    fn cut_off(&self, started: Started) -> CallRecord {
        let usage = Tokens {
            input: started.input_tokens_at_most,
            output: started.output_tokens_at_most,
            ..Tokens::default()
        };
        let model = self.models.iter().find(|model| model.name == started.model);
        let ended = Ended {
            call_no: started.call_no,
            model: started.model.clone(),
            outcome: Outcome::CutShort,
            usage,
            source: Source::Estimated,
            cost_micro_usd: model.and_then(|model| model.price).map_or(0, |price| price.of(&usage)),
            upstream_id: String::new(),
            time_to_first_text: None,
            duration: Duration::ZERO,
        };
        CallRecord { started, ended }
    }
}
