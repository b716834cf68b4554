//! Lists of tickets in PostgreSQL: one statement a page.

mod statement;

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sqlx::{PgPool, QueryBuilder};
use time::OffsetDateTime;
use uuid::Uuid;

pub(super) use statement::push;
use statement::rank;

use super::TicketRow;
use crate::error::{Error, Result};
use crate::tickets::filter::{Filter, Order};
use crate::tickets::ticket::Ticket;

/// Where a ticket stands in a list.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::tickets) struct Position {
    /// By relevance, the newest ticket of those that are ranked; else nil.
    top: Uuid,
    /// What the list is ordered by before the id: microseconds of an update, a rank, the bits of a relevance; else 0.
    key: i64,
    id: Uuid,
}

impl Position {
    pub(in crate::tickets) fn to_bytes(self) -> [u8; 40] {
        let mut bytes = [0; 40];
        bytes[..16].copy_from_slice(self.top.as_bytes());
        bytes[16..24].copy_from_slice(&self.key.to_be_bytes());
        bytes[24..].copy_from_slice(self.id.as_bytes());
        bytes
    }

    pub(in crate::tickets) fn from_bytes(bytes: [u8; 40]) -> Self {
        let number = u64::from_be_bytes(std::array::from_fn(|at| bytes[16 + at]));
        Self {
            top: Uuid::from_bytes(std::array::from_fn(|at| bytes[at])),
            key: number.cast_signed(),
            id: Uuid::from_bytes(std::array::from_fn(|at| bytes[24 + at])),
        }
    }

    fn update_time(self) -> Result<OffsetDateTime> {
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.key) * 1000)
            .map_err(|error| Error::internal("a page token holds no time", error))
    }

    fn relevance(self) -> f32 {
        f32::from_bits(u32::try_from(self.key).unwrap_or(0))
    }
}

/// A ticket in a list, and where it stands there.
pub(in crate::tickets) struct Found {
    pub(in crate::tickets) ticket: Ticket,
    pub(in crate::tickets) position: Position,
}

#[derive(sqlx::FromRow)]
struct RankedRow {
    #[sqlx(flatten)]
    ticket: TicketRow,
    relevance: f32,
    top: Uuid,
}

/// The tickets that fit, in order, from the one after `after`; `few` where the tag is rare.
pub(in crate::tickets) async fn list(
    pool: &PgPool,
    sees_only: Option<Uuid>,
    filter: &Filter,
    few: bool,
    after: Option<Position>,
    limit: i64,
) -> Result<Vec<Found>> {
    let mut sql = QueryBuilder::new("");
    push(&mut sql, sees_only, filter, few, after, limit)?;
    // Not persistent: a kept statement may come to be planned for no values in particular.
    if filter.order == Order::Relevance {
        let rows: Vec<RankedRow> = sql.build_query_as().persistent(false).fetch_all(pool).await?;
        return rows.into_iter().map(found_ranked).collect();
    }
    let rows: Vec<TicketRow> = sql.build_query_as().persistent(false).fetch_all(pool).await?;
    rows.into_iter().map(|row| found(row, filter.order)).collect()
}

/// The tags that many tickets have, as far as PostgreSQL keeps count: one in 1000 or more, so that walking through all until a
/// page is full is quicker than to fetch them by their index. The planner is not left to decide: it takes a tag that it knows
/// nothing of to be on up to one ticket in 200, and would walk to the end.
#[derive(Debug, Default)]
pub(in crate::tickets) struct CommonTags(Mutex<Option<(Instant, HashSet<String>)>>);

impl CommonTags {
    /// For so long what was read holds; PostgreSQL itself counts anew every now and then only.
    const FRESH: Duration = Duration::from_secs(60);

    /// Whether few tickets have the tag that is asked for.
    pub(in crate::tickets) async fn few_fit(&self, pool: &PgPool, filter: &Filter) -> Result<bool> {
        let Some(tag) = &filter.tag else {
            return Ok(false);
        };
        if let Some((read, tags)) = &*self.lock()
            && read.elapsed() < Self::FRESH
        {
            return Ok(!tags.contains(tag));
        }
        let common = sqlx::query_scalar!(
            r#"SELECT kept.tag AS "tag!"
               FROM pg_stats, unnest(most_common_elems::text::text[], most_common_elem_freqs) AS kept (tag, frequency)
               WHERE tablename = 'tickets' AND attname = 'tags' AND schemaname = current_schema()
                 AND kept.tag IS NOT NULL AND kept.frequency >= 0.001"#
        );
        let tags: HashSet<String> = common.fetch_all(pool).await?.into_iter().collect();
        let few = !tags.contains(tag);
        *self.lock() = Some((Instant::now(), tags));
        Ok(few)
    }

    fn lock(&self) -> MutexGuard<'_, Option<(Instant, HashSet<String>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn found(row: TicketRow, order: Order) -> Result<Found> {
    let ticket = Ticket::try_from(row)?;
    let key = match order {
        Order::OldestUpdate => i64::try_from(ticket.update_time.unix_timestamp_nanos() / 1000)
            .map_err(|error| Error::internal("a stored time is out of range", error))?,
        Order::Priority => rank(ticket.priority),
        Order::Newest | Order::Relevance => 0,
    };
    let position = Position {
        top: Uuid::nil(),
        key,
        id: ticket.id,
    };
    Ok(Found { ticket, position })
}

fn found_ranked(row: RankedRow) -> Result<Found> {
    let ticket = Ticket::try_from(row.ticket)?;
    let position = Position {
        top: row.top,
        key: i64::from(row.relevance.to_bits()),
        id: ticket.id,
    };
    Ok(Found { ticket, position })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn positions_come_back(top: u128, key: i64, id: u128) {
            let position = Position { top: Uuid::from_u128(top), key, id: Uuid::from_u128(id) };
            prop_assert_eq!(Position::from_bytes(position.to_bytes()), position);
        }
    }
}
