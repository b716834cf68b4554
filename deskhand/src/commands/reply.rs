//! `reply`: the assistant's answer, asked for or listened to, and what is done with replies.

use uuid::Uuid;

use super::account::authenticated;
use super::answer::{self, Answer};
use super::replies;
use crate::cli;
use crate::connection::Connection;
use crate::failure::Failure;
use crate::follow::Follow;
use crate::output::Output;

pub(crate) async fn run(args: cli::Reply, connection: &Connection, output: &mut Output) -> Result<(), Failure> {
    let one_thing = || Failure::Usage("one thing at a time: a ticket, --attach, or a command of `reply`".to_owned());
    if args.command.is_some() && (args.ticket.is_some() || args.attach.is_some() || args.whole) {
        return Err(one_thing());
    }
    let connection = &authenticated(connection).await?;
    let follow = match (args.command, args.attach, args.ticket) {
        (Some(command), ..) => return replies::run(command, connection, output).await,
        (None, Some(reply), None) => Follow::attach(connection, reply),
        (None, None, Some(ticket)) => Follow::ask(connection, ticket),
        _ => return Err(one_thing()),
    };
    let answer = answer::show(follow, args.whole, output).await?;
    if answer.after_void {
        // For a person it can be taken back; a program would take it for part of the answer.
        return Err(Failure::Local(format!(
            "the assistant began anew after part of an answer was written: the answer stands below the line that says so; \
             alone it is written by: deskhand reply --attach {} --whole",
            answer.reply_id
        )));
    }
    Ok(())
}

/// Asks for an answer and writes it as it comes, or at its end where `whole` is asked for.
pub(crate) async fn stream(
    ticket: Uuid,
    whole: bool,
    connection: &Connection,
    output: &mut Output,
) -> Result<Answer, Failure> {
    answer::show(Follow::ask(connection, ticket), whole, output).await
}
