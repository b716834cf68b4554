//! The statement of a page of a list, with just the predicates that are asked for.
//!
//! No index has all tickets of several statuses in order. So such a list is put together of branches, one for each status
//! (and priority), each of which an index has in order, and PostgreSQL merges them: it reads little more than a page of
//! rows. Further filters are looked at row by row there, or, where few tickets fit one, these are fetched and sorted, which
//! the planner decides by the values at hand. Migration 0009 has the indexes.

use sqlx::{Postgres, QueryBuilder};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::Position;
use crate::error::Result;
use crate::tickets::filter::{Assignee, Filter, Order};
use crate::tickets::ticket::{Category, Priority, Status};

/// So many of the newest matches are ranked by relevance; no index can give that order.
const RANKED: i64 = 500;

/// Ids are given here, creation times by the database: no two clocks are further apart than this.
const CLOCKS_APART: Duration = Duration::hours(1);

const COLUMNS: &str = "t.id, t.number, t.title, t.description, t.status, t.priority, t.category, t.tags, t.requester_id, \
     t.assignee_id, t.handler, t.language, t.version, t.create_time, t.update_time, t.first_response_time, t.resolve_time";

/// As [`rank`] has it.
const RANK: &str = "CASE t.priority WHEN 'URGENT' THEN 4 WHEN 'HIGH' THEN 3 WHEN 'NORMAL' THEN 2 ELSE 1 END::bigint";

/// The orders. See migration 0009 for NULLS LAST; ids are never null.
const BY_PRIMARY_KEY: &str = " ORDER BY t.id DESC";
const NEWEST: &str = " ORDER BY t.id DESC NULLS LAST";
/// Where the assignee is fixed: IS NULL, unlike =, lets the planner see the index's order only if the column stands here.
const NEWEST_OF_ASSIGNEE: &str = " ORDER BY t.assignee_id, t.id DESC NULLS LAST";
const OLDEST_UPDATE: &str = " ORDER BY t.update_time, t.id";

const STATUSES: [Status; 5] = [
    Status::Open,
    Status::InProgress,
    Status::WaitingOnCustomer,
    Status::Resolved,
    Status::Closed,
];
const PRIORITIES: [Priority; 4] = [Priority::Urgent, Priority::High, Priority::Normal, Priority::Low];

/// How urgent a priority is.
pub(super) fn rank(priority: Priority) -> i64 {
    match priority {
        Priority::Urgent => 4,
        Priority::High => 3,
        Priority::Normal => 2,
        Priority::Low => 1,
    }
}

/// Puts together the statement of [`super::list`]; `few` where the tag is rare.
pub(in crate::tickets) fn push(
    sql: &mut QueryBuilder<Postgres>,
    sees_only: Option<Uuid>,
    filter: &Filter,
    few: bool,
    after: Option<Position>,
    limit: i64,
) -> Result<()> {
    let select = Select {
        sees_only,
        filter,
        few,
        after,
        limit,
    };
    match filter.order {
        Order::Newest => select.push_newest(sql, COLUMNS),
        Order::OldestUpdate => select.push_oldest_update(sql),
        Order::Priority => select.push_by_priority(sql),
        Order::Relevance => select.push_ranked(sql),
    }
}

/// What all parts of a statement need.
#[derive(Clone, Copy)]
struct Select<'a> {
    sees_only: Option<Uuid>,
    filter: &'a Filter,
    few: bool,
    after: Option<Position>,
    limit: i64,
}

/// A part of a list that an index has in order: what is `None` is not fixed, and the filter's values for it are looked at
/// row by row.
#[derive(Clone, Copy, Default)]
struct Branch {
    status: Option<Status>,
    priority: Option<Priority>,
    category: Option<Category>,
}

impl Select<'_> {
    fn push_newest(self, sql: &mut QueryBuilder<Postgres>, columns: &str) -> Result<()> {
        let Filter {
            statuses,
            priorities,
            categories,
            ..
        } = self.filter;
        if self.is_small() {
            return self.push_merged(sql, columns, &[Branch::default()], NEWEST, NEWEST);
        }
        if self.filter.assignee.is_some() {
            return self.push_merged(sql, columns, &self.by_status(), NEWEST_OF_ASSIGNEE, NEWEST_OF_ASSIGNEE);
        }
        if !statuses.is_empty() || !priorities.is_empty() {
            return self.push_merged(sql, columns, &self.by_status_and_priority(), NEWEST, NEWEST);
        }
        if !categories.is_empty() {
            let branches: Vec<_> = categories
                .iter()
                .map(|&category| Branch {
                    category: Some(category),
                    ..Branch::default()
                })
                .collect();
            return self.push_merged(sql, columns, &branches, NEWEST, NEWEST);
        }
        self.push_merged(sql, columns, &[Branch::default()], BY_PRIMARY_KEY, BY_PRIMARY_KEY)
    }

    fn push_oldest_update(self, sql: &mut QueryBuilder<Postgres>) -> Result<()> {
        if self.is_small() {
            return self.push_merged(sql, COLUMNS, &[Branch::default()], OLDEST_UPDATE, OLDEST_UPDATE);
        }
        self.push_merged(sql, COLUMNS, &self.by_status(), OLDEST_UPDATE, OLDEST_UPDATE)
    }

    fn push_by_priority(self, sql: &mut QueryBuilder<Postgres>) -> Result<()> {
        let order = format!(" ORDER BY {RANK} DESC, t.id DESC");
        if self.is_small() {
            return self.push_merged(sql, COLUMNS, &[Branch::default()], &order, &order);
        }
        let mut branches = self.by_status_and_priority();
        // Pages before this one are through with what is more urgent.
        branches.retain(|branch| {
            let ranked = branch.priority.map(rank);
            self.after.is_none_or(|after| ranked <= Some(after.key))
        });
        self.push_merged(sql, COLUMNS, &branches, NEWEST, &order)
    }

    /// The newest that fit, as many as are ranked, and of those the page.
    fn push_ranked(self, sql: &mut QueryBuilder<Postgres>) -> Result<()> {
        let newest = Select { limit: RANKED, ..self };
        sql.push("WITH newest AS MATERIALIZED (");
        newest.push_newest(sql, "t.id, t.assignee_id")?;
        sql.push("), ranked AS MATERIALIZED (SELECT s.ticket_id, ts_rank(s.");
        sql.push(self.document()).push(", ");
        self.push_query(sql);
        sql.push(") AS relevance FROM newest JOIN ticket_search s ON s.ticket_id = newest.id) SELECT ");
        sql.push(COLUMNS);
        sql.push(
            ", ranked.relevance, (SELECT id FROM newest ORDER BY id DESC LIMIT 1) AS top
             FROM ranked JOIN tickets t ON t.id = ranked.ticket_id",
        );
        if let Some(after) = self.after {
            sql.push(" WHERE (ranked.relevance, t.id) < (")
                .push_bind(after.relevance());
            sql.push(", ").push_bind(after.id).push(")");
        }
        sql.push(" ORDER BY ranked.relevance DESC, t.id DESC LIMIT ")
            .push_bind(self.limit);
        Ok(())
    }

    /// Whether the list is of one user's tickets, or of those with a rare tag: these are fetched by an index of theirs, and
    /// what stands there is looked at.
    fn is_small(self) -> bool {
        self.few || self.sees_only.or(self.filter.requester).is_some()
    }

    fn by_status(self) -> Vec<Branch> {
        let statuses = or_all(&self.filter.statuses, &STATUSES);
        statuses
            .iter()
            .map(|&status| Branch {
                status: Some(status),
                ..Branch::default()
            })
            .collect()
    }

    fn by_status_and_priority(self) -> Vec<Branch> {
        let priorities = or_all(&self.filter.priorities, &PRIORITIES);
        let of_status = |branch| {
            priorities.iter().map(move |&priority| Branch {
                priority: Some(priority),
                ..branch
            })
        };
        self.by_status().into_iter().flat_map(of_status).collect()
    }

    /// A page of each branch in its order, and of these the page in the whole's.
    fn push_merged(
        self,
        sql: &mut QueryBuilder<Postgres>,
        columns: &str,
        branches: &[Branch],
        of_each: &str,
        of_all: &str,
    ) -> Result<()> {
        if let [branch] = branches {
            return self.push_branch(sql, columns, *branch, of_each);
        }
        sql.push("SELECT * FROM (");
        for (at, branch) in branches.iter().enumerate() {
            sql.push(if at == 0 { "(" } else { " UNION ALL (" });
            self.push_branch(sql, columns, *branch, of_each)?;
            sql.push(")");
        }
        sql.push(") t").push(of_all).push(" LIMIT ").push_bind(self.limit);
        Ok(())
    }

    fn push_branch(self, sql: &mut QueryBuilder<Postgres>, columns: &str, branch: Branch, order: &str) -> Result<()> {
        sql.push("SELECT ").push(columns).push(" FROM tickets t");
        if self.filter.query.is_some() {
            sql.push(" JOIN ticket_search s ON s.ticket_id = t.id");
        }
        sql.push(" WHERE true");
        self.push_scope(sql);
        self.push_facets(sql, branch);
        self.push_after(sql, branch)?;
        sql.push(order).push(" LIMIT ").push_bind(self.limit);
        Ok(())
    }

    fn push_scope(self, sql: &mut QueryBuilder<Postgres>) {
        let filter = self.filter;
        // Both, where a customer names someone: another's tickets are none then.
        for requester in [self.sees_only, filter.requester].into_iter().flatten() {
            sql.push(" AND t.requester_id = ").push_bind(requester);
        }
        match filter.assignee {
            Some(Assignee::Nobody) => {
                sql.push(" AND t.assignee_id IS NULL");
            }
            Some(Assignee::Agent(agent)) => {
                sql.push(" AND t.assignee_id = ").push_bind(agent);
            }
            None => {}
        }
        if let Some(tag) = &filter.tag {
            sql.push(" AND t.tags @> ").push_bind(vec![tag.clone()]);
            if self.few {
                // The condition of the tags' index, which is not used without it, nor good for a common tag.
                sql.push(" AND t.tags <> '{}'");
            }
        }
        if let Some(from) = filter.created_from {
            sql.push(" AND t.create_time >= ").push_bind(from);
            sql.push(" AND t.id >= ")
                .push_bind(first_id(from.saturating_sub(CLOCKS_APART)));
            if filter.order == Order::OldestUpdate {
                // None is updated before it is opened; this is where the walk begins.
                sql.push(" AND t.update_time >= ").push_bind(from);
            }
        }
        if let Some(before) = filter.created_before {
            sql.push(" AND t.create_time < ").push_bind(before);
            sql.push(" AND t.id < ")
                .push_bind(first_id(before.saturating_add(CLOCKS_APART)));
        }
        if filter.query.is_some() {
            sql.push(" AND s.").push(self.document()).push(" @@ ");
            self.push_query(sql);
            // Of a query without a word to look for, `querytree` leaves nothing, or T, for true. The planner sees that none
            // fits, and nothing is read.
            sql.push(" AND querytree(");
            self.push_query(sql);
            sql.push(") NOT IN ('', 'T')");
        }
    }

    fn push_facets(self, sql: &mut QueryBuilder<Postgres>, branch: Branch) {
        let filter = self.filter;
        push_facet(sql, "status", branch.status, &filter.statuses);
        push_facet(sql, "priority", branch.priority, &filter.priorities);
        push_facet(sql, "category", branch.category, &filter.categories);
    }

    fn push_after(self, sql: &mut QueryBuilder<Postgres>, branch: Branch) -> Result<()> {
        let Some(after) = self.after else {
            return Ok(());
        };
        match self.filter.order {
            Order::Newest => {
                sql.push(" AND t.id < ").push_bind(after.id);
            }
            Order::OldestUpdate => {
                sql.push(" AND (t.update_time, t.id) > (")
                    .push_bind(after.update_time()?);
                sql.push(", ").push_bind(after.id).push(")");
            }
            Order::Priority => match branch.priority {
                Some(priority) if rank(priority) < after.key => {}
                Some(_) => {
                    sql.push(" AND t.id < ").push_bind(after.id);
                }
                None => {
                    sql.push(" AND (").push(RANK).push(", t.id) < (").push_bind(after.key);
                    sql.push(", ").push_bind(after.id).push(")");
                }
            },
            Order::Relevance => {
                sql.push(" AND t.id <= ").push_bind(after.top);
            }
        }
        Ok(())
    }

    /// The document that the caller may search, for matches and ranks alike.
    fn document(self) -> &'static str {
        if self.sees_only.is_some() {
            "public"
        } else {
            "everything"
        }
    }

    fn push_query(self, sql: &mut QueryBuilder<Postgres>) {
        sql.push("websearch_to_tsquery('simple', ")
            .push_bind(self.filter.query.clone())
            .push(")");
    }
}

fn or_all<'a, T>(asked: &'a [T], all: &'a [T]) -> &'a [T] {
    if asked.is_empty() { all } else { asked }
}

fn push_facet<T: Copy>(sql: &mut QueryBuilder<Postgres>, column: &'static str, fixed: Option<T>, asked: &[T])
where
    &'static str: From<T>,
{
    if let Some(value) = fixed {
        sql.push(" AND t.")
            .push(column)
            .push(" = ")
            .push_bind(<&'static str>::from(value));
    } else if !asked.is_empty() {
        let words: Vec<&'static str> = asked.iter().map(|&value| value.into()).collect();
        sql.push(" AND t.")
            .push(column)
            .push(" = ANY(")
            .push_bind(words)
            .push(")");
    }
}

/// The least id that a ticket opened at this time, by the clock of whoever gave it, can have.
fn first_id(at: OffsetDateTime) -> Uuid {
    // UUIDv7 begins with 48 bits of milliseconds since 1970.
    let millis = (at.unix_timestamp_nanos() / 1_000_000).clamp(0, (1 << 48) - 1);
    Uuid::from_u128(millis.unsigned_abs() << 80)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_begin_with_their_time() {
        let now = OffsetDateTime::now_utc();
        let id = Uuid::now_v7();
        assert!(first_id(now - Duration::seconds(1)) < id && id < first_id(now + Duration::seconds(1)));
        assert_eq!(first_id(OffsetDateTime::UNIX_EPOCH - CLOCKS_APART), Uuid::nil());
    }
}
