//! Replies in PostgreSQL: their runs, the ledger of what they cost, the budgets that they are paid from, and what people made of
//! them.

mod budgets;
mod drafts;
mod ending;
mod ledger;
mod ratings;
mod records;
mod report;
mod runs;

use uuid::Uuid;

pub(crate) use budgets::sweep as sweep_budgets;
pub(crate) use drafts::sweep_rewritten;
pub(super) use drafts::{accept_in_tx, discard_in_tx, draft_in_tx, draft_text};
pub(super) use ending::{Outcome, close};
pub(super) use ledger::{enter, open_next};
pub(super) use ratings::rate_in_tx;
pub(super) use records::{get, list};
pub(super) use report::{Keys, Row, report};
pub(super) use runs::{
    Taken, keep_chunk, kept_text, open_in_tx, orphans, release, renew, standing_in_tx, state_in_tx, stop_in_tx,
    take_over_in_tx, ticket_of,
};

use super::reply::Mode;

/// A run's claim: every write of it requires that reply, attempt and owner still are these.
#[derive(Clone, Debug)]
pub(super) struct Run {
    pub(super) reply_id: Uuid,
    /// None for a text that is written anew.
    pub(super) ticket_id: Option<Uuid>,
    /// The ticket's when the run began.
    pub(super) ticket_version: i32,
    pub(super) requested_by: Uuid,
    pub(super) mode: Mode,
    pub(super) attempt: i32,
    pub(super) answers_seq: i32,
    pub(super) owner: Uuid,
    /// All that its calls may take together.
    pub(super) tokens_at_most: i64,
}
