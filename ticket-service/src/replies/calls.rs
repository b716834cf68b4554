//! The calls to the model that a run makes, until they are in the ledger.

use std::sync::{Mutex, MutexGuard, PoisonError};

use deskhand_proto::assistant::v1::stream_reply_response::{CallEnded, CallStarted};
use deskhand_proto::assistant::v1::{CallOutcome, ModelCall, TokenUsage, UsageSource};

/// One call to the model.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) started: CallStarted,
    /// `None` while it is under way, and where the run ended first.
    pub(super) ended: Option<CallEnded>,
}

/// A run's calls so far.
#[derive(Debug, Default)]
pub(super) struct Calls(Mutex<Entries>);

#[derive(Debug, Default)]
struct Entries {
    calls: Vec<Call>,
    /// The numbers of those of which the ledger does not know everything yet.
    fresh: Vec<i32>,
    /// Whether one may be under way that is not known.
    asking: bool,
}

impl Calls {
    /// A call is about to be made.
    pub(super) fn started(&self, started: CallStarted) {
        let mut entries = self.lock();
        entries.fresh.push(started.call_no);
        entries.calls.push(Call { started, ended: None });
    }

    /// A call is over.
    pub(super) fn ended(&self, ended: CallEnded) {
        let mut entries = self.lock();
        let no = ended.call_no;
        if let Some(call) = entries.calls.iter_mut().find(|call| call.started.call_no == no) {
            call.ended = Some(ended);
            entries.fresh.push(no);
        }
    }

    /// All of a task that is told of when it is over.
    pub(super) fn made(&self, calls: Vec<ModelCall>) {
        for ModelCall { started, ended } in calls {
            if let Some(started) = started {
                self.started(started);
            }
            if let Some(ended) = ended {
                self.ended(ended);
            }
        }
    }

    /// From now on there may be one that is not known.
    pub(super) fn asking(&self) {
        self.lock().asking = true;
    }

    /// No call was made but those that are known.
    pub(super) fn asked(&self) {
        self.lock().asking = false;
    }

    /// Whether it is certain that no call was made but those that are known.
    pub(super) fn are_complete(&self) -> bool {
        !self.lock().asking
    }

    /// Those of which the ledger does not know everything yet; asked for once.
    pub(super) fn take_fresh(&self) -> Vec<Call> {
        let mut entries = self.lock();
        let fresh = std::mem::take(&mut entries.fresh);
        let calls = entries.calls.iter();
        calls
            .filter(|call| fresh.contains(&call.started.call_no))
            .cloned()
            .collect()
    }

    /// All of them.
    pub(super) fn all(&self) -> Vec<Call> {
        self.lock().calls.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Call {
    /// What it took: at most, where its end is not known.
    pub(super) fn usage(&self) -> TokenUsage {
        let at_most = || TokenUsage {
            input_tokens: self.started.input_tokens_at_most,
            output_tokens: self.started.output_tokens_at_most,
            ..TokenUsage::default()
        };
        self.ended
            .as_ref()
            .and_then(|ended| ended.usage)
            .unwrap_or_else(at_most)
    }

    /// Whether the provider said what it took.
    pub(super) fn is_reported(&self) -> bool {
        let source = self.ended.as_ref().map(CallEnded::usage_source);
        source == Some(UsageSource::Reported)
    }

    /// What the ledger calls its end, where it has ended.
    pub(super) fn outcome(&self) -> Option<&'static str> {
        self.ended.as_ref().map(|ended| match ended.outcome() {
            CallOutcome::Completed => "COMPLETED",
            CallOutcome::Failed | CallOutcome::Unspecified => "FAILED",
            CallOutcome::CutShort => "CUT_SHORT",
        })
    }
}
