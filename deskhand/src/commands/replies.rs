//! `reply list`, `show`, `cancel`, `rate`: what became of replies.

use deskhand_proto::replies::v1::{
    CancelReplyRequest, DraftDecision, GetReplyRequest, ListRepliesRequest, ListRepliesResponse, RateReplyRequest,
    Reply, ReplyState, Verdict,
};

use super::answer::cost;
use super::pages::{self, Page};
use crate::cli;
use crate::connection::{Connection, new_request_id};
use crate::ending::reason_of_failure;
use crate::failure::Failure;
use crate::output::Output;
use crate::text::{indented, moment, shortened, visible_line, words};

/// So many characters of an answer say which it is.
const LONGEST: usize = 60;

pub(super) async fn run(command: cli::Replies, connection: &Connection, output: &mut Output) -> Result<(), Failure> {
    match command {
        cli::Replies::List(args) => list(args, connection, output).await,
        cli::Replies::Show(args) => show(args, connection, output).await,
        cli::Replies::Cancel(args) => cancel(args, connection, output).await,
        cli::Replies::Rate(args) => rate(args, connection, output).await,
    }
}

async fn list(args: cli::ListReplies, connection: &Connection, output: &mut Output) -> Result<(), Failure> {
    pages::show(args.page, output, async |page_size, page_token| {
        let request = ListRepliesRequest {
            ticket_id: args.ticket.to_string(),
            page_size,
            page_token,
        };
        connection
            .call(request, async |request| {
                connection.replies().list_replies(request).await
            })
            .await
    })
    .await
}

impl Page for ListRepliesResponse {
    const NAME: &'static str = "deskhand.replies.v1.ListRepliesResponse";

    fn next_page_token(&self) -> &str {
        &self.next_page_token
    }

    fn rows(&self) -> Vec<String> {
        self.replies.iter().map(row).collect()
    }
}

fn row(reply: &Reply) -> String {
    let mode = words(reply.mode().as_str_name(), "REPLY_MODE");
    let said = shortened(&visible_line(text(reply)), LONGEST);
    format!(
        "{}  {mode:<7}  {:<10}  {}  {said}",
        reply.id,
        fate(reply),
        moment(reply.create_time.as_ref())
    )
    .trim_end()
    .to_owned()
}

/// Where it stands; of a draft, what was decided on it.
fn fate(reply: &Reply) -> String {
    let decision = reply.decision.as_ref().map(|decision| decision.decision());
    match decision {
        None | Some(DraftDecision::Unspecified) => words(reply.state().as_str_name(), "REPLY_STATE"),
        Some(decided) => words(decided.as_str_name(), "DRAFT_DECISION"),
    }
}

/// The answer that came of it, or why none did.
fn text(reply: &Reply) -> &str {
    match (reply.state(), &reply.message) {
        (ReplyState::HandedOff, _) => &reply.hand_off_why,
        (ReplyState::Failed, _) => reply.failure.as_ref().map_or("", |failure| &failure.message),
        (_, Some(message)) => &message.body,
        _ => &reply.draft_text,
    }
}

async fn show(args: cli::ReplyId, connection: &Connection, output: &mut Output) -> Result<(), Failure> {
    let request = GetReplyRequest {
        reply_id: args.id.to_string(),
    };
    let answer = connection
        .call(request, async |request| connection.replies().get_reply(request).await)
        .await?;
    if output.is_json() {
        return output.document("deskhand.replies.v1.GetReplyResponse", &answer);
    }
    show_reply(&answer.reply.unwrap_or_default(), output)
}

async fn cancel(args: cli::ReplyId, connection: &Connection, output: &mut Output) -> Result<(), Failure> {
    let request = CancelReplyRequest {
        reply_id: args.id.to_string(),
        request_id: new_request_id(),
    };
    let answer = connection
        .change(request, async |request| {
            connection.replies().cancel_reply(request).await
        })
        .await?;
    if output.is_json() {
        return output.document("deskhand.replies.v1.CancelReplyResponse", &answer);
    }
    show_reply(&answer.reply.unwrap_or_default(), output)
}

async fn rate(args: cli::Rate, connection: &Connection, output: &mut Output) -> Result<(), Failure> {
    let verdict = if args.helpful {
        Verdict::Helpful
    } else {
        Verdict::NotHelpful
    };
    let request = RateReplyRequest {
        reply_id: args.id.to_string(),
        verdict: verdict.into(),
        comment: args.comment,
        request_id: new_request_id(),
    };
    let answer = connection
        .change(request, async |request| connection.replies().rate_reply(request).await)
        .await?;
    if output.is_json() {
        return output.document("deskhand.replies.v1.RateReplyResponse", &answer);
    }
    show_reply(&answer.reply.unwrap_or_default(), output)
}

fn show_reply(reply: &Reply, output: &mut Output) -> Result<(), Failure> {
    for fact in facts(reply) {
        output.line(&fact)?;
    }
    let text = text(reply);
    if !text.is_empty() {
        output.line("")?;
        output.line(&indented(text))?;
    }
    Ok(())
}

fn facts(reply: &Reply) -> Vec<String> {
    let mode = words(reply.mode().as_str_name(), "REPLY_MODE");
    let state = words(reply.state().as_str_name(), "REPLY_STATE");
    let (asked, ended) = (moment(reply.create_time.as_ref()), moment(reply.end_time.as_ref()));
    let mut facts = vec![
        visible_line(&reply.id),
        format!("{mode}, {state}, attempt {}", reply.attempt),
        format!(
            "asked {asked} by {}, ended {ended}",
            visible_line(&reply.requested_by_id)
        ),
    ];
    // A text that is written anew belongs to no ticket.
    if !reply.ticket_id.is_empty() {
        facts.insert(1, format!("of ticket {}", visible_line(&reply.ticket_id)));
    }
    if let Some(failure) = &reply.failure {
        facts.push(format!("reason {}", reason_of_failure(failure.reason)));
    }
    if let Some(message) = &reply.message {
        facts.push(format!("posted as message {}", visible_line(&message.id)));
    }
    if let Some(usage) = &reply.usage {
        facts.push(visible_line(&cost(usage)));
    }
    if let Some(decision) = &reply.decision {
        let edited = match decision.edit_distance {
            0 => String::new(),
            distance => format!(", {distance} characters changed"),
        };
        facts.push(format!(
            "{} {} by {}{edited}",
            words(decision.decision().as_str_name(), "DRAFT_DECISION"),
            moment(decision.time.as_ref()),
            visible_line(&decision.user_id)
        ));
    }
    for rating in &reply.ratings {
        let comment = match visible_line(&rating.comment).as_str() {
            "" => String::new(),
            comment => format!(": {comment}"),
        };
        facts.push(format!(
            "{}, says {} {}{comment}",
            words(rating.verdict().as_str_name(), "VERDICT"),
            visible_line(&rating.user_id),
            moment(rating.update_time.as_ref())
        ));
    }
    facts
}

#[cfg(test)]
mod tests {
    use deskhand_proto::replies::v1::reply_event::Failed;
    use deskhand_proto::replies::v1::{Decision, FailureReason, Rating, ReplyMode, Usage};
    use deskhand_proto::tickets::v1::Message;

    use super::*;

    fn reply(mode: ReplyMode, state: ReplyState) -> Reply {
        Reply {
            id: "r".to_owned(),
            ticket_id: "t".to_owned(),
            mode: mode.into(),
            state: state.into(),
            attempt: 2,
            requested_by_id: "u".to_owned(),
            ..Reply::default()
        }
    }

    #[test]
    fn a_row_says_what_became_of_it() {
        let message = Message {
            id: "m".to_owned(),
            body: "Hello\nthere".to_owned(),
            ..Message::default()
        };
        let draft = |decision: DraftDecision| Reply {
            draft_text: "A draft".to_owned(),
            decision: Some(Decision {
                decision: decision.into(),
                ..Decision::default()
            }),
            ..reply(ReplyMode::Draft, ReplyState::Drafted)
        };
        let posted = Reply {
            message: Some(message),
            ..reply(ReplyMode::Post, ReplyState::Completed)
        };
        let failed = Reply {
            failure: Some(Failed {
                reason: FailureReason::TimedOut.into(),
                message: "Too slow.".to_owned(),
                partial_text: "Hel".to_owned(),
            }),
            ..reply(ReplyMode::Post, ReplyState::Failed)
        };
        let left = Reply {
            hand_off_why: "wants a refund".to_owned(),
            ..reply(ReplyMode::Post, ReplyState::HandedOff)
        };
        let evil = Reply {
            draft_text: "\u{1b}[2J\n".to_owned() + &"x".repeat(100),
            ..reply(ReplyMode::Draft, ReplyState::Drafted)
        };
        for (reply, expected) in [
            (posted, "r  post     completed   -  Hello there"),
            (draft(DraftDecision::Unspecified), "r  draft    drafted     -  A draft"),
            (draft(DraftDecision::Accepted), "r  draft    accepted    -  A draft"),
            (draft(DraftDecision::Discarded), "r  draft    discarded   -  A draft"),
            (failed, "r  post     failed      -  Too slow."),
            (left, "r  post     handed off  -  wants a refund"),
            (
                reply(ReplyMode::Summary, ReplyState::Running),
                "r  summary  running     -",
            ),
        ] {
            assert_eq!(row(&reply), expected);
        }
        let shown = row(&evil);
        assert!(
            !shown.contains(char::is_control) && shown.chars().count() < 100,
            "{shown:?}"
        );
    }

    #[test]
    fn everything_that_is_known_is_told() {
        let reply = Reply {
            usage: Some(Usage {
                model: "m".to_owned(),
                input_tokens: 5,
                output_tokens: 7,
                ..Usage::default()
            }),
            decision: Some(Decision {
                decision: DraftDecision::Accepted.into(),
                user_id: "a".to_owned(),
                edit_distance: 3,
                ..Decision::default()
            }),
            ratings: vec![Rating {
                user_id: "b".to_owned(),
                verdict: Verdict::NotHelpful.into(),
                comment: "wrong\nfloor".to_owned(),
                ..Rating::default()
            }],
            ..reply(ReplyMode::Draft, ReplyState::Drafted)
        };
        let expected = [
            "r",
            "of ticket t",
            "draft, drafted, attempt 2",
            "asked - by u, ended -",
            "m, 5 tokens in, 7 out",
            "accepted - by a, 3 characters changed",
            "not helpful, says b -: wrong floor",
        ];
        assert_eq!(facts(&reply), expected);
    }
}
