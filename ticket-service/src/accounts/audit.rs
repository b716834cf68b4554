//! Audit events: what was done to accounts, by whom. Written in the transaction of the change; docs/audit.md lists them.

use serde_json::Value;
use sqlx::{PgConnection, PgPool};
use strum::{EnumIter, IntoEnumIterator as _, IntoStaticStr};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::error::Result;

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, IntoStaticStr)]
pub(crate) enum Action {
    /// A refresh token was sent again after its time; the session was ended.
    #[strum(serialize = "session.token_reused")]
    SessionTokenReused,
    /// Sessions were ended by their user.
    #[strum(serialize = "session.revoked")]
    SessionRevoked,
    /// The user set a new password.
    #[strum(serialize = "user.password_changed")]
    PasswordChanged,
    /// A new password was set by a token from an e-mail.
    #[strum(serialize = "user.password_reset")]
    PasswordReset,
    /// An admin, or the command that makes the first one, set the role.
    #[strum(serialize = "user.role_set")]
    RoleSet,
    /// An admin shut the account.
    #[strum(serialize = "user.disabled")]
    Disabled,
    /// An admin opened the account again.
    #[strum(serialize = "user.enabled")]
    Enabled,
    /// An admin read a ticket that is not theirs.
    #[strum(serialize = "ticket.read_by_admin")]
    TicketRead,
    /// An admin read a page of tickets; recorded of the admin.
    #[strum(serialize = "ticket.listed_by_admin")]
    TicketsListed,
}

impl Action {
    /// What a filter asks for; `None` where it leaves it open.
    pub(super) fn filter(text: &str) -> Result<Option<String>, &'static str> {
        if text.is_empty() {
            return Ok(None);
        }
        let known = Self::iter().map(<&str>::from).find(|known| *known == text);
        known.map(|known| Some(known.to_owned())).ok_or("is not a known action")
    }
}

/// Something that was done.
#[derive(Clone, Debug)]
pub(super) struct Event {
    pub(super) id: Uuid,
    pub(super) action: String,
    pub(super) actor_id: Option<Uuid>,
    pub(super) user_id: Uuid,
    pub(super) details: Value,
    pub(super) create_time: OffsetDateTime,
}

/// Which events.
#[derive(Clone, Debug, Default)]
pub(super) struct Filter {
    pub(super) user_id: Option<Uuid>,
    pub(super) actor_id: Option<Uuid>,
    pub(super) action: Option<String>,
}

/// Records what `actor` did to `user`. `details` is an object of facts, none of them secret.
pub(crate) async fn record_in_tx(
    tx: &mut PgConnection,
    action: Action,
    actor: Option<Uuid>,
    user: Uuid,
    details: Value,
) -> Result<()> {
    sqlx::query!(
        "INSERT INTO audit_events (id, action, actor_id, user_id, details) VALUES ($1, $2, $3, $4, $5)",
        Uuid::now_v7(),
        <&str>::from(action),
        actor,
        user,
        details,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Events, newest first, from the one before `before`.
pub(super) async fn list(pool: &PgPool, filter: &Filter, before: Option<Uuid>, limit: i64) -> Result<Vec<Event>> {
    let events = sqlx::query_as!(
        Event,
        "SELECT id, action, actor_id, user_id, details, create_time FROM audit_events
         WHERE id < $1 AND ($2::uuid IS NULL OR user_id = $2) AND ($3::uuid IS NULL OR actor_id = $3)
           AND ($4::text IS NULL OR action = $4)
         ORDER BY id DESC LIMIT $5",
        before.unwrap_or(Uuid::max()),
        filter.user_id,
        filter.actor_id,
        filter.action,
        limit,
    )
    .fetch_all(pool)
    .await?;
    Ok(events)
}
