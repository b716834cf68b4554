//! `demo`: the whole path, played by a new customer, and a look at what was kept.

use deskhand_proto::tickets::v1::{
    AuthorKind, CreateTicketRequest, Message, PostMessageRequest, Ticket, TicketCategory,
};
use secrecy::SecretString;
use uuid::Uuid;

use super::answer::Answer;
use super::{account, reply, ticket};
use crate::connection::{Connection, new_request_id};
use crate::failure::Failure;
use crate::output::Output;
use crate::session::Session;

const TITLE: &str = "The invoice of May was charged twice";
const DESCRIPTION: &str =
    "My card shows the invoice of May two times, on the 3rd and on the 4th. I have one subscription.";
const QUESTION: &str = "How do I get the second payment back, and how long does that take?";

pub(crate) async fn run(connection: &Connection, output: &mut Output) -> Result<(), Failure> {
    output.step(&format!("at {}", connection.server().address));
    let connection = &become_someone(connection, output).await?;
    let ticket = open_ticket(connection, output).await?;
    let id = ticket
        .id
        .parse()
        .map_err(|_| Failure::Local(format!("the ticket's id is no UUID: {:?}", ticket.id)))?;
    ask(connection, id, output).await?;

    output.step("the assistant answers:");
    let answer = reply::stream(id, false, connection, output).await?;
    if let Some(after) = answer.first_text_after {
        output.step(&format!("the first text came after {} ms", after.as_millis()));
    }

    let kept = ticket::get(connection, id).await?;
    if output.is_json() {
        output.document("deskhand.tickets.v1.GetTicketResponse", &kept)?;
    }
    check(&kept.messages, &answer)?;
    output.step("the answer stands in the ticket, once, and is what was streamed");
    Ok(())
}

/// The own session of whoever runs the demo is left alone.
async fn become_someone(connection: &Connection, output: &mut Output) -> Result<Connection, Failure> {
    let email = format!("demo-{}@example.com", Uuid::new_v4().simple());
    let password = SecretString::from(Uuid::new_v4().to_string());
    let made = account::make_account(connection, &email, "Demo Customer", &password).await?;
    if output.is_json() {
        output.document("deskhand.accounts.v1.SignUpResponse", &made)?;
    }
    output.step(&format!("signed up as {email}"));

    let answer = account::open_session(connection, &email, &password).await?;
    let (user, session) = Session::opened(answer)?;
    output.step(&format!("logged in as {}", user.display_name));
    connection.with_token(session.access.text)
}

async fn open_ticket(connection: &Connection, output: &mut Output) -> Result<Ticket, Failure> {
    let request = CreateTicketRequest {
        title: TITLE.to_owned(),
        description: DESCRIPTION.to_owned(),
        category: TicketCategory::Billing.into(),
        tags: vec!["demo".to_owned()],
        request_id: new_request_id(),
        ..Default::default()
    };
    let answer = connection
        .change(request, async |request| {
            connection.tickets().create_ticket(request).await
        })
        .await?;
    if output.is_json() {
        output.document("deskhand.tickets.v1.CreateTicketResponse", &answer)?;
    }
    let ticket = answer.ticket.unwrap_or_default();
    output.step(&format!("opened ticket {} ({}): {TITLE}", ticket.number, ticket.id));
    Ok(ticket)
}

async fn ask(connection: &Connection, ticket: Uuid, output: &mut Output) -> Result<(), Failure> {
    let request = PostMessageRequest {
        ticket_id: ticket.to_string(),
        body: QUESTION.to_owned(),
        request_id: new_request_id(),
        ..Default::default()
    };
    let answer = connection
        .change(request, async |request| {
            connection.tickets().post_message(request).await
        })
        .await?;
    if output.is_json() {
        output.document("deskhand.tickets.v1.PostMessageResponse", &answer)?;
    }
    output.step(&format!("posted a message: {QUESTION}"));
    Ok(())
}

/// Holds what is kept against what was streamed.
fn check(messages: &[Message], answer: &Answer) -> Result<(), Failure> {
    let by_assistant: Vec<&Message> = messages
        .iter()
        .filter(|message| message.author_kind() == AuthorKind::Assistant)
        .collect();
    let [kept] = by_assistant.as_slice() else {
        let count = by_assistant.len();
        return Err(Failure::Local(format!(
            "the ticket has {count} messages by the assistant, not 1"
        )));
    };
    if kept.body != answer.text {
        return Err(Failure::Local(
            "the message in the ticket is not what was streamed".to_owned(),
        ));
    }
    if answer.message.as_ref().is_none_or(|posted| posted.id != kept.id) {
        return Err(Failure::Local(
            "the message in the ticket is not the one that the stream ended with".to_owned(),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(id: &str, author_kind: AuthorKind, body: &str) -> Message {
        Message {
            id: id.to_owned(),
            author_kind: author_kind.into(),
            body: body.to_owned(),
            ..Message::default()
        }
    }

    #[test]
    fn what_is_kept_must_be_what_was_streamed_once() {
        let posted = message("1", AuthorKind::Assistant, "hello");
        let answer = Answer {
            text: "hello".to_owned(),
            message: Some(posted.clone()),
            first_text_after: None,
            reply_id: "r".to_owned(),
            after_void: false,
        };
        let question = message("0", AuthorKind::Customer, "hello");
        assert!(check(&[posted.clone(), question.clone()], &answer).is_ok());
        let twin = message("2", AuthorKind::Assistant, "hello");
        let other = message("1", AuthorKind::Assistant, "hello!");
        for kept in [
            vec![],
            vec![question],
            vec![posted, twin.clone()],
            vec![twin],
            vec![other],
        ] {
            assert_eq!(check(&kept, &answer).unwrap_err().exit_code(), 1, "{kept:?}");
        }
    }
}
