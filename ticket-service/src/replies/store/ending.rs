//! The end of runs: kept in one transaction with the message, the calls and the budgets, or not at all.

use sqlx::{PgConnection, PgPool};

use super::runs::{forget_chunks_in_tx, seen, state_in_tx};
use super::{Run, budgets, ledger};
use crate::db::tx::{begin, retrying};
use crate::error::{Error, Result};
use crate::replies::calls::Calls;
use crate::replies::fence;
use crate::replies::judgement::Triage;
use crate::replies::reply::{End, Failure, Mode, State, Usage};
use crate::tickets::change::{Judgement, judge_in_tx};
use crate::tickets::store::{self as tickets, Locked, Post};
use crate::tickets::ticket::{AuthorKind, Handler, Visibility};

/// How a run ended, before anything is kept.
#[derive(Clone, Debug)]
pub(in crate::replies) enum Outcome {
    /// The answer is whole.
    Whole,
    /// It is not.
    Failed(Failure),
    /// The assistant wants a person to answer, and why.
    HandedOff(String),
    /// Someone ended it: the row says how.
    Stopped,
}

/// Keeps a run's end, its message and its calls in one transaction, where the run is still this process's; `None` where it goes
/// on elsewhere.
pub(in crate::replies) async fn close(
    pool: &PgPool,
    run: &Run,
    outcome: &Outcome,
    text: &str,
    calls: &Calls,
) -> Result<Option<End>> {
    retrying(|| async {
        let mut tx = begin(pool).await?;
        let end = close_in_tx(&mut tx, run, outcome, text, calls).await?;
        tx.commit().await?;
        Ok(end)
    })
    .await
}

async fn close_in_tx(
    tx: &mut PgConnection,
    run: &Run,
    outcome: &Outcome,
    text: &str,
    calls: &Calls,
) -> Result<Option<End>> {
    let ticket = match run.ticket_id {
        Some(ticket_id) => Some(tickets::lock_in_tx(tx, None, ticket_id).await?),
        None => None,
    };
    ledger::close_in_tx(tx, run, calls).await?;
    let usage = ledger::usage_in_tx(tx, run.reply_id).await?;
    let end = match &ticket {
        Some(ticket) => end_of_ticket_in_tx(tx, run, ticket, outcome, text, usage).await?,
        None => end_in_tx(tx, run, plain(run.mode, outcome), text)
            .await?
            .then(|| told(outcome, text, usage)),
    };
    let end = match end {
        Some(end) => Some(end),
        None => match state_in_tx(tx, run.reply_id).await? {
            State::Cancelled => Some(End::Cancelled),
            State::Superseded => Some(End::Superseded),
            // It was taken over, and what became of it since is not this run's to tell.
            _ => None,
        },
    };
    // The desk's row is everybody's: it is locked last.
    budgets::settle_in_tx(tx, run.reply_id, run.attempt).await?;
    Ok(end)
}

/// What is kept of an end.
#[derive(Clone, Copy)]
struct Closing<'a> {
    state: State,
    failure: Option<Failure>,
    hand_off_why: Option<&'a str>,
    applied: Option<bool>,
}

/// An end that nothing stands in the way of.
fn plain(mode: Mode, outcome: &Outcome) -> Closing<'_> {
    let closing = |state| Closing {
        state,
        failure: None,
        hand_off_why: None,
        applied: None,
    };
    match outcome {
        Outcome::Whole if mode == Mode::Post => closing(State::Completed),
        Outcome::Whole => closing(State::Drafted),
        Outcome::Stopped => closing(State::Superseded),
        Outcome::Failed(failure) => Closing {
            failure: Some(*failure),
            ..closing(State::Failed)
        },
        Outcome::HandedOff(why) => Closing {
            hand_off_why: Some(why),
            ..closing(State::HandedOff)
        },
    }
}

/// How an end is told that nothing came of but itself.
fn told(outcome: &Outcome, text: &str, usage: Option<Usage>) -> End {
    match outcome {
        Outcome::Whole => End::Drafted { usage },
        Outcome::Stopped => End::Superseded,
        Outcome::HandedOff(why) => End::HandedOff { why: why.clone() },
        Outcome::Failed(reason) => End::Failed {
            reason: *reason,
            partial_text: text.to_owned(),
        },
    }
}

/// Ends a run and does to its ticket what came of it; `None` where the run is this process's no more.
async fn end_of_ticket_in_tx(
    tx: &mut PgConnection,
    run: &Run,
    ticket: &Locked,
    outcome: &Outcome,
    text: &str,
    usage: Option<Usage>,
) -> Result<Option<End>> {
    let answers = matches!(outcome, Outcome::Whole | Outcome::HandedOff(_));
    let overtaken = run.mode == Mode::Post && answers && !fence::may_post(run.answers_seq, seen(ticket));
    let outcome = if overtaken { &Outcome::Stopped } else { outcome };
    let mut closing = plain(run.mode, outcome);
    if let (Mode::Triage, Outcome::Whole) = (run.mode, outcome) {
        closing.applied = Some(apply_in_tx(tx, run, ticket, text).await?);
    }
    if !end_in_tx(tx, run, closing, text).await? {
        return Ok(None);
    }
    match (run.mode, outcome) {
        (Mode::Post, Outcome::Whole) => {
            let post = Post {
                author_id: None,
                author_kind: AuthorKind::Assistant,
                body: text,
                visibility: Visibility::Public,
                reply_id: Some(run.reply_id),
            };
            let message = Box::new(tickets::post_in_tx(tx, ticket, post).await?);
            return Ok(Some(End::Completed { message, usage }));
        }
        (_, Outcome::HandedOff(_)) => hand_off_in_tx(tx, run, ticket).await?,
        _ => {}
    }
    Ok(Some(told(outcome, text, usage)))
}

/// Sets a ticket as it was judged, and makes it a person's where one is needed; false where it has changed since, or the run is
/// this process's no more.
async fn apply_in_tx(tx: &mut PgConnection, run: &Run, ticket: &Locked, text: &str) -> Result<bool> {
    if !is_mine_in_tx(tx, run).await? {
        return Ok(false);
    }
    let triage: Triage =
        serde_json::from_str(text).map_err(|error| Error::internal("a judgement cannot be read", error))?;
    let judgement = Judgement {
        category: triage.category,
        priority: triage.priority,
        language: &triage.language,
    };
    let applied = judge_in_tx(tx, ticket.id, run.ticket_version, &judgement).await?;
    if applied && triage.needs_human {
        hand_off_in_tx(tx, run, ticket).await?;
    }
    Ok(applied)
}

/// Makes a ticket a person's; what is a person's already stays as it is.
async fn hand_off_in_tx(tx: &mut PgConnection, run: &Run, ticket: &Locked) -> Result<()> {
    if ticket.handler == Handler::Human {
        return Ok(());
    }
    // Of what is kept for staff, the requester learns nothing.
    let told = (run.mode == Mode::Post).then_some(run.reply_id);
    tickets::hand_off_in_tx(tx, ticket, told).await
}

async fn is_mine_in_tx(tx: &mut PgConnection, run: &Run) -> Result<bool> {
    let mine = sqlx::query_scalar!(
        "SELECT 1 AS mine FROM replies WHERE id = $1 AND attempt = $2 AND owner = $3 AND state = 'RUNNING' FOR UPDATE",
        run.reply_id,
        run.attempt,
        run.owner,
    )
    .fetch_optional(tx)
    .await?;
    Ok(mine.is_some())
}

/// Ends a run where it is still this process's; else false.
async fn end_in_tx(tx: &mut PgConnection, run: &Run, closing: Closing<'_>, text: &str) -> Result<bool> {
    // A posted answer's text is its message.
    let text = Some(text).filter(|text| closing.state != State::Completed && !text.is_empty());
    let ended = sqlx::query!(
        "UPDATE replies SET state = $4, text = $5, failure_reason = $6, hand_off_why = $7, applied = $8, end_time = now()
         WHERE id = $1 AND attempt = $2 AND owner = $3 AND state = 'RUNNING'",
        run.reply_id,
        run.attempt,
        run.owner,
        <&str>::from(closing.state),
        text,
        closing.failure.map(<&str>::from),
        closing.hand_off_why,
        closing.applied,
    )
    .execute(&mut *tx)
    .await?;
    let ended = ended.rows_affected() == 1;
    if ended {
        forget_chunks_in_tx(tx, run.reply_id).await?;
    }
    Ok(ended)
}
