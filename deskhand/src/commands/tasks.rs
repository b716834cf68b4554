//! `ticket summary`, `ticket triage`, `rewrite`: what the assistant does for the desk besides answering.

use deskhand_proto::replies::v1::{RewriteTextRequest, SummarizeTicketRequest, Tone, Triage, TriageTicketRequest};

use super::account::authenticated;
use crate::cli;
use crate::connection::{Connection, new_request_id};
use crate::failure::Failure;
use crate::input;
use crate::output::Output;
use crate::text::{visible_line, words};

pub(super) async fn summarize(
    args: cli::OfTicket,
    connection: &Connection,
    output: &mut Output,
) -> Result<(), Failure> {
    let request = SummarizeTicketRequest {
        ticket_id: args.ticket.to_string(),
        request_id: new_request_id(),
    };
    let answer = connection
        .task(request, async |request| {
            connection.replies().summarize_ticket(request).await
        })
        .await?;
    if output.is_json() {
        return output.document("deskhand.replies.v1.SummarizeTicketResponse", &answer);
    }
    output.line(&answer.summary)?;
    say_cost(&answer.reply_id, output);
    Ok(())
}

pub(super) async fn triage(args: cli::OfTicket, connection: &Connection, output: &mut Output) -> Result<(), Failure> {
    let request = TriageTicketRequest {
        ticket_id: args.ticket.to_string(),
        request_id: new_request_id(),
    };
    let answer = connection
        .task(request, async |request| {
            connection.replies().triage_ticket(request).await
        })
        .await?;
    if output.is_json() {
        return output.document("deskhand.replies.v1.TriageTicketResponse", &answer);
    }
    for line in judgement(&answer.triage.unwrap_or_default()) {
        output.line(&line)?;
    }
    output.line(if answer.applied {
        "the ticket was set accordingly"
    } else {
        "the ticket was left as it is: it changed meanwhile"
    })?;
    say_cost(&answer.reply_id, output);
    Ok(())
}

fn judgement(triage: &Triage) -> [String; 3] {
    let person = if triage.needs_human {
        "a person should answer"
    } else {
        "the assistant can answer"
    };
    [
        format!(
            "{}, {} priority, {}, {}",
            words(triage.category().as_str_name(), "TICKET_CATEGORY"),
            words(triage.priority().as_str_name(), "TICKET_PRIORITY"),
            words(triage.sentiment().as_str_name(), "SENTIMENT"),
            visible_line(&triage.language)
        ),
        format!("{person}; {:.0} % sure", triage.confidence * 100.0),
        visible_line(&triage.why),
    ]
}

pub(crate) async fn rewrite(args: cli::Rewrite, connection: &Connection, output: &mut Output) -> Result<(), Failure> {
    let connection = &authenticated(connection).await?;
    let request = RewriteTextRequest {
        text: input::text(args.text)?,
        tone: Tone::from(args.tone).into(),
        request_id: new_request_id(),
    };
    let answer = connection
        .task(request, async |request| {
            connection.replies().rewrite_text(request).await
        })
        .await?;
    if output.is_json() {
        return output.document("deskhand.replies.v1.RewriteTextResponse", &answer);
    }
    output.line(&answer.text)?;
    say_cost(&answer.reply_id, output);
    Ok(())
}

fn say_cost(reply_id: &str, output: &mut Output) {
    output.note(&format!("what it cost is told by: deskhand reply show {reply_id}"));
}

#[cfg(test)]
mod tests {
    use deskhand_proto::replies::v1::Sentiment;
    use deskhand_proto::tickets::v1::{TicketCategory, TicketPriority};

    use super::*;

    #[test]
    fn a_judgement_is_three_lines() {
        let triage = Triage {
            category: TicketCategory::Billing.into(),
            priority: TicketPriority::High.into(),
            sentiment: Sentiment::Angry.into(),
            language: "pt-BR".to_owned(),
            confidence: 0.934,
            needs_human: true,
            why: "Threatens\nto leave.".to_owned(),
        };
        let expected = [
            "billing, high priority, angry, pt-BR",
            "a person should answer; 93 % sure",
            "Threatens to leave.",
        ];
        assert_eq!(judgement(&triage), expected);
    }
}
