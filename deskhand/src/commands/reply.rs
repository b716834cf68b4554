//! `reply`: the assistant's answer, shown as it is written.

use std::time::{Duration, Instant};

use deskhand_proto::replies::v1::{StreamReplyRequest, Usage};
use deskhand_proto::tickets::v1::Message;
use uuid::Uuid;

use super::account::authenticated;
use crate::cli;
use crate::connection::{Connection, new_request_id};
use crate::failure::Failure;
use crate::output::Output;
use crate::transcript::{Ending, Fault, Progress, Transcript};

/// An answer that is whole.
pub(crate) struct Answer {
    pub(crate) text: String,
    /// The message that was posted; a draft has none.
    pub(crate) message: Option<Message>,
    /// From asking to the first piece of text.
    pub(crate) first_text_after: Option<Duration>,
}

pub(crate) async fn run(args: cli::Reply, connection: &Connection, output: &mut Output) -> Result<(), Failure> {
    let connection = authenticated(connection).await?;
    stream(args.ticket, args.whole, &connection, output).await?;
    Ok(())
}

/// Asks for an answer and writes it as it comes, or at its end where `whole` is asked for.
pub(crate) async fn stream(
    ticket: Uuid,
    whole: bool,
    connection: &Connection,
    output: &mut Output,
) -> Result<Answer, Failure> {
    let request = StreamReplyRequest {
        ticket_id: ticket.to_string(),
        request_id: new_request_id(),
        ..Default::default()
    };
    let asked = Instant::now();
    output.note("the assistant is writing…");
    let mut events = connection
        .stream(request, async |request| {
            connection.replies().stream_reply(request).await
        })
        .await?;

    let mut transcript = Transcript::default();
    let mut page = Page {
        output,
        whole,
        dirty: false,
    };
    let mut first_text_after = None;
    while let Some(answer) = events.next().await.inspect_err(|_| page.leave())? {
        if page.output.is_json() {
            page.output
                .document("deskhand.replies.v1.StreamReplyResponse", &answer)?;
        }
        let Some(event) = answer.event else { continue };
        match transcript.accept(event).inspect_err(|_| page.leave())? {
            Progress::Text(text) => {
                first_text_after.get_or_insert_with(|| asked.elapsed());
                page.write(&text)?;
            }
            Progress::Restarted => page.void()?,
            Progress::Started | Progress::Unknown => {}
            Progress::Ended(ending) => {
                let (message, usage) = match ending {
                    Ending::Completed { message, usage } => (Some(message), usage),
                    Ending::Drafted { usage } => (None, usage),
                    ending => {
                        page.leave();
                        return Err(Failure::NoAnswer(Box::new(ending)));
                    }
                };
                page.finish(transcript.text())?;
                page.output.note(&remark(message.is_some(), usage.as_ref()));
                return Ok(Answer {
                    text: transcript.into_text(),
                    message,
                    first_text_after,
                });
            }
        }
    }
    page.leave();
    Err(Fault::NoEnding.into())
}

/// Where the answer is written to.
struct Page<'a> {
    output: &'a mut Output,
    whole: bool,
    /// Some of the answer stands there, and its line is not ended.
    dirty: bool,
}

impl Page<'_> {
    fn write(&mut self, text: &str) -> Result<(), Failure> {
        if !self.whole && !self.output.is_json() {
            self.dirty = true;
            self.output.piece(text)?;
        }
        Ok(())
    }

    /// What was written is void. A person can be told; a program would take it for part of the answer.
    fn void(&mut self) -> Result<(), Failure> {
        if !self.dirty {
            return Ok(());
        }
        self.leave();
        if !self.output.is_read_by_a_person() {
            return Err(Failure::Local(
                "the assistant began anew after part of an answer was written; \
                 ask again for the new one, with --whole to be spared this"
                    .to_owned(),
            ));
        }
        self.output.step("the assistant began anew; the text above is void");
        Ok(())
    }

    fn finish(&mut self, text: &str) -> Result<(), Failure> {
        if self.output.is_json() {
            return Ok(());
        }
        if self.whole {
            self.output.piece(text)?;
        }
        if !text.ends_with('\n') {
            self.output.piece("\n")?;
        }
        Ok(())
    }

    /// Ends the line, so that what is said on the side stands on one of its own.
    fn leave(&mut self) {
        if std::mem::take(&mut self.dirty) {
            let _ = self.output.piece("\n");
        }
    }
}

fn remark(posted: bool, usage: Option<&Usage>) -> String {
    let fate = if posted {
        "posted"
    } else {
        "kept as a draft, not posted"
    };
    match usage {
        Some(Usage {
            model,
            input_tokens,
            output_tokens,
            ..
        }) => {
            format!("{fate}; {model}, {input_tokens} tokens in, {output_tokens} out")
        }
        None => fate.to_owned(),
    }
}
