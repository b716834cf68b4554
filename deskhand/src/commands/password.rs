//! `passwd`, `reset-password`: new passwords.

use deskhand_proto::accounts::v1::{ChangePasswordRequest, RequestPasswordResetRequest, ResetPasswordRequest};
use secrecy::ExposeSecret;

use super::account::authenticated;
use crate::cli;
use crate::connection::Connection;
use crate::failure::Failure;
use crate::input;
use crate::output::Output;

pub(crate) async fn change(
    args: cli::ChangePassword,
    connection: &Connection,
    output: &mut Output,
) -> Result<(), Failure> {
    let connection = authenticated(connection).await?;
    let (current, new) = input::secret_and_new_password(args.from_stdin, "current password")?;
    let request = ChangePasswordRequest {
        current_password: current.expose_secret().to_owned(),
        new_password: new.expose_secret().to_owned(),
    };
    let answer = connection
        .call(request, async |request| {
            connection.accounts().change_password(request).await
        })
        .await?;
    if output.is_json() {
        return output.document("deskhand.accounts.v1.ChangePasswordResponse", &answer);
    }
    output.note("the new password is set; all other sessions have ended");
    Ok(())
}

pub(crate) async fn reset(
    command: cli::ResetPassword,
    connection: &Connection,
    output: &mut Output,
) -> Result<(), Failure> {
    match command {
        cli::ResetPassword::Request(args) => request(args, connection, output).await,
        cli::ResetPassword::Confirm(args) => confirm(args, connection, output).await,
    }
}

async fn request(args: cli::RequestReset, connection: &Connection, output: &mut Output) -> Result<(), Failure> {
    let request = RequestPasswordResetRequest { email: args.email };
    let answer = connection
        .call(request, async |request| {
            connection.accounts().request_password_reset(request).await
        })
        .await?;
    if output.is_json() {
        return output.document("deskhand.accounts.v1.RequestPasswordResetResponse", &answer);
    }
    output.note("if the address has an account, a link is on its way; use it with: deskhand reset-password confirm");
    Ok(())
}

async fn confirm(args: cli::ConfirmReset, connection: &Connection, output: &mut Output) -> Result<(), Failure> {
    let (token, new) = input::secret_and_new_password(args.from_stdin, "token")?;
    let request = ResetPasswordRequest {
        token: token_in(token.expose_secret()).to_owned(),
        new_password: new.expose_secret().to_owned(),
    };
    let answer = connection
        .call(request, async |request| {
            connection.accounts().reset_password(request).await
        })
        .await?;
    if output.is_json() {
        return output.document("deskhand.accounts.v1.ResetPasswordResponse", &answer);
    }
    output.note("the new password is set, and all sessions have ended; log in with: deskhand login --email ADDRESS");
    Ok(())
}

/// The mail has a link with the token at its end; it is taken as a whole too.
fn token_in(text: &str) -> &str {
    let text = text.trim();
    text.split_once("token=").map_or(text, |(_, token)| token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_as_good_as_its_token() {
        for text in [
            "abc-_1",
            " abc-_1 ",
            "http://127.0.0.1:8080/reset-password?token=abc-_1",
        ] {
            assert_eq!(token_in(text), "abc-_1");
        }
    }
}
