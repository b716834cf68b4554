//! A body that plays a plan, step by step, and keeps the books while it does.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

use super::framing::{Notes, Piece, Step};
use super::{Bill, Plan};
use crate::journal::{Entry, Outcome};
use crate::scenario::HowCut;
use crate::server::Reset;
use crate::wire::Usage;

pub(crate) struct Player {
    steps: VecDeque<Step>,
    length: Option<u64>,
    bill: Option<Bill>,
    tokens: u32,
    reasoning_tokens: u32,
    /// When the next step is due if it does not wait.
    due: Instant,
    sleep: Option<Pin<Box<Sleep>>>,
    entry: Entry,
    /// How this ends if nobody interrupts.
    outcome: Outcome,
    reset: Reset,
}

/// What the connection is told when a scenario cuts it.
#[derive(Debug, thiserror::Error)]
#[error("the scenario cuts the connection")]
pub(crate) struct CutByScenario;

impl Player {
    pub(crate) fn new(plan: Plan, entry: Entry, reset: Reset) -> Self {
        let outcome = if plan.status == 200 {
            Outcome::Finished
        } else {
            Outcome::Refused
        };
        if plan.length == Some(0) {
            // Such a body is never asked for anything.
            entry.end(outcome);
        }
        Self {
            steps: plan.steps.into(),
            length: plan.length,
            bill: plan.bill,
            tokens: 0,
            reasoning_tokens: 0,
            due: Instant::now(),
            sleep: None,
            entry,
            outcome,
            reset,
        }
    }

    fn billed_with(&mut self, notes: &Notes) -> Option<Usage> {
        self.tokens += notes.tokens;
        self.reasoning_tokens += notes.reasoning_tokens;
        self.bill.map(|bill| bill.usage(self.tokens, self.reasoning_tokens))
    }

    /// Notes what is generated but not sent.
    fn count(&mut self, notes: Notes) {
        let billed = self.billed_with(&notes);
        self.entry.update(|call| call.bill(billed));
    }

    fn send(&mut self, piece: Piece) -> Frame<Bytes> {
        let Piece { bytes, notes } = piece;
        let billed = self.billed_with(&notes);
        self.entry.sent(bytes.len(), |call| {
            call.chunks += notes.chunks;
            call.usage_sent += notes.usage;
            call.text.push_str(&notes.text);
            call.bill(billed);
        });
        if self.steps.is_empty() {
            // A body whose length was told is dropped after its last byte, not asked for its end.
            self.entry.end(self.outcome);
        }
        Frame::data(bytes)
    }
}

impl Body for Player {
    type Data = Bytes;
    type Error = CutByScenario;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, CutByScenario>>> {
        let this = self.get_mut();
        loop {
            if let Some(sleep) = &mut this.sleep {
                if sleep.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
                this.sleep = None;
            }
            match this.steps.pop_front() {
                None => {
                    this.entry.end(this.outcome);
                    return Poll::Ready(None);
                }
                Some(Step::Wait(duration)) => {
                    this.due += duration;
                    if this.due > Instant::now() {
                        this.sleep = Some(Box::pin(sleep_until(this.due)));
                    }
                }
                Some(Step::Send(piece)) if piece.bytes.is_empty() => {}
                Some(Step::Send(piece)) => return Poll::Ready(Some(Ok(this.send(piece)))),
                Some(Step::Count(notes)) => this.count(notes),
                Some(Step::Flush) => {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Some(Step::Hang) => {
                    this.steps.push_front(Step::Hang);
                    return Poll::Pending;
                }
                Some(Step::Cut(how)) => {
                    if how == HowCut::Reset {
                        this.reset.when_closed();
                    }
                    this.entry.end(Outcome::Cut);
                    return Poll::Ready(Some(Err(CutByScenario)));
                }
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        self.length.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
