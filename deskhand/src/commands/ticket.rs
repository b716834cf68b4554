//! `ticket new`, `ticket show`, `ticket note`, `say`: tickets and what is said in them.

use deskhand_proto::tickets::v1::{
    CreateTicketRequest, GetTicketRequest, GetTicketResponse, ListMessagesRequest, Message, MessageVisibility,
    PostMessageRequest, Ticket, TicketCategory, TicketPriority,
};
use uuid::Uuid;

use super::account::authenticated;
use super::pages::LARGEST_PAGE;
use super::{change, events, list, tasks, watch};
use crate::cli;
use crate::connection::{Connection, new_request_id};
use crate::failure::Failure;
use crate::input;
use crate::output::Output;
use crate::text::{indented, moment, visible_line, words};

/// How many messages come with a ticket.
const NEWEST: usize = 20;

pub(crate) async fn run(command: cli::Ticket, connection: &Connection, output: &mut Output) -> Result<(), Failure> {
    let connection = &authenticated(connection).await?;
    match command {
        cli::Ticket::New(args) => new(args, connection, output).await,
        cli::Ticket::List(args) => list::run(args, connection, output).await,
        cli::Ticket::Show(args) => show(args, connection, output).await,
        cli::Ticket::Update(args) => change::update(args, connection, output).await,
        cli::Ticket::Assign(args) => change::assign(args, connection, output).await,
        cli::Ticket::Note(args) => note(args, connection, output).await,
        cli::Ticket::Events(args) => events::run(args, connection, output).await,
        cli::Ticket::Watch(args) => watch::run(args, connection, output).await,
        cli::Ticket::Summary(args) => tasks::summarize(args, connection, output).await,
        cli::Ticket::Triage(args) => tasks::triage(args, connection, output).await,
    }
}

pub(crate) async fn say(args: cli::Say, connection: &Connection, output: &mut Output) -> Result<(), Failure> {
    let connection = &authenticated(connection).await?;
    let visibility = if args.internal {
        MessageVisibility::Internal
    } else {
        MessageVisibility::Unspecified
    };
    post(args.ticket, args.text, visibility, connection, output).await?;
    output.note(&format!(
        "posted; the assistant answers with: deskhand reply {}",
        args.ticket
    ));
    Ok(())
}

async fn note(args: cli::Note, connection: &Connection, output: &mut Output) -> Result<(), Failure> {
    post(args.ticket, args.text, MessageVisibility::Internal, connection, output).await
}

async fn post(
    ticket: Uuid,
    text: String,
    visibility: MessageVisibility,
    connection: &Connection,
    output: &mut Output,
) -> Result<(), Failure> {
    let request = PostMessageRequest {
        ticket_id: ticket.to_string(),
        body: input::text(text)?,
        visibility: visibility.into(),
        request_id: new_request_id(),
    };
    let answer = connection
        .change(request, async |request| {
            connection.tickets().post_message(request).await
        })
        .await?;
    if output.is_json() {
        return output.document("deskhand.tickets.v1.PostMessageResponse", &answer);
    }
    output.line(&answer.message.unwrap_or_default().id)
}

async fn new(args: cli::NewTicket, connection: &Connection, output: &mut Output) -> Result<(), Failure> {
    let request = CreateTicketRequest {
        title: args.title,
        description: input::text(args.description)?,
        priority: args
            .priority
            .map_or(TicketPriority::Unspecified, TicketPriority::from)
            .into(),
        category: args
            .category
            .map_or(TicketCategory::Unspecified, TicketCategory::from)
            .into(),
        tags: args.tags,
        request_id: new_request_id(),
    };
    let answer = connection
        .change(request, async |request| {
            connection.tickets().create_ticket(request).await
        })
        .await?;
    if output.is_json() {
        return output.document("deskhand.tickets.v1.CreateTicketResponse", &answer);
    }
    let ticket = answer.ticket.unwrap_or_default();
    output.line(&ticket.id)?;
    output.note(&format!(
        "opened ticket {}; the assistant answers with: deskhand reply {}",
        ticket.number, ticket.id
    ));
    Ok(())
}

async fn show(args: cli::ShowTicket, connection: &Connection, output: &mut Output) -> Result<(), Failure> {
    let mut answer = get(connection, args.id).await?;
    if args.all {
        answer.messages = all_messages(connection, args.id).await?;
    }
    if output.is_json() {
        return output.document("deskhand.tickets.v1.GetTicketResponse", &answer);
    }
    let ticket = answer.ticket.unwrap_or_default();
    show_ticket(&ticket, output)?;
    for message in answer.messages.iter().rev() {
        show_message(message, output)?;
    }
    if !args.all && answer.messages.len() >= NEWEST {
        output.note("there may be older messages; all with: --all");
    }
    Ok(())
}

pub(crate) async fn get(connection: &Connection, id: Uuid) -> Result<GetTicketResponse, Failure> {
    let request = GetTicketRequest {
        ticket_id: id.to_string(),
    };
    connection
        .call(request, async |request| connection.tickets().get_ticket(request).await)
        .await
}

/// Newest first.
async fn all_messages(connection: &Connection, id: Uuid) -> Result<Vec<Message>, Failure> {
    let mut messages = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = ListMessagesRequest {
            ticket_id: id.to_string(),
            page_size: LARGEST_PAGE,
            page_token,
        };
        let page = connection
            .call(request, async |request| {
                connection.tickets().list_messages(request).await
            })
            .await?;
        messages.extend(page.messages);
        if page.next_page_token.is_empty() {
            return Ok(messages);
        }
        page_token = page.next_page_token;
    }
}

pub(super) fn show_ticket(ticket: &Ticket, output: &mut Output) -> Result<(), Failure> {
    output.heading(&format!("{}  {}", ticket.number, visible_line(&ticket.title)))?;
    let mut facts = vec![
        words(ticket.status().as_str_name(), "TICKET_STATUS"),
        format!("{} priority", words(ticket.priority().as_str_name(), "TICKET_PRIORITY")),
        words(ticket.category().as_str_name(), "TICKET_CATEGORY"),
        format!(
            "answered by {}",
            words(ticket.handler().as_str_name(), "TICKET_HANDLER")
        ),
    ];
    facts.extend(ticket.tags.iter().map(|tag| format!("#{}", visible_line(tag))));
    output.line(&ticket.id)?;
    output.line(&facts.join(", "))?;
    let (opened, changed) = (moment(ticket.create_time.as_ref()), moment(ticket.update_time.as_ref()));
    output.line(&format!("opened {opened}, changed {changed}"))?;
    let assignee = if ticket.assignee_id.is_empty() {
        "nobody"
    } else {
        &ticket.assignee_id
    };
    output.line(&format!("requester {}, assigned to {assignee}", ticket.requester_id))?;
    output.line("")?;
    output.line(&indented(&ticket.description))
}

pub(super) fn show_message(message: &Message, output: &mut Output) -> Result<(), Failure> {
    let author = words(message.author_kind().as_str_name(), "AUTHOR_KIND");
    let internal = if message.visibility() == MessageVisibility::Internal {
        ", internal"
    } else {
        ""
    };
    output.line("")?;
    output.heading(&format!("{author}, {}{internal}", moment(message.create_time.as_ref())))?;
    output.line(&indented(&message.body))
}
