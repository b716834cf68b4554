//! Who someone is, and how they prove it.

pub(crate) mod authenticate;
mod email;
pub mod keys;
mod password;
mod rpc;
mod service;
mod store;
pub mod tokens;

use anyhow::Context as _;

pub(crate) use rpc::Rpc;
pub(crate) use service::Service;

use crate::db;
use crate::settings::Serve;

/// Makes the first admin; false where there is one already. Works while the server runs, and beside others like it.
///
/// # Errors
/// Where the e-mail address or the password is not acceptable, or the database fails.
pub async fn create_admin(
    settings: &Serve,
    email: String,
    password: String,
    display_name: String,
) -> anyhow::Result<bool> {
    let pool = db::pool::open(&settings.database)?;
    db::check_schema(&pool).await?;
    let registration = service::Registration::parse(&email, &password, &display_name)
        .map_err(|error| anyhow::anyhow!("{}", tonic::Status::from(error).message()))?;
    let passwords = password::Passwords::new(settings.accounts.argon2_slots)?;
    let hash = passwords.hash(registration.password.clone()).await?;
    store::create_first_admin(&pool, &registration, &hash)
        .await
        .context("cannot make the admin")
}
