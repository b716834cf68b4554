//! `logout`, `sessions`, `sessions revoke`: the sessions that one has.

use deskhand_proto::accounts::v1::{
    ListSessionsRequest, ListSessionsResponse, LogOutResponse, RevokeSessionRequest, Session,
};

use super::account::authenticated;
use super::pages::{self, Page};
use crate::cli;
use crate::connection::Connection;
use crate::failure::Failure;
use crate::output::Output;
use crate::session::Farewell;
use crate::text::{moment, visible_line};

pub(crate) async fn log_out(args: cli::LogOut, connection: &Connection, output: &mut Output) -> Result<(), Failure> {
    let keeper = connection.keeper()?;
    let address = &connection.server().address;
    if args.local {
        let said = if keeper.forget_any().await? {
            format!("forgot the session at {address}; there it lives on until it ends by itself")
        } else {
            format!("there was no session at {address}")
        };
        output.step(&said);
    } else {
        let farewell = keeper.log_out().await.inspect_err(|_| {
            output.step("the session is kept; to forget it here, though not at the server: deskhand logout --local");
        })?;
        match farewell {
            Farewell::Ended => output.note(&format!("logged out at {address}")),
            Farewell::HadEnded => output.step(&format!("the session at {address} had ended before")),
            Farewell::WasNone => output.step(&format!("there was no session at {address}")),
        }
    }
    if output.is_json() {
        return output.document("deskhand.accounts.v1.LogOutResponse", &LogOutResponse {});
    }
    Ok(())
}

pub(crate) async fn run(args: cli::Sessions, connection: &Connection, output: &mut Output) -> Result<(), Failure> {
    let connection = &authenticated(connection).await?;
    match args.command {
        Some(cli::SessionsCommand::Revoke(args)) => revoke(args, connection, output).await,
        None => list(args.page, connection, output).await,
    }
}

async fn list(page: cli::Paging, connection: &Connection, output: &mut Output) -> Result<(), Failure> {
    pages::show(page, output, async |page_size, page_token| {
        let request = ListSessionsRequest { page_size, page_token };
        connection
            .call(request, async |request| {
                connection.accounts().list_sessions(request).await
            })
            .await
    })
    .await
}

/// Not repeated: the second answer would be another one.
async fn revoke(args: cli::Revoke, connection: &Connection, output: &mut Output) -> Result<(), Failure> {
    let all = args.which == "all";
    let request = RevokeSessionRequest { session_id: args.which };
    let answer = connection
        .call(request, async |request| {
            connection.accounts().revoke_session(request).await
        })
        .await?;
    if all && let Some(identity) = connection.identity() {
        identity.forget().await?;
    }
    if output.is_json() {
        return output.document("deskhand.accounts.v1.RevokeSessionResponse", &answer);
    }
    output.line(&match answer.revoked_count {
        1 => "1 session ended".to_owned(),
        count => format!("{count} sessions ended"),
    })
}

impl Page for ListSessionsResponse {
    const NAME: &'static str = "deskhand.accounts.v1.ListSessionsResponse";

    fn next_page_token(&self) -> &str {
        &self.next_page_token
    }

    fn rows(&self) -> Vec<String> {
        self.sessions.iter().map(row).collect()
    }
}

fn row(session: &Session) -> String {
    let Session {
        id,
        create_time,
        use_time,
        expire_time,
        user_agent,
        current,
    } = session;
    let mark = if *current { '*' } else { ' ' };
    let times = [create_time, use_time, expire_time].map(|time| moment(time.as_ref()));
    let [begun, used, ends] = times;
    format!(
        "{mark} {id}  begun {begun}  used {used}  ends {ends}  {}",
        visible_line(user_agent)
    )
}
