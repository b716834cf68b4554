//! Conversations without a terminal, against a scripted server.

use std::io::{Read, Write};
use std::process::Child;
use std::sync::mpsc::{Sender, channel};

use deskhand_proto::replies::v1::reply_event::{Cancelled, Drafted, Event, Failed, HandedOff, Interrupted, Superseded};
use deskhand_proto::replies::v1::{FailureReason, Reply};
use deskhand_proto::tickets::v1::Message;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tonic::{Code, Status};

use crate::client::{Client, finish, json_lines};
use crate::launch_support::wait_for;
use crate::scripted::{REPLY, Script, Scripted, Step, TICKET, TOKEN, answer, completed, delta, refusal, started};

const CHAT: &[&str] = &["chat", TICKET];

fn answers(texts: &[&str]) -> Vec<Vec<Step>> {
    let answer = |text: &&str| vec![started(), delta(1, 0, text), completed(text)];
    texts.iter().map(answer).collect()
}

fn answering(texts: &[&str]) -> Scripted {
    Scripted::start(Script {
        streams: answers(texts).into(),
        ..Script::default()
    })
}

fn drafted(text: &str) -> Vec<Step> {
    vec![
        started(),
        delta(1, 0, text),
        Step::Send(Event::Drafted(Drafted::default())),
    ]
}

fn client(server: &Scripted) -> Client {
    Client::with_token(&server.address, TOKEN)
}

fn interrupt(child: &Child) {
    kill_process(Pid::from_child(child), Signal::INT).unwrap();
}

#[test]
fn each_line_is_a_message_and_is_answered() {
    let server = answering(&["It is.", "Grüße 👋\nof two lines", "Hm.", "Bye."]);
    let done = client(&server).run_with_input(CHAT, "Is water fine?\n\n  And foam?  \r\n/ask\n//etc/motd");
    let written = "It is.\nGrüße 👋\nof two lines\nHm.\nBye.\n";
    assert_eq!(
        (done.code, done.stdout.as_str(), done.stderr.as_str()),
        (0, written, "")
    );
    let posts = server.asked().posts;
    let bodies: Vec<&str> = posts.iter().map(|post| post.body.as_str()).collect();
    assert_eq!(bodies, ["Is water fine?", "And foam?", "/etc/motd"]);
    assert!(posts.iter().all(|post| post.ticket_id == TICKET));
    let methods = [
        "GetTicket",
        "PostMessage",
        "StreamReply",
        "PostMessage",
        "StreamReply",
        "StreamReply",
        "PostMessage",
        "StreamReply",
    ];
    assert_eq!(server.methods(), methods);
    let mut ids: Vec<String> = server.calls().into_iter().map(|call| call.request_id).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 8, "each call has an id of its own, the first none");
}

#[test]
fn an_answer_is_shown_as_it_comes_or_whole() {
    let (go_on, gate) = channel();
    let server = Scripted::streaming(vec![
        started(),
        delta(1, 0, "first"),
        Step::Wait(gate),
        delta(1, 5, "!"),
        completed("first!"),
    ]);
    let mut child = client(&server).start(CHAT);
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"hello\n").unwrap();
    let mut shown = [0; 5];
    child.stdout.as_mut().unwrap().read_exact(&mut shown).unwrap();
    assert_eq!(&shown, b"first");
    go_on.send(()).unwrap();
    let mut rest = [0; 2];
    child.stdout.as_mut().unwrap().read_exact(&mut rest).unwrap();
    assert_eq!(&rest, b"!\n", "the next line has not come yet");
    drop(stdin);
    assert_eq!(child.wait().unwrap().code(), Some(0));

    let failed = vec![
        started(),
        delta(1, 0, "half"),
        Step::Send(Event::Superseded(Superseded {})),
    ];
    let done = client(&Scripted::streaming(failed)).run_with_input(&["chat", TICKET, "--whole"], "hello");
    assert_eq!((done.code, done.stdout.as_str()), (7, ""), "{done:?}");
}

#[test]
fn a_message_is_posted_once_however_often_it_is_sent() {
    let refused = || ("PostMessage", Status::unavailable("Draining."));
    let server = Scripted::start(Script {
        streams: answers(&["It is."]).into(),
        later: vec![refused(), refused(), refused()].into(),
        ..Script::default()
    });
    let done = client(&server).run_with_input(CHAT, "Is water fine?");
    assert_eq!((done.code, done.stdout.as_str()), (0, "It is.\n"), "{done:?}");
    assert_eq!(
        done.stderr.matches("waiting for the server").count(),
        1,
        "{}",
        done.stderr
    );
    let [_, posts @ .., _] = &server.calls()[..] else {
        panic!("{:?}", server.calls())
    };
    assert_eq!((posts.len(), server.asked().posts.len()), (4, 1));
    let id = &posts[0].request_id;
    assert!(
        posts
            .iter()
            .all(|call| call.method == "PostMessage" && call.request_id == *id)
    );
}

#[test]
fn every_ending_is_told_and_ends_a_script() {
    let failed = Failed {
        reason: FailureReason::UpstreamRateLimited.into(),
        message: "The provider is busy.".to_owned(),
        partial_text: "some".to_owned(),
    };
    let why = "wants a refund".to_owned();
    let reason = "MESSAGE_GONE".to_owned();
    for (ending, code, words) in [
        (
            Event::Failed(failed),
            7,
            &["The provider is busy.", "UPSTREAM_RATE_LIMITED"] as &[&str],
        ),
        (Event::Superseded(Superseded {}), 7, &["newer", "SUPERSEDED"]),
        (Event::Cancelled(Cancelled {}), 7, &["cancelled"]),
        (Event::HandedOff(HandedOff { why }), 7, &["wants a refund", "person"]),
        (Event::Interrupted(Interrupted { reason }), 6, &["MESSAGE_GONE"]),
    ] {
        let name = format!("{ending:?}");
        let server = Scripted::streaming(vec![started(), delta(1, 0, "some"), Step::Send(ending)]);
        let done = client(&server).run_with_input(CHAT, "one\ntwo\n");
        assert_eq!((done.code, done.stdout.as_str()), (code, "some\n"), "{name}: {done:?}");
        for word in words {
            assert!(done.stderr.contains(word), "{name}: {}", done.stderr);
        }
        assert_eq!(server.asked().posts.len(), 1, "{name}: what came after it was posted");
    }
    for (status, code) in [
        (refusal(Code::FailedPrecondition, "HANDLED_BY_HUMAN"), 5),
        (refusal(Code::ResourceExhausted, "BUDGET_USED_UP"), 6),
    ] {
        let server = Scripted::streaming(vec![Step::Fail(status)]);
        let done = client(&server).run_with_input(CHAT, "one\ntwo\n");
        assert_eq!((done.code, server.calls().len()), (code, 3), "{done:?}");
    }
}

#[test]
fn a_slip_posts_nothing() {
    let server = answering(&[]);
    for line in ["/acept", "/accept", "/edit Dear Ada", "/discard"] {
        let done = client(&server).run_with_input(CHAT, line);
        assert_eq!(done.code, 2, "{line}: {done:?}");
    }
    assert_eq!(server.methods(), ["GetTicket"; 4]);
    let done = client(&server).run_with_input(CHAT, "/quit\nhello\n");
    assert_eq!((done.code, server.asked().posts.len()), (0, 0), "{done:?}");
}

#[test]
fn a_draft_is_decided_on() {
    let reply = Reply {
        id: REPLY.to_owned(),
        message: Some(Message {
            id: "the-message".to_owned(),
            ..Message::default()
        }),
        ..Reply::default()
    };
    let serving = || {
        Scripted::start(Script {
            streams: vec![drafted("Dear Ada, no.")].into(),
            reply: reply.clone(),
            ..Script::default()
        })
    };
    for (decision, method, body, shown) in [
        ("/accept", "AcceptDraft", Some(""), "the-message\n"),
        (
            "/edit Dear Ada, yes.",
            "AcceptDraft",
            Some("Dear Ada, yes."),
            "the-message\n",
        ),
        ("/discard", "DiscardDraft", None, ""),
    ] {
        let server = serving();
        // Once it is decided on, there is none.
        let done = client(&server).run_with_input(CHAT, &format!("/ask\n{decision}\n/accept\n"));
        assert_eq!(
            (done.code, done.stdout),
            (2, format!("Dear Ada, no.\n{shown}")),
            "{}",
            done.stderr
        );
        assert_eq!(server.methods(), ["GetTicket", "StreamReply", method]);
        let accepts = server.asked().accepts;
        let asked = accepts
            .iter()
            .map(|accept| (accept.reply_id.as_str(), accept.body.as_str()));
        assert_eq!(
            asked.collect::<Vec<_>>(),
            body.map(|body| (REPLY, body)).into_iter().collect::<Vec<_>>()
        );
    }
    let server = serving();
    let done = client(&server).run_with_input(CHAT, "/ask\n/edit\n");
    assert_eq!((done.code, server.asked().accepts.len()), (2, 0), "no editor: {done:?}");
}

#[test]
fn a_conversation_in_json() {
    let server = Scripted::start(Script {
        streams: answers(&["It is."]).into(),
        messages: vec![answer("1", "Hello.")],
        ..Script::default()
    });
    let done = client(&server).run_with_input(&["chat", TICKET, "--json"], "Is water fine?");
    assert_eq!((done.code, done.stderr.as_str()), (0, ""));
    let [ticket, message, began, text, end] = json_lines(&done.stdout).try_into().unwrap();
    assert_eq!(
        (&ticket["ticket"]["id"], &ticket["messages"][0]["id"]),
        (&json!(TICKET), &json!("1"))
    );
    assert_eq!(message["message"]["id"], "message");
    assert_eq!(began["event"]["started"]["reply_id"], REPLY);
    assert_eq!(text["event"]["delta"]["text"], "It is.");
    assert_eq!(end["event"]["completed"]["message"]["body"], "It is.");
}

/// A conversation whose answer stands still after its first piece.
fn stuck(rest: Vec<Step>, cancels: Vec<Status>) -> (Sender<()>, Scripted, Child) {
    let (go_on, gate) = channel();
    let mut stream = vec![started(), delta(1, 0, "some"), Step::Wait(gate)];
    stream.extend(rest);
    let server = Scripted::start(Script {
        stream,
        later: cancels.into_iter().map(|status| ("CancelReply", status)).collect(),
        ..Script::default()
    });
    let mut child = client(&server).start(CHAT);
    child.stdin.as_mut().unwrap().write_all(b"hello\n").unwrap();
    child.stdout.as_mut().unwrap().read_exact(&mut [0; 4]).unwrap();
    (go_on, server, child)
}

#[test]
fn ctrl_c_stops_the_answer() {
    let (go_on, server, child) = stuck(vec![Step::Send(Event::Cancelled(Cancelled {}))], Vec::new());
    interrupt(&child);
    wait_for("the wish", || server.methods().contains(&"CancelReply"));
    go_on.send(()).unwrap();
    let done = finish(child, "");
    assert_eq!((done.code, done.stdout.as_str()), (7, "\n"), "{done:?}");
    assert!(done.stderr.contains("cancelled"), "{}", done.stderr);
    assert_eq!(
        server.methods(),
        ["GetTicket", "PostMessage", "StreamReply", "CancelReply"]
    );

    // Too late is no failure: the answer is there.
    let (go_on, server, child) = stuck(
        vec![delta(1, 4, "!"), completed("some!")],
        vec![refusal(Code::FailedPrecondition, "REPLY_ENDED")],
    );
    interrupt(&child);
    wait_for("the wish", || server.methods().contains(&"CancelReply"));
    go_on.send(()).unwrap();
    let done = finish(child, "");
    assert_eq!((done.code, done.stdout.as_str()), (0, "!\n"), "{done:?}");
    assert_eq!(done.stderr.lines().count(), 1, "{}", done.stderr);

    // What could not be asked for is asked for again when the reply shows a sign of life.
    let (go_on, server, child) = stuck(vec![delta(1, 4, "!"), Step::Hang], vec![Status::internal("Ours.")]);
    interrupt(&child);
    let cancels = || server.calls().into_iter().filter(|call| call.method == "CancelReply");
    wait_for("the wish", || cancels().count() == 1);
    go_on.send(()).unwrap();
    wait_for("the wish once more", || cancels().count() == 2);
    let ids: Vec<String> = cancels().map(|call| call.request_id).collect();
    assert_eq!(ids[0], ids[1]);
    interrupt(&child);
    let done = finish(child, "");
    assert!(done.stderr.contains("could not be stopped: Ours."), "{}", done.stderr);
}

#[test]
fn ctrl_c_twice_leaves() {
    let (go_on, server, child) = stuck(Vec::new(), Vec::new());
    interrupt(&child);
    wait_for("the wish", || server.methods().contains(&"CancelReply"));
    interrupt(&child);
    let done = finish(child, "");
    assert_eq!((done.code, done.stdout.as_str()), (130, "\n"), "{done:?}");
    go_on.send(()).unwrap();
}

#[test]
fn ctrl_c_between_answers_leaves() {
    let server = answering(&["It is."]);
    let mut child = client(&server).start(CHAT);
    child.stdin.as_mut().unwrap().write_all(b"hello\n").unwrap();
    child.stdout.as_mut().unwrap().read_exact(&mut [0; 7]).unwrap();
    let stdin = child.stdin.take().unwrap();
    interrupt(&child);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    drop(stdin);
}
