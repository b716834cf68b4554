//! `chat`: a conversation in a ticket, line by line.

mod editor;
mod said;

use deskhand_proto::tickets::v1::{GetTicketResponse, Message, PostMessageRequest};
use uuid::Uuid;

use self::said::{HELP, Said};
use super::account::authenticated;
use super::{answer, draft, ticket};
use crate::cli;
use crate::connection::{Connection, new_request_id};
use crate::failure::Failure;
use crate::follow::Follow;
use crate::interrupt::Interrupts;
use crate::lines::Lines;
use crate::output::Output;
use crate::patience::insist;
use crate::text::{shortened, visible_line};

const PROMPT: &str = "> ";
/// So many messages say where a conversation stands,
const NEWEST: usize = 6;
/// and so many characters of each.
const LONGEST: usize = 400;

pub(crate) async fn run(args: cli::Chat, connection: &Connection, output: &mut Output) -> Result<(), Failure> {
    let connection = &authenticated(connection).await?;
    let mut stop = Interrupts::listen()?;
    let typed = Lines::are_typed();
    show_so_far(&ticket::get(connection, args.ticket).await?, output)?;
    if typed {
        output.note("a line is a message; /help tells more, Ctrl-D ends");
    }
    let mut chat = Chat {
        connection,
        ticket: args.ticket,
        whole: args.whole,
        draft: None,
    };
    let mut lines = Lines::of_standard_input();
    loop {
        output.prompt(if typed { PROMPT } else { "" });
        let line = tokio::select! {
            line = lines.next() => line?,
            () = stop.next() => None,
        };
        let Some(line) = line else {
            output.prompt(if typed { "\n" } else { "" });
            return Ok(());
        };
        match chat.hear(&line, &mut stop, output).await {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            // A person decides what to do about it. A script's later lines may build on what did not happen.
            Err(failure) if typed && leaves_something_to_do(&failure) => output.failure(&failure),
            Err(failure) => return Err(failure),
        }
    }
}

fn leaves_something_to_do(failure: &Failure) -> bool {
    const NOT_LOGGED_IN: u8 = 3;
    const NOT_FOUND: u8 = 4;
    !matches!(failure, Failure::Output(_) | Failure::Interrupted)
        && !matches!(failure.exit_code(), NOT_LOGGED_IN | NOT_FOUND)
}

struct Chat<'a> {
    connection: &'a Connection,
    ticket: Uuid,
    whole: bool,
    /// The newest draft, until something is decided on it.
    draft: Option<Draft>,
}

struct Draft {
    reply_id: String,
    text: String,
}

impl Chat<'_> {
    /// Does what a line says; whether the conversation goes on.
    async fn hear(&mut self, line: &str, stop: &mut Interrupts, output: &mut Output) -> Result<bool, Failure> {
        match Said::of(line)? {
            Said::Nothing => {}
            Said::Quit => return Ok(false),
            Said::Help => HELP.lines().for_each(|line| output.step(line)),
            Said::Ask => self.ask(stop, output).await?,
            Said::Message(text) => {
                tokio::select! {
                    posted = self.post(text, output) => posted?,
                    () = stop.next() => return Err(Failure::Interrupted),
                }
                self.ask(stop, output).await?;
            }
            Said::Accept => {
                let draft = self.draft()?;
                draft::accept(&draft.reply_id, String::new(), self.connection, output).await?;
                self.draft = None;
            }
            Said::Edit(text) => {
                let draft = self.draft()?;
                let text = match text {
                    Some(text) => text,
                    None => editor::edited(&draft.text, stop).await?,
                };
                draft::accept(&draft.reply_id, draft::body(text)?, self.connection, output).await?;
                self.draft = None;
            }
            Said::Discard => {
                draft::discard(&self.draft()?.reply_id, self.connection, output).await?;
                self.draft = None;
            }
        }
        Ok(true)
    }

    fn draft(&self) -> Result<&Draft, Failure> {
        let none = || Failure::Usage("there is no draft to decide on; /ask asks for one, as an agent".to_owned());
        self.draft.as_ref().ok_or_else(none)
    }

    async fn post(&self, body: String, output: &mut Output) -> Result<(), Failure> {
        let request = PostMessageRequest {
            ticket_id: self.ticket.to_string(),
            body,
            request_id: new_request_id(),
            ..Default::default()
        };
        let connection = self.connection;
        let post = async |request| connection.tickets().post_message(request).await;
        let answer = insist(output, async || connection.change(request.clone(), post).await).await?;
        if output.is_json() {
            output.document("deskhand.tickets.v1.PostMessageResponse", &answer)?;
        }
        Ok(())
    }

    async fn ask(&mut self, stop: &mut Interrupts, output: &mut Output) -> Result<(), Failure> {
        let follow = Follow::ask(self.connection, self.ticket).at_known_server();
        let answer = answer::show_until_stopped(follow, self.whole, self.connection, stop, output).await?;
        if answer.message.is_none() {
            output.note("it is a draft: /accept posts it, /edit posts another text instead, /discard puts it away");
            self.draft = Some(Draft {
                reply_id: answer.reply_id,
                text: answer.text,
            });
        }
        Ok(())
    }
}

/// The conversation so far, in short. A script's output has the answers alone.
fn show_so_far(kept: &GetTicketResponse, output: &mut Output) -> Result<(), Failure> {
    if output.is_json() {
        return output.document("deskhand.tickets.v1.GetTicketResponse", kept);
    }
    if !output.is_read_by_a_person() {
        return Ok(());
    }
    let ticket = kept.ticket.clone().unwrap_or_default();
    output.heading(&format!("{}  {}", ticket.number, visible_line(&ticket.title)))?;
    if kept.messages.len() <= NEWEST {
        output.line(&crate::text::indented(&shortened(&ticket.description, LONGEST)))?;
    } else {
        output.line("…")?;
    }
    for message in kept.messages.iter().take(NEWEST).rev() {
        let message = Message {
            body: shortened(&message.body, LONGEST),
            ..message.clone()
        };
        ticket::show_message(&message, output)?;
    }
    output.line("")
}
