//! Transactions: begun so that whoever leaves leaves none open, and repeated where PostgreSQL asks for it.

use std::time::Duration;

use sqlx::{PgPool, Postgres, Transaction};

use crate::error::{Error, Result};

/// Begins a transaction. In a task of its own: where the caller goes away while PostgreSQL is being asked, it begins all the same,
/// and is rolled back at once. sqlx by itself would give the connection back with a transaction open that it knows nothing of.
pub(crate) async fn begin(pool: &PgPool) -> Result<Transaction<'static, Postgres>> {
    let pool = pool.clone();
    let begun = tokio::spawn(async move { pool.begin().await }).await;
    Ok(begun.map_err(|error| Error::internal("a transaction was not begun", error))??)
}

/// Tries of one transaction.
const TRIES: u32 = 5;

/// Runs `transaction`, which begins and commits one, and runs it again where PostgreSQL asks for that (a serialisation
/// failure, a deadlock): nothing was done then.
pub(crate) async fn retrying<T, F: Future<Output = Result<T>>>(transaction: impl Fn() -> F) -> Result<T> {
    let mut tried = 1;
    loop {
        match transaction().await {
            Err(Error::Database(error)) if is_conflict(&error) => {
                if tried == TRIES {
                    // Nothing was done, and it may go well later.
                    return Err(Error::DatabaseUnavailable(error));
                }
                tracing::debug!(tried, %error, "repeating a transaction");
                // The one that won is at work for about this long; more each time, so that two do not meet for ever.
                tokio::time::sleep(Duration::from_millis(u64::from(2 * tried * tried))).await;
                tried += 1;
            }
            result => return result,
        }
    }
}

/// 40001: serialisation failure; 40P01: deadlock.
fn is_conflict(error: &sqlx::Error) -> bool {
    let sqlx::Error::Database(error) = error else {
        return false;
    };
    error.code().is_some_and(|code| matches!(&*code, "40001" | "40P01"))
}
