//! What the assistant is told of a ticket.

use sqlx::PgConnection;

use super::Locked;
use crate::db::word;
use crate::error::Result;
use crate::tickets::ticket::{AuthorKind, Category, Visibility};

/// What has been said in a ticket, as a prompt needs it.
#[derive(Clone, Debug)]
pub(crate) struct Conversation {
    pub(crate) title: String,
    pub(crate) description: String,
    pub(crate) category: Category,
    /// The customer's, where it is known.
    pub(crate) language: String,
    /// The newest messages, oldest first.
    pub(crate) turns: Vec<Turn>,
}

/// A message of a conversation.
#[derive(Clone, Debug)]
pub(crate) struct Turn {
    pub(crate) author_kind: AuthorKind,
    pub(crate) body: String,
    pub(crate) visibility: Visibility,
}

/// A ticket's conversation: its newest `limit` messages, internal notes among them only where nobody but staff will read what
/// comes of it.
pub(crate) async fn conversation_in_tx(
    tx: &mut PgConnection,
    ticket: &Locked,
    for_staff: bool,
    limit: i64,
) -> Result<Conversation> {
    let head = sqlx::query!(
        "SELECT title, description, category, language FROM tickets WHERE id = $1",
        ticket.id
    )
    .fetch_one(&mut *tx)
    .await?;
    let newest_first = sqlx::query!(
        "SELECT author_kind, body, visibility FROM messages
         WHERE ticket_id = $1 AND ($2 OR visibility = 'PUBLIC') ORDER BY seq DESC LIMIT $3",
        ticket.id,
        for_staff,
        limit,
    )
    .fetch_all(tx)
    .await?;
    let turns = newest_first.into_iter().rev().map(|row| {
        Ok(Turn {
            author_kind: word(&row.author_kind)?,
            body: row.body,
            visibility: word(&row.visibility)?,
        })
    });
    Ok(Conversation {
        title: head.title,
        description: head.description,
        category: word(&head.category)?,
        language: head.language,
        turns: turns.collect::<Result<_>>()?,
    })
}
