//! What admins do with accounts.

use std::sync::Arc;

use serde_json::json;
use sqlx::PgPool;
use uuid::Uuid;

use super::audit::{self, Action};
use super::revocations::Revocations;
use super::sessions::{self, Reason, Which};
use super::store;
use super::user::User;
use crate::caller::{Caller, Role};
use crate::db::idempotency::{self, Key};
use crate::db::tx::{begin, retrying};
use crate::error::{Error, Result};
use crate::page::{self, Page};
use crate::secret::Secret;

/// A change of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Role(Role),
    Disable,
    Enable,
}

/// Accounts, as admins manage them.
pub(crate) struct Users {
    pool: PgPool,
    pub(super) secret: Arc<Secret>,
    revocations: Arc<Revocations>,
}

impl Users {
    /// With what it needs.
    pub(crate) fn new(pool: PgPool, secret: Arc<Secret>, revocations: Arc<Revocations>) -> Self {
        Self {
            pool,
            secret,
            revocations,
        }
    }

    /// An account.
    pub(super) async fn get(&self, id: Uuid) -> Result<User> {
        store::by_id(&self.pool, id).await?.ok_or(Error::UserNotFound)
    }

    /// Accounts, newest first.
    pub(super) async fn list(
        &self,
        caller: &Caller,
        filter: &store::Filter,
        size: i64,
        token: &str,
    ) -> Result<Page<User>> {
        let role = filter.role.map_or("", <&str>::from);
        let email = filter.email.as_deref().unwrap_or_default();
        let tokens = page::Tokens::new(&self.secret, caller, &[b"users", role.as_bytes(), email.as_bytes()]);
        let before = tokens.open(token)?.map(Uuid::from_bytes);
        let rows = store::list(&self.pool, filter, before, size + 1).await?;
        tokens.cut(rows, size, |user| *user.id.as_bytes())
    }

    /// Audit events, newest first.
    pub(super) async fn list_audit(
        &self,
        caller: &Caller,
        filter: &audit::Filter,
        size: i64,
        token: &str,
    ) -> Result<Page<audit::Event>> {
        let id = |id: Option<Uuid>| id.map_or_else(Vec::new, |id| id.as_bytes().to_vec());
        let (user, actor) = (id(filter.user_id), id(filter.actor_id));
        let action = filter.action.as_deref().unwrap_or_default();
        let tokens = page::Tokens::new(&self.secret, caller, &[b"audit", &user, &actor, action.as_bytes()]);
        let before = tokens.open(token)?.map(Uuid::from_bytes);
        let rows = audit::list(&self.pool, filter, before, size + 1).await?;
        tokens.cut(rows, size, |event| *event.id.as_bytes())
    }

    /// Changes an account. Where it is so already, nothing is done.
    pub(super) async fn change(&self, caller: &Caller, id: Uuid, change: Change, key: Option<Key>) -> Result<User> {
        let user = retrying(|| async {
            let mut tx = begin(&self.pool).await?;
            store::lock_admins_in_tx(&mut tx).await?;
            let before = store::lock_in_tx(&mut tx, id).await?;
            if let Some(kept) = idempotency::kept_in_tx(&mut tx, key.as_ref()).await? {
                return Ok(kept);
            }
            let loses_admin = before.role == Role::Admin
                && before.disable_time.is_none()
                && !matches!(change, Change::Role(Role::Admin) | Change::Enable);
            if loses_admin && !store::another_admin_in_tx(&mut tx, id).await? {
                return Err(Error::LastAdmin);
            }
            let (action, details) = match change {
                Change::Role(role) if role != before.role => {
                    store::set_role_in_tx(&mut tx, id, role).await?;
                    let (from, to) = (<&str>::from(before.role), <&str>::from(role));
                    (Some(Action::RoleSet), json!({ "from": from, "to": to }))
                }
                Change::Disable if before.disable_time.is_none() => {
                    store::set_disabled_in_tx(&mut tx, id, true).await?;
                    let ended = sessions::revoke_in_tx(&mut tx, id, Which::All, Reason::Disabled).await?;
                    (Some(Action::Disabled), json!({ "sessions_ended": ended }))
                }
                Change::Enable if before.disable_time.is_some() => {
                    store::set_disabled_in_tx(&mut tx, id, false).await?;
                    (Some(Action::Enabled), json!({}))
                }
                _ => (None, json!({})),
            };
            if let Some(action) = action {
                audit::record_in_tx(&mut tx, action, Some(caller.user), id, details).await?;
            }
            let after = store::lock_in_tx(&mut tx, id).await?;
            idempotency::keep_in_tx(&mut tx, key.as_ref(), &after).await?;
            tx.commit().await?;
            Ok(after)
        })
        .await?;
        if let Err(error) = self.revocations.read().await {
            tracing::warn!(error = &error as &dyn std::error::Error, "revocations cannot be read");
        }
        Ok(user)
    }
}
