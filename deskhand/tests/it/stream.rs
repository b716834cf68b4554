//! Streams, repeats and deadlines, against a scripted server.

use std::io::Read;
use std::net::TcpListener;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use deskhand_proto::replies::v1::reply_event::{
    Cancelled, Completed, Drafted, Event, Failed, HandedOff, Restarted, Superseded,
};
use deskhand_proto::replies::v1::{FailureReason, Usage};
use deskhand_proto::tickets::v1::Message;
use serde_json::json;
use tonic::{Code, Status};

use crate::client::{Client, finish, json_lines};
use crate::scripted::{REPLY, Script, Scripted, Step, TICKET, TOKEN, answer, completed, delta, started};
use crate::wire::line_that_breaks;

const ASK: &[&str] = &["reply", TICKET];

fn restarted() -> Step {
    Step::Send(Event::Restarted(Restarted { attempt: 2 }))
}

fn client(server: &Scripted) -> Client {
    Client::with_token(&server.address, TOKEN)
}

#[test]
fn a_piped_answer_is_the_answer_and_nothing_else() {
    let text = "Grüße\u{1b}[31m 👋";
    let server = Scripted::streaming(vec![
        started(),
        delta(1, 0, "Grüße"),
        delta(1, 7, &text[7..]),
        completed(text),
    ]);
    let done = client(&server).run(ASK);
    assert_eq!(
        (done.code, done.stdout, done.stderr.as_str()),
        (0, format!("{text}\n"), "")
    );
    let [call] = server.calls().try_into().unwrap();
    assert_eq!(call.authorization.as_deref(), Some("Bearer scripted-token"));
    assert!(call.timeout.is_some());
}

#[test]
fn an_answer_is_shown_as_it_comes() {
    let (go_on, gate) = channel();
    let server = Scripted::streaming(vec![
        started(),
        delta(1, 0, "first"),
        Step::Wait(gate),
        delta(1, 5, "!"),
        completed("first!"),
    ]);
    let client = client(&server);
    let mut child = client.start(ASK);
    let mut shown = [0; 5];
    child.stdout.as_mut().unwrap().read_exact(&mut shown).unwrap();
    assert_eq!(&shown, b"first");
    go_on.send(()).unwrap();
    let done = finish(child, "");
    assert_eq!((done.code, done.stdout.as_str()), (0, "!\n"));
}

#[test]
fn a_whole_answer_is_awaited() {
    let steps = || {
        vec![
            started(),
            delta(1, 0, "old"),
            restarted(),
            delta(2, 0, "new"),
            completed("new"),
        ]
    };
    let done = client(&Scripted::streaming(steps())).run(&["reply", TICKET, "--whole"]);
    assert_eq!((done.code, done.stdout.as_str()), (0, "new\n"));

    let done = client(&Scripted::streaming(steps())).run(ASK);
    let written = "old\n[the assistant began anew; the text above is void]\nnew\n";
    assert_eq!(
        (done.code, done.stdout.as_str()),
        (1, written),
        "void text is not passed for an answer"
    );
    let how = format!("deskhand reply --attach {REPLY} --whole");
    assert!(
        done.stderr.contains("began anew") && done.stderr.contains(&how),
        "{}",
        done.stderr
    );
}

#[test]
fn every_ending_is_told() {
    let failed = Failed {
        reason: FailureReason::UpstreamRateLimited.into(),
        message: "The provider is busy.".to_owned(),
        partial_text: "some".to_owned(),
    };
    let why = "wants a refund".to_owned();
    let usage = Some(Usage {
        model: "m".to_owned(),
        ..Usage::default()
    });
    for (ending, code, words) in [
        (Event::Drafted(Drafted { usage }), 0, &[] as &[&str]),
        (
            Event::Failed(failed),
            7,
            &["The provider is busy.", "UPSTREAM_RATE_LIMITED"],
        ),
        (Event::Superseded(Superseded {}), 7, &["newer", "SUPERSEDED"]),
        (Event::Cancelled(Cancelled {}), 7, &["cancelled"]),
        (Event::HandedOff(HandedOff { why }), 7, &["wants a refund", "person"]),
    ] {
        let name = format!("{ending:?}");
        let server = Scripted::streaming(vec![started(), delta(1, 0, "some"), Step::Send(ending)]);
        let done = client(&server).run(ASK);
        assert_eq!(
            (done.code, done.stdout.as_str()),
            (code, "some\n"),
            "{name}: {}",
            done.stderr
        );
        for word in words {
            assert!(done.stderr.contains(word), "{name}: {}", done.stderr);
        }
    }
}

#[test]
fn a_broken_stream_is_not_an_answer() {
    let mismatch = Event::Completed(Completed {
        message: Some(Message::default()),
        usage: None,
    });
    for (steps, code, word) in [
        (vec![started(), delta(1, 0, "abc"), delta(1, 4, "e")], 1, "gap"),
        (vec![started(), delta(1, 0, "abc"), delta(1, 1, "bc")], 1, "overlap"),
        (vec![started(), delta(1, 0, "abc"), delta(2, 3, "d")], 1, "attempt 2"),
        (vec![delta(1, 0, "abc")], 1, "before"),
        (
            vec![started(), delta(1, 0, "abc"), Step::Send(mismatch)],
            1,
            "not what was streamed",
        ),
        (
            vec![started(), Step::Fail(Status::unauthenticated("Revoked."))],
            3,
            "Revoked.",
        ),
    ] {
        let server = Scripted::streaming(steps);
        let done = client(&server).run(ASK);
        assert_eq!(done.code, code, "{word}: {done:?}");
        assert!(done.stderr.contains(word), "{word}: {}", done.stderr);
        assert_eq!(server.calls().len(), 1, "{word}: asked again after something had come");
    }
}

#[test]
fn a_stream_as_json_lines() {
    let steps = vec![
        started(),
        delta(1, 0, "a\nb"),
        Step::Send(Event::Superseded(Superseded {})),
    ];
    let done = client(&Scripted::streaming(steps)).run(&["--json", "reply", TICKET]);
    assert_eq!(done.code, 7);
    let expected = [
        json!({"event": {"started": {"reply_id": REPLY, "attempt": 1}}}),
        json!({"event": {"delta": {"attempt": 1, "offset": "0", "text": "a\nb"}}}),
        json!({"event": {"superseded": {}}}),
    ];
    assert_eq!(json_lines(&done.stdout), expected);
    let [error] = json_lines(&done.stderr).try_into().unwrap();
    assert_eq!(
        (&error["error"]["reason"], &error["error"]["exit_code"]),
        (&json!("SUPERSEDED"), &json!(7))
    );
}

#[test]
fn a_stream_ends_with_its_deadline() {
    let server = Scripted::streaming(vec![started(), delta(1, 0, "abc"), Step::Hang]);
    let begin = Instant::now();
    let done = client(&server).run(&["reply", TICKET, "--timeout", "500ms"]);
    assert_eq!((done.code, done.stdout.as_str()), (6, "abc\n"));
    assert!(begin.elapsed() < Duration::from_secs(3), "{:?}", begin.elapsed());
    assert!(done.stderr.contains("in time"), "{}", done.stderr);
}

#[test]
fn a_server_that_says_nothing_is_given_up() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = Client::with_token(&silent.local_addr().unwrap().to_string(), TOKEN);
    for arguments in [&["whoami"] as &[_], ASK, &["say", TICKET, "hello"]] {
        let begin = Instant::now();
        let done = client.run(&[arguments, &["--timeout", "300ms"]].concat());
        assert_eq!(done.code, 6, "{arguments:?}: {}", done.stderr);
        assert!(
            begin.elapsed() < Duration::from_secs(3),
            "{arguments:?}: {:?}",
            begin.elapsed()
        );
    }
}

#[test]
fn a_change_is_repeated_once_with_the_same_request_id() {
    let new = ["ticket", "new", "--title", "t", "--description", "d"];
    for (arguments, method) in [
        (&new as &[&str], "CreateTicket"),
        (&["say", TICKET, "hello"], "PostMessage"),
        (&["ticket", "update", TICKET, "--status", "resolved"], "UpdateTicket"),
        (&["ticket", "assign", TICKET, TICKET], "AssignTicket"),
        (&["ticket", "note", TICKET, "hello"], "PostMessage"),
        (&["draft", "accept", REPLY], "AcceptDraft"),
        (&["draft", "discard", REPLY], "DiscardDraft"),
        (&["reply", "cancel", REPLY], "CancelReply"),
        (&["reply", "rate", REPLY, "--helpful"], "RateReply"),
        (&["ticket", "summary", TICKET], "SummarizeTicket"),
        (&["ticket", "triage", TICKET], "TriageTicket"),
        (&["rewrite", "--tone", "formal", "hello"], "RewriteText"),
        (&["admin", "role", TICKET, "agent"], "SetUserRole"),
        (&["admin", "disable", TICKET], "DisableUser"),
        (&["admin", "enable", TICKET], "EnableUser"),
    ] {
        let refusals = vec![Status::unavailable("Draining.")];
        let server = Scripted::start(Script {
            refusals,
            ..Script::default()
        });
        let done = client(&server).run(arguments);
        assert_eq!(done.code, 0, "{method}: {}", done.stderr);
        let [first, second] = server.calls().try_into().unwrap();
        assert_eq!((first.method, &first.request_id), (method, &second.request_id));
        assert!(first.request_id.parse::<uuid::Uuid>().is_ok(), "{first:?}");

        let refusals = vec![Status::unavailable("Draining."), Status::unavailable("Gone.")];
        let server = Scripted::start(Script {
            refusals,
            ..Script::default()
        });
        let done = client(&server).run(arguments);
        assert_eq!((done.code, server.calls().len()), (6, 2), "{method}: {}", done.stderr);
        assert!(done.stderr.contains("Gone."), "{}", done.stderr);
    }
}

#[test]
fn a_connection_that_breaks_is_an_unavailable_server() {
    // Cut off before the answer: the change is asked for again.
    let server = Scripted::start(Script::default());
    let address = line_that_breaks(&server.address, 60);
    let done = Client::with_token(&address, TOKEN).run(&["say", TICKET, "hello"]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    let done = Client::with_token(&line_that_breaks(&server.address, 60), TOKEN).run(&["whoami"]);
    assert_eq!(done.code, 6, "{}", done.stderr);
}

#[test]
fn nothing_else_is_repeated() {
    for (arguments, status) in [
        (&["ticket", "show", TICKET] as &[&str], Status::unavailable("")),
        (&["ticket", "list"], Status::unavailable("")),
        (&["ticket", "events", TICKET], Status::unavailable("")),
        (&["reply", "list", TICKET], Status::unavailable("")),
        (&["reply", "show", REPLY], Status::unavailable("")),
        (&["usage"], Status::unavailable("")),
        (ASK, Status::resource_exhausted("Too many.")),
        (ASK, Status::internal("Ours.")),
        (&["whoami"], Status::unavailable("")),
        (&["sessions", "revoke", "others"], Status::unavailable("")),
        (
            &["reset-password", "request", "--email", "a@b"],
            Status::unavailable(""),
        ),
        (&["admin", "users"], Status::unavailable("")),
        (&["say", TICKET, "hello"], Status::resource_exhausted("Too many.")),
        (&["say", TICKET, "hello"], Status::internal("Ours.")),
    ] {
        let server = Scripted::start(Script {
            refusals: vec![status],
            ..Script::default()
        });
        let done = client(&server).run(arguments);
        assert_ne!(done.code, 0, "{arguments:?}");
        assert_eq!(server.calls().len(), 1, "{arguments:?}");
    }
}

#[test]
fn every_code_ends_in_its_exit_code() {
    for (code, expected) in [
        (Code::Internal, 1),
        (Code::Unauthenticated, 3),
        (Code::NotFound, 4),
        (Code::FailedPrecondition, 5),
        (Code::PermissionDenied, 5),
        (Code::ResourceExhausted, 6),
        (Code::DeadlineExceeded, 6),
    ] {
        let refusals = vec![Status::new(code, "No\u{1b}[2J.")];
        let server = Scripted::start(Script {
            refusals,
            ..Script::default()
        });
        let done = client(&server).run(&["whoami"]);
        assert_eq!(done.code, expected, "{code:?}");
        assert!(!done.stderr.contains('\u{1b}'), "{:?}", done.stderr);
    }
}

#[test]
fn the_demo_believes_nothing_that_it_has_not_seen() {
    let run = |messages| {
        let stream = vec![started(), delta(1, 0, "hello"), completed("hello")];
        let server = Scripted::start(Script {
            stream,
            messages,
            ..Script::default()
        });
        Client::new(&server.address).run(&["demo"])
    };
    let done = run(vec![answer("answer", "hello")]);
    assert_eq!((done.code, done.stdout.as_str()), (0, "hello\n"), "{}", done.stderr);
    for (messages, words) in [
        (vec![], "0 messages"),
        (vec![answer("answer", "hello"), answer("twin", "hello")], "2 messages"),
        (vec![answer("answer", "hello!")], "not what was streamed"),
        (vec![answer("other", "hello")], "not the one"),
    ] {
        let done = run(messages);
        assert_eq!(done.code, 1, "{words}");
        assert!(done.stderr.contains(words), "{words}: {}", done.stderr);
    }
}

#[test]
fn a_reader_that_goes_away_ends_it_quietly() {
    let (go_on, gate) = channel();
    let steps = vec![
        started(),
        delta(1, 0, "a"),
        Step::Wait(gate),
        delta(1, 1, "b"),
        completed("ab"),
    ];
    let server = Scripted::streaming(steps);
    let reader = client(&server);
    let mut child = reader.start(ASK);
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut [0]).unwrap();
    drop(stdout);
    go_on.send(()).unwrap();
    let done = finish(child, "");
    assert_eq!((done.code, done.stderr.as_str()), (141, ""));

    let server = Scripted::start(Script::default());
    let reader = client(&server);
    let mut child = reader.start(&["ticket", "show", TICKET]);
    drop(child.stdout.take());
    let done = finish(child, "");
    assert_eq!((done.code, done.stderr.as_str()), (141, ""));
}

#[test]
fn nobody_there() {
    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .to_string();
    let done = Client::with_token(&free, TOKEN).run(&["whoami"]);
    assert_eq!(done.code, 6);
    assert!(
        done.stderr.contains(&free) && done.stderr.contains("refused"),
        "{}",
        done.stderr
    );
}
