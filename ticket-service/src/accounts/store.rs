//! Accounts in PostgreSQL.

use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

use super::audit::{self, Action};
use super::user::{Registration, User};
use crate::caller::Role;
use crate::db::tx::begin;
use crate::error::{Error, Result};

/// A user's row.
struct Row {
    id: Uuid,
    email: String,
    display_name: String,
    role: String,
    create_time: OffsetDateTime,
    disable_time: Option<OffsetDateTime>,
}

impl TryFrom<Row> for User {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let role = row
            .role
            .parse()
            .map_err(|error| Error::internal("a stored role is unknown", error))?;
        Ok(Self {
            id: row.id,
            email: row.email,
            display_name: row.display_name,
            role,
            create_time: row.create_time,
            disable_time: row.disable_time,
        })
    }
}

/// Keeps a new account.
pub(super) async fn create(pool: &PgPool, new: &Registration, password_hash: &str, role: Role) -> Result<User> {
    let row = sqlx::query_as!(
        Row,
        "INSERT INTO users (id, email, display_name, password_hash, role) VALUES ($1, $2, $3, $4, $5)
         RETURNING id, email, display_name, role, create_time, disable_time",
        Uuid::now_v7(),
        new.email.as_str(),
        new.display_name,
        password_hash,
        <&str>::from(role),
    )
    .fetch_one(pool)
    .await
    .map_err(email_taken)?;
    row.try_into()
}

/// Keeps a new admin's account where there is no admin; else false.
pub(super) async fn create_first_admin(pool: &PgPool, new: &Registration, password_hash: &str) -> Result<bool> {
    let mut tx = begin(pool).await?;
    lock_admins_in_tx(&mut tx).await?;
    let created = sqlx::query!(
        "INSERT INTO users (id, email, display_name, password_hash, role)
         SELECT $1, $2, $3, $4, 'ADMIN' WHERE NOT EXISTS (SELECT FROM users WHERE role = 'ADMIN')
         RETURNING id",
        Uuid::now_v7(),
        new.email.as_str(),
        new.display_name,
        password_hash,
    )
    .fetch_optional(&mut *tx)
    .await
    .map_err(email_taken)?;
    if let Some(created) = &created {
        let details = serde_json::json!({ "to": "ADMIN", "by": "create-admin" });
        audit::record_in_tx(&mut tx, Action::RoleSet, None, created.id, details).await?;
    }
    tx.commit().await?;
    Ok(created.is_some())
}

/// Whoever changes who is an admin takes turns.
pub(super) async fn lock_admins_in_tx(tx: &mut PgConnection) -> Result<()> {
    // The number is this lock's own.
    sqlx::query!("SELECT pg_advisory_xact_lock(7310001)")
        .fetch_one(tx)
        .await?;
    Ok(())
}

/// The account of an e-mail address, with its password's hash.
pub(super) async fn by_email(pool: &PgPool, email: &str) -> Result<Option<(User, String)>> {
    let found = sqlx::query!(
        "SELECT id, email, display_name, role, create_time, disable_time, password_hash FROM users WHERE email = $1",
        email
    )
    .fetch_optional(pool)
    .await?;
    let Some(found) = found else {
        return Ok(None);
    };
    let row = Row {
        id: found.id,
        email: found.email,
        display_name: found.display_name,
        role: found.role,
        create_time: found.create_time,
        disable_time: found.disable_time,
    };
    Ok(Some((row.try_into()?, found.password_hash)))
}

/// The account of an id.
pub(super) async fn by_id(pool: &PgPool, id: Uuid) -> Result<Option<User>> {
    sqlx::query_as!(
        Row,
        "SELECT id, email, display_name, role, create_time, disable_time FROM users WHERE id = $1",
        id
    )
    .fetch_optional(pool)
    .await?
    .map(User::try_from)
    .transpose()
}

/// The account of an id, which stays as it is until the transaction ends.
pub(super) async fn lock_in_tx(tx: &mut PgConnection, id: Uuid) -> Result<User> {
    sqlx::query_as!(
        Row,
        "SELECT id, email, display_name, role, create_time, disable_time FROM users WHERE id = $1 FOR NO KEY UPDATE",
        id
    )
    .fetch_optional(tx)
    .await?
    .ok_or(Error::UserNotFound)?
    .try_into()
}

/// Which accounts.
#[derive(Clone, Debug, Default)]
pub(super) struct Filter {
    pub(super) role: Option<Role>,
    pub(super) email: Option<String>,
}

/// Accounts, newest first, from the one before `before`.
pub(super) async fn list(pool: &PgPool, filter: &Filter, before: Option<Uuid>, limit: i64) -> Result<Vec<User>> {
    let rows = sqlx::query_as!(
        Row,
        "SELECT id, email, display_name, role, create_time, disable_time FROM users
         WHERE id < $1 AND ($2::text IS NULL OR role = $2) AND ($3::text IS NULL OR email = $3)
         ORDER BY id DESC LIMIT $4",
        before.unwrap_or(Uuid::max()),
        filter.role.map(<&str>::from),
        filter.email,
        limit,
    )
    .fetch_all(pool)
    .await?;
    rows.into_iter().map(User::try_from).collect()
}

/// The hash of a user's password.
pub(super) async fn password_hash(pool: &PgPool, id: Uuid) -> Result<Option<String>> {
    Ok(sqlx::query_scalar!("SELECT password_hash FROM users WHERE id = $1", id)
        .fetch_optional(pool)
        .await?)
}

/// Sets the hash of a user's password, where it still is `instead_of`; else false.
pub(super) async fn set_password_in_tx(
    tx: &mut PgConnection,
    id: Uuid,
    hash: &str,
    instead_of: Option<&str>,
) -> Result<bool> {
    let set = sqlx::query!(
        "UPDATE users SET password_hash = $2 WHERE id = $1 AND ($3::text IS NULL OR password_hash = $3)",
        id,
        hash,
        instead_of,
    )
    .execute(tx)
    .await?;
    Ok(set.rows_affected() == 1)
}

/// Sets what a user may do.
pub(super) async fn set_role_in_tx(tx: &mut PgConnection, id: Uuid, role: Role) -> Result<()> {
    sqlx::query!(
        "UPDATE users SET role = $2, access_change_time = clock_timestamp() WHERE id = $1",
        id,
        <&str>::from(role),
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Disables or enables a user.
pub(super) async fn set_disabled_in_tx(tx: &mut PgConnection, id: Uuid, disabled: bool) -> Result<()> {
    sqlx::query!(
        "UPDATE users SET disable_time = CASE WHEN $2 THEN clock_timestamp() END, access_change_time = clock_timestamp()
         WHERE id = $1",
        id,
        disabled,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Whether there is an enabled admin besides this user.
pub(super) async fn another_admin_in_tx(tx: &mut PgConnection, id: Uuid) -> Result<bool> {
    let other = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM users WHERE role = 'ADMIN' AND disable_time IS NULL AND id <> $1) AS "other!""#,
        id
    )
    .fetch_one(tx)
    .await?;
    Ok(other)
}

fn email_taken(error: sqlx::Error) -> Error {
    match error.as_database_error().and_then(|error| error.constraint()) {
        Some("users_email_key") => Error::EmailTaken,
        _ => error.into(),
    }
}

/// Whether this is an agent or admin whose account is enabled, and stays that until the transaction ends.
pub(crate) async fn is_enabled_staff_in_tx(tx: &mut PgConnection, id: Uuid) -> Result<bool> {
    let found = sqlx::query!(
        "SELECT 1 AS found FROM users WHERE id = $1 AND role IN ('AGENT', 'ADMIN') AND disable_time IS NULL FOR SHARE",
        id
    )
    .fetch_optional(tx)
    .await?;
    Ok(found.is_some())
}
