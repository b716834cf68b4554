//! What a ticket can be found by: its search document in PostgreSQL, one for the desk and one for the customer, without
//! internal notes. Migration 0009 says how large a document gets; words beyond that are not found, and nothing fails.

use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use crate::error::Result;
use crate::tickets::ticket::Visibility;

/// Whether a query has a word that the index can look for: not only punctuation, or words that must not be there.
pub(in crate::tickets) async fn is_searchable(pool: &PgPool, query: &str) -> Result<bool> {
    // Of such a query, `querytree` leaves nothing, or T, for true.
    let looks_for = sqlx::query_scalar!(
        r#"SELECT querytree(websearch_to_tsquery('simple', $1)) AS "looks_for!""#,
        query
    )
    .fetch_one(pool)
    .await?;
    Ok(!matches!(&*looks_for, "" | "T"))
}

/// Writes the document of a new ticket.
pub(in crate::tickets) async fn create_in_tx(
    tx: &mut PgConnection,
    ticket_id: Uuid,
    title: &str,
    description: &str,
) -> Result<()> {
    sqlx::query!(
        "INSERT INTO ticket_search (ticket_id, public, everything)
         SELECT $1, words, words FROM (
             SELECT setweight(to_tsvector('simple', $2), 'A') || setweight(to_tsvector('simple', $3), 'B')
         ) AS document (words)",
        ticket_id,
        title,
        description,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Adds a new message's words, as far as there is room. The ticket's row is locked.
pub(in crate::tickets) async fn append_in_tx(
    tx: &mut PgConnection,
    ticket_id: Uuid,
    body: &str,
    visibility: Visibility,
) -> Result<()> {
    let appended = sqlx::query!(
        "UPDATE ticket_search SET
             public = CASE WHEN $3 THEN ticket_search_append(public, words) ELSE public END,
             everything = ticket_search_append(everything, words)
         FROM (SELECT ticket_search_words($2)) AS message (words)
         WHERE ticket_id = $1",
        ticket_id,
        body,
        visibility == Visibility::Public,
    )
    .execute(&mut *tx)
    .await?;
    if appended.rows_affected() == 0 {
        // Opened by a replica that knows nothing of search yet.
        rebuild_in_tx(tx, ticket_id).await?;
    }
    Ok(())
}

/// Makes the document anew from title, description and messages; for when one of them has changed. The ticket's row is
/// locked.
pub(in crate::tickets) async fn rebuild_in_tx(tx: &mut PgConnection, ticket_id: Uuid) -> Result<()> {
    sqlx::query!(
        "INSERT INTO ticket_search (ticket_id, public, everything)
         VALUES ($1, ticket_search_of($1, false), ticket_search_of($1, true))
         ON CONFLICT (ticket_id) DO UPDATE SET public = excluded.public, everything = excluded.everything",
        ticket_id,
    )
    .execute(tx)
    .await?;
    Ok(())
}
