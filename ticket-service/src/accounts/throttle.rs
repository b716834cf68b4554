//! Bounds on guessing, counted in PostgreSQL for all replicas together, before anything costly is done for a try.
//!
//! A try is counted when it is let through, as if it failed; success takes it off again. So any number of tries at once gets
//! no further than the same number in a row. What is refused is not counted: who waits as long as they are told is let
//! through. docs/decisions/0008-throttling.md says why the bounds are what they are.

mod rule;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use sqlx::{PgConnection, PgPool};

use rule::Rule;

use crate::error::{Error, Result};
use crate::secret::Secret;
use crate::settings;

/// Of an account: at most 14 tries in the first quarter of an hour, then 96 a day.
const LOG_INS: Rule = Rule {
    free: 5,
    first: Duration::from_secs(1),
    most: Duration::from_secs(900),
};
/// Of an e-mail address: each may be a mail to its owner, and makes the link before it useless.
const RESETS: Rule = Rule {
    free: 3,
    first: Duration::from_secs(60),
    most: Duration::from_secs(900),
};
/// After so long without a try, an account's tries are forgotten.
const FORGOTTEN: Duration = Duration::from_secs(24 * 3600);
/// Over which the tries of an address are counted.
const WINDOW: Duration = Duration::from_secs(900);

/// What is tried; each is counted apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    LogIn,
    Refresh,
    PasswordReset,
}

impl Purpose {
    fn name(self) -> &'static [u8] {
        match self {
            Self::LogIn => b"log in",
            Self::Refresh => b"refresh",
            Self::PasswordReset => b"password reset",
        }
    }

    fn rule(self) -> Rule {
        match self {
            Self::LogIn | Self::Refresh => LOG_INS,
            Self::PasswordReset => RESETS,
        }
    }
}

/// Who may try. Every method refuses with [`Error::Throttled`] and the time after which it would not.
pub(crate) struct Throttle {
    pool: PgPool,
    secret: Arc<Secret>,
    /// Of an address within [`WINDOW`]; 0: any number.
    failures_per_address: u32,
}

impl Throttle {
    /// What is stored is hashed with the desk's secret, so that the tables name neither accounts nor addresses.
    pub(crate) fn new(pool: PgPool, secret: Arc<Secret>, settings: &settings::Throttle) -> Self {
        Self {
            pool,
            secret,
            failures_per_address: settings.login_failures_per_address,
        }
    }

    /// Before a password of `account` is checked, for a log-in or a change of it. `account` is the normalised e-mail address,
    /// known or not; `address` is the caller's.
    pub(super) async fn admit(&self, account: &str, address: IpAddr) -> Result<()> {
        self.admit_to(Purpose::LogIn, Some(account), address).await
    }

    /// After that password was right: the account's tries are forgotten, the address's go back by one.
    pub(super) async fn succeeded(&self, account: &str, address: IpAddr) -> Result<()> {
        // The account's row first, as when it is counted: two statements that lock in two orders would wait for each other.
        sqlx::query!(
            "WITH account AS (DELETE FROM throttled_accounts WHERE key = $1 RETURNING key)
             UPDATE throttled_addresses SET try_times = trim_array(try_times, 1)
             WHERE key = $2 AND cardinality(try_times) > 0 AND (SELECT count(*) FROM account) >= 0",
            self.account_key(Purpose::LogIn, account),
            self.address_key(Purpose::LogIn, address),
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// After a refresh token turned out to be nobody's; good ones are never counted.
    pub(super) async fn admit_address(&self, address: IpAddr) -> Result<()> {
        self.admit_to(Purpose::Refresh, None, address).await
    }

    /// Before a link for a new password is made. Counted apart from log-ins, so that asking for links locks nobody out.
    pub(super) async fn admit_reset(&self, account: &str, address: IpAddr) -> Result<()> {
        self.admit_to(Purpose::PasswordReset, Some(account), address).await
    }

    /// Forgets an account's failed log-ins: its owner has shown otherwise who they are.
    pub(super) async fn forget_in_tx(&self, tx: &mut PgConnection, account: &str) -> Result<()> {
        sqlx::query!(
            "DELETE FROM throttled_accounts WHERE key = $1",
            self.account_key(Purpose::LogIn, account)
        )
        .execute(tx)
        .await?;
        Ok(())
    }

    async fn admit_to(&self, purpose: Purpose, account: Option<&str>, address: IpAddr) -> Result<()> {
        let account = account.map(|account| self.account_key(purpose, account));
        let address = self.address_key(purpose, address);
        if account.is_none() && address.is_none() {
            return Ok(());
        }
        // What is refused by what is known already locks and writes nothing. Else each row decides by its newest version, the
        // account's first; where the address's then refuses, which takes tries at the same moment, the account's stays counted:
        // the safe side. Time is that of the clock, not of the statement's begin: one that waited for a row is later than whoever
        // it waited for.
        let counted = sqlx::query!(
            r#"WITH before AS (
                   SELECT (SELECT next_time FROM throttled_accounts WHERE key = $1 AND next_time > clock_timestamp()) AS account_until,
                          (SELECT t FROM throttled_addresses a, unnest(a.try_times) t
                           WHERE a.key = $2 AND t > clock_timestamp() - make_interval(secs => $5) ORDER BY t DESC OFFSET $6::bigint - 1 LIMIT 1)
                          + make_interval(secs => $5) AS address_until
               ), account AS (
                   INSERT INTO throttled_accounts AS a (key, tries, try_time, next_time)
                   SELECT $1, 1, clock_timestamp(), clock_timestamp() + make_interval(secs => ($3::float8[])[1]) FROM before
                   WHERE $1::bytea IS NOT NULL AND account_until IS NULL AND address_until IS NULL
                   ON CONFLICT (key) DO UPDATE SET (tries, try_time, next_time) = (
                       SELECT tries, clock_timestamp(), clock_timestamp() + make_interval(secs => ($3::float8[])[least(tries, cardinality($3::float8[]))])
                       FROM (SELECT CASE WHEN a.try_time > clock_timestamp() - make_interval(secs => $4) THEN a.tries + 1 ELSE 1 END AS tries) n)
                   WHERE a.next_time <= clock_timestamp()
                   RETURNING key
               ), address AS (
                   INSERT INTO throttled_addresses AS a (key, try_times, last_time)
                   SELECT $2, ARRAY[clock_timestamp()], clock_timestamp() FROM before
                   WHERE $2::bytea IS NOT NULL AND account_until IS NULL AND address_until IS NULL
                     AND ($1::bytea IS NULL OR EXISTS (SELECT FROM account))
                   ON CONFLICT (key) DO UPDATE SET last_time = clock_timestamp(), try_times = ARRAY(
                       SELECT t FROM unnest(a.try_times) t WHERE t > clock_timestamp() - make_interval(secs => $5) ORDER BY t) || clock_timestamp()
                   WHERE (SELECT count(*) FROM unnest(a.try_times) t WHERE t > clock_timestamp() - make_interval(secs => $5)) < $6
                   RETURNING key
               )
               SELECT ($1::bytea IS NULL OR EXISTS (SELECT FROM account))
                      AND ($2::bytea IS NULL OR EXISTS (SELECT FROM address)) AS "admitted!",
                      extract(epoch FROM greatest(account_until, address_until) - clock_timestamp())::float8 AS wait
               FROM before"#,
            account,
            address,
            &purpose.rule().waits(),
            FORGOTTEN.as_secs_f64(),
            WINDOW.as_secs_f64(),
            i64::from(self.failures_per_address.max(1)),
        )
        .fetch_one(&self.pool)
        .await?;
        if counted.admitted {
            return Ok(());
        }
        let wait = match counted.wait {
            Some(wait) => wait,
            None => self.wait(account, address).await?,
        };
        // At least a millisecond, which is as fine as anyone waits.
        Err(Error::Throttled(Duration::from_secs_f64(
            (wait.max(0.0) * 1000.0).ceil().max(1.0) / 1000.0,
        )))
    }

    /// How long the next try waits, in seconds; for one that lost to others at the same moment, whose count it did not see.
    async fn wait(&self, account: Option<Vec<u8>>, address: Option<Vec<u8>>) -> Result<f64> {
        let row = sqlx::query!(
            r#"SELECT extract(epoch FROM greatest(
                   (SELECT next_time FROM throttled_accounts WHERE key = $1 AND next_time > clock_timestamp()),
                   (SELECT t FROM throttled_addresses a, unnest(a.try_times) t
                    WHERE a.key = $2 AND t > clock_timestamp() - make_interval(secs => $3) ORDER BY t DESC OFFSET $4::bigint - 1 LIMIT 1)
                   + make_interval(secs => $3)) - clock_timestamp())::float8 AS wait"#,
            account,
            address,
            WINDOW.as_secs_f64(),
            i64::from(self.failures_per_address.max(1)),
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(row.wait.unwrap_or(0.0))
    }

    fn account_key(&self, purpose: Purpose, account: &str) -> Vec<u8> {
        self.secret
            .fingerprint(&[b"throttle", purpose.name(), b"account", account.as_bytes()])
    }

    fn address_key(&self, purpose: Purpose, address: IpAddr) -> Option<Vec<u8>> {
        let key = || {
            self.secret
                .fingerprint(&[b"throttle", purpose.name(), b"address", address.to_string().as_bytes()])
        };
        (self.failures_per_address > 0).then(key)
    }
}

/// Removes a bounded number of counts that say nothing any more; true where there may be more.
pub(crate) async fn sweep(pool: &PgPool) -> Result<bool> {
    const BATCH: i64 = 1000;
    let accounts = sqlx::query!(
        "DELETE FROM throttled_accounts WHERE key IN (
             SELECT key FROM throttled_accounts WHERE try_time < now() - make_interval(secs => $2)
             ORDER BY try_time LIMIT $1 FOR UPDATE SKIP LOCKED)",
        BATCH,
        FORGOTTEN.as_secs_f64(),
    )
    .execute(pool)
    .await?;
    let addresses = sqlx::query!(
        "DELETE FROM throttled_addresses WHERE key IN (
             SELECT key FROM throttled_addresses WHERE last_time < now() - make_interval(secs => $2)
             ORDER BY last_time LIMIT $1 FOR UPDATE SKIP LOCKED)",
        BATCH,
        WINDOW.as_secs_f64(),
    )
    .execute(pool)
    .await?;
    let full = |removed: u64| i64::try_from(removed).is_ok_and(|removed| removed == BATCH);
    Ok(full(accounts.rows_affected()) || full(addresses.rows_affected()))
}
