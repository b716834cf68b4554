//! Answers in one piece.

use std::sync::{Mutex, PoisonError};

use super::Engine;
use super::ask::Ask;
use super::told::{CallRecord, Completed, Failed, Progress, Started};

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
        let Gathered { text, calls, .. } = gathered.into_inner().unwrap_or_else(PoisonError::into_inner);
        match result {
            Ok(()) => Ok(Completed { text, calls }),
            Err(failure) => Err(Failed { failure, calls }),
        }
    }
}
