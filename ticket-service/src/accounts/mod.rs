//! Who someone is, and how they prove it.
//!
//! [`rpc`] and [`service`] are for people about themselves, [`users_rpc`] and [`users`] for admins about others. A password
//! ([`password`], tried as often as [`throttle`] allows) begins a session ([`sessions`]); its access tokens ([`tokens`], signed
//! by [`keys`]) are checked at every call ([`authenticate`]) against what ended meanwhile ([`revocations`]).

pub(crate) mod audit;
pub(crate) mod authenticate;
pub(crate) mod client;
mod email;
pub mod keys;
mod mailer;
pub(crate) mod password;
pub(crate) mod resets;
pub(crate) mod revocations;
mod rpc;
mod service;
pub(crate) mod sessions;
pub(crate) mod store;
pub(crate) mod throttle;
pub mod tokens;
mod user;
mod users;
mod users_rpc;

use anyhow::Context as _;

pub use client::TrustedProxies;
pub(crate) use rpc::Rpc;
pub(crate) use service::Service;
pub(crate) use users::Users;
pub(crate) use users_rpc::UsersRpc;

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
    let registration = user::Registration::parse(&email, &password, &display_name)
        .map_err(|error| anyhow::anyhow!("{}", tonic::Status::from(error).message()))?;
    let passwords = password::Passwords::new(&settings.passwords)?;
    passwords
        .long_enough(&registration.password)
        .map_err(|wrong| anyhow::anyhow!("password: {wrong}"))?;
    let hash = passwords.hash(registration.password.clone()).await?;
    store::create_first_admin(&pool, &registration, &hash)
        .await
        .context("cannot make the admin")
}
