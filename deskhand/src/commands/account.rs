//! `signup`, `login`, `whoami`, `token`: who one is.

use std::env;

use deskhand_proto::accounts::v1::{GetMeRequest, LogInRequest, LogInResponse, SignUpRequest, SignUpResponse, User};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use time::OffsetDateTime;

use crate::cli;
use crate::connection::Connection;
use crate::failure::Failure;
use crate::input;
use crate::output::Output;
use crate::session::{Session, Store};
use crate::text::{moment, words};

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
    let store = Store::of_user()?;
    let password = input::password(args.password.from_stdin, false)?;
    let answer = open_session(connection, &args.email, &password).await?;
    let (user, session) = parse_session(answer.clone())?;
    let address = &connection.server().address;
    store.save(address, &session)?;
    if output.is_json() {
        // Logs are full of standard output: the token is only printed by the command for it.
        let mut document = output.json_of("deskhand.accounts.v1.LogInResponse", &answer)?;
        if let Some(fields) = document.as_object_mut() {
            fields.retain(|name, _| !name.ends_with("_token"));
        }
        return output.value(&document);
    }
    let end = moment(answer.access_token_expire_time.as_ref());
    output.note(&format!(
        "logged in at {address} as {} <{}> until {end}",
        user.display_name, user.email
    ));
    Ok(())
}

pub(crate) async fn who_am_i(connection: &Connection, output: &mut Output) -> Result<(), Failure> {
    let connection = authenticated(connection)?;
    let answer = connection
        .call(GetMeRequest {}, async |request| {
            connection.accounts().get_me(request).await
        })
        .await?;
    if output.is_json() {
        return output.document("deskhand.accounts.v1.GetMeResponse", &answer);
    }
    let user = answer.user.unwrap_or_default();
    let role = words(user.role().as_str_name(), "ROLE");
    output.line(&format!("{} <{}>, {role}", user.display_name, user.email))?;
    output.line(&format!(
        "user {}, since {}",
        user.id,
        moment(user.create_time.as_ref())
    ))?;
    output.note(&format!("at {}", connection.server().address));
    Ok(())
}

pub(crate) fn print_token(connection: &Connection, output: &mut Output) -> Result<(), Failure> {
    let token = access_token(connection)?;
    if output.is_json() {
        return output.value(&json!({ "access_token": token.expose_secret() }));
    }
    output.line(token.expose_secret())
}

/// The same connection, as whoever logged in.
pub(crate) fn authenticated(connection: &Connection) -> Result<Connection, Failure> {
    connection.with_token(&access_token(connection)?)
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

/// What of a log-in's answer is kept.
pub(crate) fn parse_session(answer: LogInResponse) -> Result<(User, Session), Failure> {
    let incomplete = |what: &str| Failure::Local(format!("the server's answer to the log-in has no {what}"));
    if answer.access_token.is_empty() {
        return Err(incomplete("access token"));
    }
    let user = answer.user.ok_or_else(|| incomplete("user"))?;
    let expire_time = answer
        .access_token_expire_time
        .and_then(|timestamp| OffsetDateTime::from_unix_timestamp(timestamp.seconds).ok())
        .ok_or_else(|| incomplete("expiry"))?;
    let session = Session {
        email: user.email.clone(),
        access_token: answer.access_token.into(),
        expire_time,
    };
    Ok((user, session))
}

fn access_token(connection: &Connection) -> Result<SecretString, Failure> {
    match env::var("DESKHAND_TOKEN") {
        Ok(token) if !token.is_empty() => Ok(token.into()),
        _ => Store::of_user()?.access_token(&connection.server().address, OffsetDateTime::now_utc()),
    }
}
