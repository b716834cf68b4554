//! Sessions and their refresh tokens.
//!
//! A token is 256 bits, kept as its SHA-256, and used once: its successor is HMAC(desk secret, token), so a repeat within the
//! grace gets the *same* successor and nothing more has to be kept. Any other used token means that two hold the session, and
//! ends it.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sqlx::postgres::types::PgInterval;
use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

use super::audit::{self, Action};
use crate::caller::{Caller, Role};
use crate::error::{Error, Result};
use crate::secret::Secret;

/// How long the token that was just used is honoured: two tabs that race, an answer that was lost.
const GRACE: Duration = Duration::from_secs(10);
const DAY: Duration = Duration::from_secs(24 * 3600);
/// How long a session lives without being used, and at most. OWASP's session management cheat sheet, for what holds the
/// letters of customers; for staff a working day, in any case.
const CUSTOMER_IDLE: Duration = Duration::from_secs(7 * 24 * 3600);
const CUSTOMER_MOST: Duration = Duration::from_secs(30 * 24 * 3600);
const STAFF_MOST: Duration = DAY;
const TOKEN_BYTES: usize = 32;
/// Characters kept of what a client calls itself.
const USER_AGENT: usize = 200;

/// A refresh token, as its holder has it.
pub(super) struct Token([u8; TOKEN_BYTES]);

impl Token {
    fn random() -> Result<Self> {
        let mut bytes = [0; TOKEN_BYTES];
        aws_lc_rs::rand::fill(&mut bytes).map_err(|error| Error::internal("there is no randomness", error))?;
        Ok(Self(bytes))
    }

    /// The token that a text is.
    pub(super) fn parse(text: &str) -> Option<Self> {
        URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok().map(Self)
    }

    /// As its holder gets it.
    pub(super) fn to_text(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    fn hash(&self) -> Vec<u8> {
        digest(&SHA256, &self.0).as_ref().to_vec()
    }

    fn successor(&self, secret: &Secret) -> Result<Self> {
        let next = secret.fingerprint(&[b"refresh token", &self.0]);
        next.try_into()
            .map(Self)
            .map_err(|_| Error::Internal("a refresh token has the wrong length", None))
    }
}

/// A live session, as its user sees it.
#[derive(Clone, Debug)]
pub(super) struct Session {
    pub(super) id: Uuid,
    pub(super) user_agent: String,
    pub(super) create_time: OffsetDateTime,
    pub(super) use_time: OffsetDateTime,
    pub(super) expire_time: OffsetDateTime,
}

/// A session's newest refresh token, and when it ends unless it is used.
pub(super) struct Granted {
    pub(super) caller: Caller,
    pub(super) token: Token,
    pub(super) expire_time: OffsetDateTime,
}

/// What ends a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum Reason {
    LoggedOut,
    Revoked,
    PasswordChanged,
    PasswordReset,
    Disabled,
    TokenReused,
}

/// Which sessions of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    One(Uuid),
    AllBut(Uuid),
    All,
}

fn lifetimes(role: Role) -> (Duration, Duration) {
    if role.is_staff() {
        (STAFF_MOST, STAFF_MOST)
    } else {
        (CUSTOMER_IDLE, CUSTOMER_MOST)
    }
}

fn interval(duration: Duration) -> Result<PgInterval> {
    PgInterval::try_from(duration).map_err(|error| Error::internal("a duration cannot be written", error))
}

/// Begins a session of a user, with the role that they have now; `None` where their account is disabled. One round trip: it
/// is on the way of every log-in.
pub(super) async fn begin(pool: &PgPool, user: Uuid, user_agent: &str) -> Result<Option<Granted>> {
    let (session, token) = (Uuid::now_v7(), Token::random()?);
    let user_agent: String = user_agent
        .chars()
        .filter(|c| !c.is_control())
        .take(USER_AGENT)
        .collect();
    let (customer_idle, customer_most) = lifetimes(Role::Customer);
    let (staff_idle, staff_most) = lifetimes(Role::Agent);
    // The user's row is locked: nobody disables the account in between, nor changes what it may do.
    let row = sqlx::query!(
        r#"WITH holder AS (
               SELECT id, role FROM users WHERE id = $1 AND disable_time IS NULL FOR NO KEY UPDATE
           ), begun AS (
               INSERT INTO sessions (id, user_id, user_agent, idle_time, end_time)
               SELECT $2, id, $3,
                      now() + CASE WHEN role = 'CUSTOMER' THEN $5::interval ELSE $7::interval END,
                      now() + CASE WHEN role = 'CUSTOMER' THEN $6::interval ELSE $8::interval END
               FROM holder
               RETURNING id, least(idle_time, end_time) AS expire_time
           ), kept AS (
               INSERT INTO refresh_tokens (hash, session_id) SELECT $4, id FROM begun
           )
           SELECT role, expire_time AS "expire_time!" FROM holder, begun"#,
        user,
        session,
        user_agent,
        token.hash(),
        interval(customer_idle)?,
        interval(customer_most)?,
        interval(staff_idle)?,
        interval(staff_most)?,
    )
    .fetch_optional(pool)
    .await?;
    let Some(row) = row else {
        return Ok(None);
    };
    let role = parse_role(&row.role)?;
    let caller = Caller { user, role, session };
    let expire_time = row.expire_time;
    Ok(Some(Granted {
        caller,
        token,
        expire_time,
    }))
}

async fn keep_token(tx: &mut PgConnection, session: Uuid, token: &Token) -> Result<()> {
    sqlx::query!(
        "INSERT INTO refresh_tokens (hash, session_id) VALUES ($1, $2)",
        token.hash(),
        session
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// What came of a refresh token.
pub(super) enum Refreshed {
    /// Its successor.
    Granted(Box<Granted>),
    /// It was used before: the session ended by it, and the transaction must be committed.
    Reused,
}

/// Exchanges a token for its successor.
pub(super) async fn refresh_in_tx(tx: &mut PgConnection, secret: &Secret, token: &Token) -> Result<Refreshed> {
    // The session's row is locked: refreshes of one session take turns.
    let found = sqlx::query!(
        r#"SELECT s.id, s.user_id, u.role,
                  s.revoke_time IS NULL AND least(s.idle_time, s.end_time) > now() AND u.disable_time IS NULL AS "live!"
           FROM refresh_tokens t JOIN sessions s ON s.id = t.session_id JOIN users u ON u.id = s.user_id
           WHERE t.hash = $1 FOR UPDATE OF s"#,
        token.hash(),
    )
    .fetch_optional(&mut *tx)
    .await?
    .filter(|found| found.live)
    .ok_or(Error::RefreshTokenInvalid)?;
    let role = parse_role(&found.role)?;
    let successor = token.successor(secret)?;

    // Under the lock, so that whoever waited for it sees what was done meanwhile.
    let used = sqlx::query!(
        r#"SELECT t.use_time IS NULL AS "unused!", coalesce(t.use_time > now() - $3::interval, false) AS "just_used!",
                  EXISTS (SELECT FROM refresh_tokens WHERE hash = $2 AND use_time IS NULL) AS "is_predecessor!"
           FROM refresh_tokens t WHERE t.hash = $1"#,
        token.hash(),
        successor.hash(),
        interval(GRACE)?,
    )
    .fetch_one(&mut *tx)
    .await?;
    if used.unused {
        sqlx::query!(
            "UPDATE refresh_tokens SET use_time = now() WHERE hash = $1",
            token.hash()
        )
        .execute(&mut *tx)
        .await?;
        keep_token(tx, found.id, &successor).await?;
    } else if !(used.just_used && used.is_predecessor) {
        revoke_in_tx(tx, found.user_id, Which::One(found.id), Reason::TokenReused).await?;
        let details = serde_json::json!({ "session_id": found.id });
        audit::record_in_tx(tx, Action::SessionTokenReused, None, found.user_id, details).await?;
        return Ok(Refreshed::Reused);
    }
    let (idle, _) = lifetimes(role);
    let row = sqlx::query!(
        r#"UPDATE sessions SET use_time = now(), idle_time = now() + $2::interval WHERE id = $1
           RETURNING least(idle_time, end_time) AS "expire_time!""#,
        found.id,
        interval(idle)?,
    )
    .fetch_one(tx)
    .await?;
    let caller = Caller {
        user: found.user_id,
        role,
        session: found.id,
    };
    Ok(Refreshed::Granted(Box::new(Granted {
        caller,
        token: successor,
        expire_time: row.expire_time,
    })))
}

/// Ends sessions of a user; how many were live.
pub(super) async fn revoke_in_tx(tx: &mut PgConnection, user: Uuid, which: Which, reason: Reason) -> Result<u64> {
    let (one, not) = match which {
        Which::One(id) => (Some(id), None),
        Which::AllBut(id) => (None, Some(id)),
        Which::All => (None, None),
    };
    let revoked = sqlx::query!(
        "UPDATE sessions SET revoke_time = clock_timestamp(), revoke_reason = $4
         WHERE user_id = $1 AND revoke_time IS NULL AND least(idle_time, end_time) > now()
           AND ($2::uuid IS NULL OR id = $2) AND ($3::uuid IS NULL OR id <> $3)",
        user,
        one,
        not,
        <&str>::from(reason),
    )
    .execute(tx)
    .await?;
    Ok(revoked.rows_affected())
}

/// Live sessions of a user, newest first, from the one before `before`.
pub(super) async fn list(pool: &PgPool, user: Uuid, before: Option<Uuid>, limit: i64) -> Result<Vec<Session>> {
    let sessions = sqlx::query_as!(
        Session,
        r#"SELECT id, user_agent, create_time, use_time, least(idle_time, end_time) AS "expire_time!" FROM sessions
           WHERE user_id = $1 AND id < $2 AND revoke_time IS NULL AND least(idle_time, end_time) > now()
           ORDER BY id DESC LIMIT $3"#,
        user,
        before.unwrap_or(Uuid::max()),
        limit,
    )
    .fetch_all(pool)
    .await?;
    Ok(sessions)
}

/// What ended or changed lately.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    pub(super) ended_sessions: HashSet<Uuid>,
    /// The role of those whose access changed; `None` for the disabled.
    pub(super) changed_users: HashMap<Uuid, Option<Role>>,
}

/// What ended or changed within the last so many minutes.
pub(super) async fn changes(pool: &PgPool, minutes: i32) -> Result<Changes> {
    let rows = sqlx::query!(
        r#"SELECT id AS "id!", true AS "is_session!", NULL AS role FROM sessions
           WHERE revoke_time > now() - make_interval(mins => $1)
           UNION ALL
           SELECT id, false, CASE WHEN disable_time IS NULL THEN role END FROM users
           WHERE access_change_time > now() - make_interval(mins => $1)"#,
        minutes,
    )
    .fetch_all(pool)
    .await?;
    let mut changes = Changes::default();
    for row in rows {
        if row.is_session {
            changes.ended_sessions.insert(row.id);
        } else {
            let role = row.role.as_deref().map(parse_role).transpose()?;
            changes.changed_users.insert(row.id, role);
        }
    }
    Ok(changes)
}

/// The role that a caller has now; `None` where their session was ended or their account disabled.
pub(super) async fn role_of_live(pool: &PgPool, caller: &Caller) -> Result<Option<Role>> {
    let role = sqlx::query_scalar!(
        "SELECT u.role FROM sessions s JOIN users u ON u.id = s.user_id
         WHERE s.id = $1 AND s.user_id = $2 AND s.revoke_time IS NULL AND u.disable_time IS NULL",
        caller.session,
        caller.user,
    )
    .fetch_optional(pool)
    .await?;
    role.as_deref().map(parse_role).transpose()
}

fn parse_role(stored: &str) -> Result<Role> {
    stored
        .parse()
        .map_err(|error| Error::internal("a stored role is unknown", error))
}

/// Removes a bounded number of sessions that ended over a day ago; true where there may be more.
pub(crate) async fn sweep(pool: &PgPool) -> Result<bool> {
    const BATCH: i64 = 500;
    let removed = sqlx::query!(
        "DELETE FROM sessions WHERE id IN (
             SELECT id FROM sessions WHERE end_time < now() - interval '1 day' ORDER BY end_time LIMIT $1)",
        BATCH,
    )
    .execute(pool)
    .await?;
    Ok(i64::try_from(removed.rows_affected()).is_ok_and(|removed| removed == BATCH))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_back_and_nothing_else_is() {
        let token = Token::random().unwrap();
        assert_eq!(Token::parse(&token.to_text()).unwrap().0, token.0);
        for wrong in [
            "",
            "x",
            "é",
            &"A".repeat(42),
            &"A".repeat(44),
            &"A".repeat(100_000),
            &format!("{}=", token.to_text()),
        ] {
            assert!(Token::parse(wrong).is_none(), "{wrong}");
        }
    }
}
