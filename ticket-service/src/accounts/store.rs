//! Accounts in PostgreSQL.

use sqlx::PgPool;
use time::OffsetDateTime;
use uuid::Uuid;

use super::service::{Registration, User};
use crate::caller::Role;
use crate::error::{Error, Result};

/// A user's row.
struct Row {
    id: Uuid,
    email: String,
    display_name: String,
    role: String,
    create_time: OffsetDateTime,
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
        })
    }
}

/// Keeps a new account.
pub(super) async fn create(pool: &PgPool, new: &Registration, password_hash: &str, role: Role) -> Result<User> {
    let row = sqlx::query_as!(
        Row,
        "INSERT INTO users (id, email, display_name, password_hash, role) VALUES ($1, $2, $3, $4, $5)
         RETURNING id, email, display_name, role, create_time",
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
    let mut tx = pool.begin().await?;
    // Two at once take turns; the number is this command's own.
    sqlx::query!("SELECT pg_advisory_xact_lock(7310001)")
        .fetch_one(&mut *tx)
        .await?;
    let created = sqlx::query!(
        "INSERT INTO users (id, email, display_name, password_hash, role)
         SELECT $1, $2, $3, $4, 'ADMIN' WHERE NOT EXISTS (SELECT FROM users WHERE role = 'ADMIN')",
        Uuid::now_v7(),
        new.email.as_str(),
        new.display_name,
        password_hash,
    )
    .execute(&mut *tx)
    .await
    .map_err(email_taken)?;
    tx.commit().await?;
    Ok(created.rows_affected() == 1)
}

/// The account of an e-mail address, with its password's hash.
pub(super) async fn by_email(pool: &PgPool, email: &str) -> Result<Option<(User, String)>> {
    let found = sqlx::query!(
        "SELECT id, email, display_name, role, create_time, password_hash FROM users WHERE email = $1",
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
    };
    Ok(Some((row.try_into()?, found.password_hash)))
}

/// The account of an id.
pub(super) async fn by_id(pool: &PgPool, id: Uuid) -> Result<Option<User>> {
    sqlx::query_as!(
        Row,
        "SELECT id, email, display_name, role, create_time FROM users WHERE id = $1",
        id
    )
    .fetch_optional(pool)
    .await?
    .map(User::try_from)
    .transpose()
}

fn email_taken(error: sqlx::Error) -> Error {
    match error.as_database_error().and_then(|error| error.constraint()) {
        Some("users_email_key") => Error::EmailTaken,
        _ => error.into(),
    }
}
