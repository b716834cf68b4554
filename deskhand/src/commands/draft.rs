//! `draft accept`, `draft discard`: what becomes of what the assistant wrote for the desk.

use deskhand_proto::replies::v1::{AcceptDraftRequest, DiscardDraftRequest};

use super::account::authenticated;
use crate::cli;
use crate::connection::{Connection, new_request_id};
use crate::failure::Failure;
use crate::input;
use crate::output::Output;

pub(crate) async fn run(command: cli::Draft, connection: &Connection, output: &mut Output) -> Result<(), Failure> {
    let connection = &authenticated(connection).await?;
    match command {
        cli::Draft::Accept(args) => {
            let text = match (args.body, args.body_file) {
                (Some(text), _) => body(input::text(text)?)?,
                (None, Some(path)) => body(input::file(&path)?)?,
                (None, None) => String::new(),
            };
            accept(&args.id.to_string(), text, connection, output).await
        }
        cli::Draft::Discard(args) => discard(&args.id.to_string(), connection, output).await,
    }
}

/// A text to post instead of a draft's. An empty one would stand for the draft itself.
pub(super) fn body(text: String) -> Result<String, Failure> {
    if text.trim().is_empty() {
        return Err(Failure::Usage("the text is empty: nothing was posted".to_owned()));
    }
    Ok(text)
}

/// Posts a draft, or the text that is to stand in its place.
pub(super) async fn accept(
    reply_id: &str,
    body: String,
    connection: &Connection,
    output: &mut Output,
) -> Result<(), Failure> {
    let request = AcceptDraftRequest {
        reply_id: reply_id.to_owned(),
        body,
        request_id: new_request_id(),
    };
    let answer = connection
        .change(request, async |request| {
            connection.replies().accept_draft(request).await
        })
        .await?;
    if output.is_json() {
        return output.document("deskhand.replies.v1.AcceptDraftResponse", &answer);
    }
    output.note("posted");
    output.line(&answer.reply.and_then(|reply| reply.message).unwrap_or_default().id)
}

/// Puts a draft away.
pub(super) async fn discard(reply_id: &str, connection: &Connection, output: &mut Output) -> Result<(), Failure> {
    let request = DiscardDraftRequest {
        reply_id: reply_id.to_owned(),
        request_id: new_request_id(),
    };
    let answer = connection
        .change(request, async |request| {
            connection.replies().discard_draft(request).await
        })
        .await?;
    if output.is_json() {
        return output.document("deskhand.replies.v1.DiscardDraftResponse", &answer);
    }
    output.step("discarded: nothing was posted");
    Ok(())
}
