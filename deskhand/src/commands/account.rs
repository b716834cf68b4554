//! `signup`, `login`, `whoami`, `token`, `jwks`: who one is.

use std::env;

use deskhand_proto::accounts::v1::{
    GetJwksRequest, GetMeRequest, GetMeResponse, LogInRequest, LogInResponse, SignUpRequest, SignUpResponse, User,
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use crate::cli;
use crate::connection::Connection;
use crate::failure::Failure;
use crate::input;
use crate::output::Output;
use crate::session::Session;
use crate::text::{moment, visible_line, words};

pub(crate) async fn sign_up(args: cli::SignUp, connection: &Connection, output: &mut Output) -> Result<(), Failure> {
    let password = input::password(args.password.from_stdin, true)?;
    let answer = make_account(connection, &args.email, &args.name, &password).await?;
    if output.is_json() {
        return output.document("deskhand.accounts.v1.SignUpResponse", &answer);
    }
    let user = answer.user.unwrap_or_default();
    output.line(&user.id)?;
    output.note(&format!(
        "made an account for {}; log in with: deskhand login --email {}",
        user.email, user.email
    ));
    Ok(())
}

pub(crate) async fn log_in(args: cli::LogIn, connection: &Connection, output: &mut Output) -> Result<(), Failure> {
    let keeper = connection.keeper()?;
    let password = input::password(args.password.from_stdin, false)?;
    let answer = open_session(connection, &args.email, &password).await?;
    let (user, session) = Session::opened(answer.clone())?;
    let address = &connection.server().address;
    keeper.keep(&session).await?;
    if output.is_json() {
        // Logs are full of standard output: the token is only printed by the command for it.
        let mut document = output.json_of("deskhand.accounts.v1.LogInResponse", &answer)?;
        if let Some(fields) = document.as_object_mut() {
            fields.retain(|name, _| !name.ends_with("_token"));
        }
        return output.value(&document);
    }
    let end = answer.refresh_token_expire_time.or(answer.access_token_expire_time);
    output.note(&format!(
        "logged in at {address} as {} <{}>, until {} at least",
        user.display_name,
        user.email,
        moment(end.as_ref())
    ));
    Ok(())
}

pub(crate) async fn who_am_i(connection: &Connection, output: &mut Output) -> Result<(), Failure> {
    let connection = authenticated(connection).await?;
    let answer = get_me(&connection).await?;
    if output.is_json() {
        return output.document("deskhand.accounts.v1.GetMeResponse", &answer);
    }
    show_user(&answer.user.unwrap_or_default(), output)?;
    output.note(&format!("at {}", connection.server().address));
    Ok(())
}

async fn get_me(connection: &Connection) -> Result<GetMeResponse, Failure> {
    connection
        .call(GetMeRequest {}, async |request| {
            connection.accounts().get_me(request).await
        })
        .await
}

/// Whoever is logged in.
pub(crate) async fn me(connection: &Connection) -> Result<User, Failure> {
    Ok(get_me(connection).await?.user.unwrap_or_default())
}

pub(crate) fn show_user(user: &User, output: &mut Output) -> Result<(), Failure> {
    let role = words(user.role().as_str_name(), "ROLE");
    let (name, email) = (visible_line(&user.display_name), visible_line(&user.email));
    output.line(&format!("{name} <{email}>, {role}"))?;
    let since = moment(user.create_time.as_ref());
    output.line(&match &user.disable_time {
        None => format!("user {}, since {since}", user.id),
        disabled => format!(
            "user {}, since {since}, disabled {}",
            user.id,
            moment(disabled.as_ref())
        ),
    })
}

pub(crate) async fn print_token(connection: &Connection, output: &mut Output) -> Result<(), Failure> {
    let token = match given_token() {
        Some(token) => token,
        None => connection.keeper()?.session().await?.access.text,
    };
    if output.is_json() {
        return output.value(&json!({ "access_token": token.expose_secret() }));
    }
    output.line(token.expose_secret())
}

/// The set is JSON by its nature, for whoever reads it.
pub(crate) async fn print_keys(connection: &Connection, output: &mut Output) -> Result<(), Failure> {
    let answer = connection
        .call(GetJwksRequest {}, async |request| {
            connection.accounts().get_jwks(request).await
        })
        .await?;
    output.document("deskhand.accounts.v1.GetJwksResponse", &answer)
}

/// The same connection, as whoever logged in.
pub(crate) async fn authenticated(connection: &Connection) -> Result<Connection, Failure> {
    match given_token() {
        Some(token) => connection.with_token(token),
        None => connection.with_session().await,
    }
}

fn given_token() -> Option<SecretString> {
    let token = env::var("DESKHAND_TOKEN").ok()?;
    (!token.is_empty()).then(|| token.into())
}

pub(crate) async fn make_account(
    connection: &Connection,
    email: &str,
    display_name: &str,
    password: &SecretString,
) -> Result<SignUpResponse, Failure> {
    let request = SignUpRequest {
        email: email.to_owned(),
        password: password.expose_secret().to_owned(),
        display_name: display_name.to_owned(),
    };
    connection
        .call(request, async |request| connection.accounts().sign_up(request).await)
        .await
}

pub(crate) async fn open_session(
    connection: &Connection,
    email: &str,
    password: &SecretString,
) -> Result<LogInResponse, Failure> {
    let request = LogInRequest {
        email: email.to_owned(),
        password: password.expose_secret().to_owned(),
    };
    connection
        .call(request, async |request| connection.accounts().log_in(request).await)
        .await
}
