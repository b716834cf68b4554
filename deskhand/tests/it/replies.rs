//! What is done with replies, drafts and the assistant besides, against a scripted server.

use std::fs;

use deskhand_proto::replies::v1::{CallOutcome, Reply, ReplyMode, ReplyState, Tone, UsageKey, UsageRow, Verdict};
use deskhand_proto::tickets::v1::Message;
use serde_json::json;
use tonic::Code;

use crate::client::{Client, json_lines};
use crate::scripted::{REPLY, Script, Scripted, TICKET, TOKEN, refusal};

fn client(server: &Scripted) -> Client {
    Client::with_token(&server.address, TOKEN)
}

fn desk() -> Scripted {
    let message = Message {
        id: "the-message".to_owned(),
        body: "It is\nfine.".to_owned(),
        ..Message::default()
    };
    Scripted::start(Script {
        reply: Reply {
            id: REPLY.to_owned(),
            ticket_id: TICKET.to_owned(),
            mode: ReplyMode::Post.into(),
            state: ReplyState::Completed.into(),
            attempt: 1,
            message: Some(message),
            ..Reply::default()
        },
        ..Script::default()
    })
}

#[test]
fn replies_are_listed_and_shown() {
    let server = desk();
    let client = client(&server);
    assert_eq!(
        client.expect(&["reply", "list", TICKET]),
        format!("{REPLY}  post     completed   -  It is fine.")
    );
    let page = client.expect_json(&["reply", "list", TICKET, "--limit", "3"]);
    assert_eq!(page["replies"][0]["state"], "REPLY_STATE_COMPLETED");

    let shown = client.expect(&["reply", "show", REPLY]);
    assert!(
        shown.starts_with(REPLY) && shown.ends_with("posted as message the-message\n\n  It is\n  fine."),
        "{shown}"
    );
    assert_eq!(client.expect_json(&["reply", "show", REPLY])["reply"]["id"], REPLY);
    assert!(client.expect(&["reply", "cancel", REPLY]).starts_with(REPLY));
    assert_eq!(client.expect_json(&["reply", "cancel", REPLY])["reply"]["id"], REPLY);
    // Flags of all commands stand where they like.
    for arguments in [
        &["--json", "reply", "show", REPLY] as &[&str],
        &["reply", "--json", "show", REPLY],
        &["reply", "--timeout", "9", "show", REPLY],
    ] {
        let done = client.run(arguments);
        assert_eq!(done.code, 0, "{arguments:?}: {done:?}");
    }
    let calls = server.calls().len();
    for arguments in [
        &["reply", TICKET, "show", REPLY] as &[&str],
        &["reply", "--whole", "show", REPLY],
        &["reply", "--attach", REPLY, "list", TICKET],
    ] {
        let done = client.run(arguments);
        assert_eq!((done.code, server.calls().len()), (2, calls), "{arguments:?}: {done:?}");
    }
}

#[test]
fn a_reply_is_rated() {
    let server = desk();
    let client = client(&server);
    assert!(client.expect(&["reply", "rate", REPLY, "--helpful"]).starts_with(REPLY));
    let rated = client.expect_json(&["reply", "rate", REPLY, "--not-helpful", "--comment", "wrong floor"]);
    assert_eq!(rated["reply"]["id"], REPLY);
    let ratings = server.asked().ratings;
    let said: Vec<_> = ratings
        .iter()
        .map(|rating| (rating.reply_id.as_str(), rating.verdict(), rating.comment.as_str()))
        .collect();
    assert_eq!(
        said,
        [
            (REPLY, Verdict::Helpful, ""),
            (REPLY, Verdict::NotHelpful, "wrong floor")
        ]
    );
    assert_eq!(client.run(&["reply", "rate", REPLY]).code, 2, "of use or not?");
}

#[test]
fn drafts_are_accepted_as_they_are_or_with_another_text() {
    let server = desk();
    let client = client(&server);
    let file = client.home().join("text");
    fs::write(&file, "Dear Ada,\nyes.\n").unwrap();
    let file = file.to_str().unwrap();
    assert_eq!(client.expect(&["draft", "accept", REPLY]), "the-message");
    assert_eq!(
        client.expect(&["draft", "accept", REPLY, "--body", "Yes."]),
        "the-message"
    );
    client.expect(&["draft", "accept", REPLY, "--body-file", file]);
    for arguments in [["--body", "-"], ["--body-file", "-"]] {
        let done = client.run_with_input(&[&["draft", "accept", REPLY], &arguments[..]].concat(), "No.");
        assert_eq!(done.code, 0, "{done:?}");
    }
    let accepted = client.expect_json(&["draft", "accept", REPLY]);
    assert_eq!(accepted["reply"]["message"]["id"], "the-message");
    let bodies: Vec<String> = server.asked().accepts.into_iter().map(|accept| accept.body).collect();
    assert_eq!(bodies, ["", "Yes.", "Dear Ada,\nyes.\n", "No.", "No.", ""]);

    // An empty text would stand for the draft.
    fs::write(file, " \n").unwrap();
    let nowhere = client.home().join("nowhere");
    for (arguments, code) in [
        (["--body", ""], 2),
        (["--body", " "], 2),
        (["--body", "-"], 2),
        (["--body-file", file], 2),
        (["--body-file", nowhere.to_str().unwrap()], 1),
    ] {
        let done = client.run(&[&["draft", "accept", REPLY], &arguments[..]].concat());
        assert_eq!(done.code, code, "{arguments:?}: {done:?}");
    }
    assert_eq!(server.asked().accepts.len(), 6);

    let done = client.run(&["draft", "discard", REPLY]);
    assert_eq!((done.code, done.stdout.as_str()), (0, ""), "{done:?}");
    assert!(done.stderr.contains("nothing was posted"), "{}", done.stderr);
    assert_eq!(client.expect_json(&["draft", "discard", REPLY])["reply"]["id"], REPLY);
}

#[test]
fn the_assistant_sums_up_judges_and_rewrites() {
    let server = desk();
    let client = client(&server);
    assert_eq!(client.expect(&["ticket", "summary", TICKET]), "It burns.\nNobody came.");
    assert_eq!(client.expect_json(&["ticket", "summary", TICKET])["reply_id"], REPLY);
    let judged = client.expect(&["ticket", "triage", TICKET]);
    assert!(
        judged.contains("50 % sure\nIt burns.\n") && judged.ends_with("it changed meanwhile"),
        "{judged}"
    );
    assert_eq!(client.expect_json(&["ticket", "triage", TICKET])["applied"], false);

    assert_eq!(client.expect(&["rewrite", "--tone", "friendly", "no"]), "NO");
    let rewrite = ["rewrite", "--tone", "shorter"];
    assert_eq!(client.run_with_input(&rewrite, "two\nlines").stdout, "TWO\nLINES\n");
    assert_eq!(client.expect_json(&["rewrite", "no", "--tone", "formal"])["text"], "NO");
    let rewrites = server.asked().rewrites;
    let asked: Vec<_> = rewrites
        .iter()
        .map(|asked| (asked.text.as_str(), asked.tone()))
        .collect();
    let expected = [
        ("no", Tone::Friendly),
        ("two\nlines", Tone::Shorter),
        ("no", Tone::Formal),
    ];
    assert_eq!(asked, expected);
    assert_eq!(client.run(&["rewrite", "no"]).code, 2, "in which tone?");

    // It takes its time. A whole number of milliseconds is how it is written.
    let time = server.calls().into_iter().find_map(|call| call.timeout).unwrap();
    let milliseconds: u64 = time.strip_suffix('m').unwrap().parse().unwrap();
    assert!(milliseconds > 170_000, "{time}");
}

#[test]
fn usage_is_a_table() {
    let row = |day: &str, model: &str| UsageRow {
        day: day.to_owned(),
        model: model.to_owned(),
        outcome: CallOutcome::Completed.into(),
        mode: ReplyMode::Post.into(),
        calls: 2,
        cost_micro_usd: 1_500,
        ..UsageRow::default()
    };
    let serving = || {
        Scripted::start(Script {
            usage: vec![vec![row("2026-01-30", "a/b")], vec![row("2026-01-31", "")]].into(),
            ..Script::default()
        })
    };
    let server = serving();
    let asked = [
        "usage",
        "--from",
        "2026-01-30",
        "--to",
        "2026-01-31",
        "--by",
        "day,model",
        "--by",
        "outcome",
        "--all",
    ];
    let shown = client(&server).expect(&asked);
    let lines: Vec<Vec<&str>> = shown.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0][..4], ["day", "model", "outcome", "calls"]);
    assert_eq!(lines[1][..4], ["2026-01-30", "a/b", "completed", "2"]);
    assert_eq!(lines[2][..4], ["2026-01-31", "-", "completed", "2"]);
    assert_eq!((lines.len(), lines[1].last()), (3, Some(&"0.001500")));
    let usages = server.asked().usages;
    let keys = [UsageKey::Day, UsageKey::Model, UsageKey::Outcome].map(i32::from);
    assert_eq!(usages[0].group_by, keys);
    assert_eq!(
        (usages[0].first_day.as_str(), usages[0].last_day.as_str()),
        ("2026-01-30", "2026-01-31")
    );
    assert_eq!((usages.len(), usages[1].page_token.as_str()), (2, "more"));

    let server = serving();
    let page = client(&server).expect_json(&["usage"]);
    assert_eq!(
        (&page["rows"][0]["calls"], &page["next_page_token"]),
        (&json!("2"), &json!("more"))
    );
    assert_eq!(server.asked().usages[0], Default::default());
}

#[test]
fn refusals_are_told() {
    for (arguments, status, code) in [
        (
            &["reply", "show", REPLY] as &[&str],
            refusal(Code::NotFound, "REPLY_NOT_FOUND"),
            4,
        ),
        (
            &["reply", "cancel", REPLY],
            refusal(Code::FailedPrecondition, "REPLY_ENDED"),
            5,
        ),
        (
            &["reply", "rate", REPLY, "--helpful"],
            refusal(Code::FailedPrecondition, "NOT_ANSWERED"),
            5,
        ),
        (
            &["draft", "accept", REPLY],
            refusal(Code::FailedPrecondition, "DRAFT_DECIDED"),
            5,
        ),
        (
            &["draft", "discard", REPLY],
            refusal(Code::FailedPrecondition, "NOT_A_DRAFT"),
            5,
        ),
        (
            &["ticket", "summary", TICKET],
            refusal(Code::ResourceExhausted, "BUDGET_USED_UP"),
            6,
        ),
        (
            &["ticket", "triage", TICKET],
            refusal(Code::FailedPrecondition, "TICKET_CLOSED"),
            5,
        ),
        (
            &["rewrite", "--tone", "formal", "x"],
            refusal(Code::Aborted, "ANSWER_TRUNCATED"),
            5,
        ),
        (&["usage"], refusal(Code::PermissionDenied, "ROLE_NOT_ALLOWED"), 5),
    ] {
        let server = Scripted::refusing(vec![status.clone()]);
        let done = client(&server).run(arguments);
        assert_eq!((done.code, done.stdout.as_str()), (code, ""), "{arguments:?}: {done:?}");
        let server = Scripted::refusing(vec![status]);
        let done = client(&server).run(&[arguments, &["--json"]].concat());
        let [error] = json_lines(&done.stderr).try_into().unwrap();
        assert_eq!(error["error"]["exit_code"], code, "{arguments:?}");
        assert!(error["error"]["reason"].is_string(), "{arguments:?}: {error}");
    }
}
