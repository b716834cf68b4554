//! Answers that break off on their way, against a scripted server behind a line that can be cut.

use std::io::{BufRead, BufReader, Lines, Read};
use std::net::TcpListener;
use std::process::{Child, ChildStdout};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use deskhand_proto::replies::v1::reply_event::{Event, Interrupted, Restarted};
use serde_json::json;
use tonic::{Code, Status};

use crate::client::{Client, Done, finish, json_lines};
use crate::launch_support::wait_for;
use crate::renewal::logged_in;
use crate::scripted::{REPLY, Script, Scripted, Step, TICKET, TOKEN, completed, delta, refusal, started, started_with};
use crate::wire::Wire;

const ASK: &[&str] = &["reply", TICKET];
const ATTACH: &[&str] = &["reply", "--attach", REPLY];

fn restarted(attempt: i32) -> Step {
    Step::Send(Event::Restarted(Restarted { attempt }))
}

fn interrupted(reason: &str) -> Step {
    let reason = reason.to_owned();
    Step::Send(Event::Interrupted(Interrupted { reason }))
}

fn serving(stream: Vec<Step>, attaches: Vec<Vec<Step>>) -> Scripted {
    Scripted::start(Script {
        stream,
        attaches: attaches.into(),
        ..Script::default()
    })
}

fn client(server: &Scripted) -> Client {
    Client::with_token(&server.address, TOKEN)
}

/// Where each stream was to go on: after so many bytes of an attempt.
fn places(server: &Scripted) -> Vec<(i32, i64)> {
    let attaches = server.asked().attaches;
    assert!(attaches.iter().all(|attach| attach.reply_id == REPLY));
    attaches
        .iter()
        .map(|attach| (attach.attempt, attach.after_offset))
        .collect()
}

fn reads(child: &mut Child, expected: &str) {
    let mut read = vec![0; expected.len()];
    child.stdout.as_mut().unwrap().read_exact(&mut read).unwrap();
    assert_eq!(String::from_utf8(read).unwrap(), expected);
}

/// Starts a command, and tells its lines as they come.
fn start_lines(client: &Client, arguments: &[&str]) -> (Child, Lines<BufReader<ChildStdout>>) {
    let mut child = client.start(arguments);
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    (child, lines)
}

fn count(done: &Done, words: &str) -> usize {
    done.stderr.matches(words).count()
}

#[test]
fn lost_before_it_started() {
    for command in [ASK, &["chat", TICKET]] {
        let (go_on, gate) = channel();
        let server = Scripted::start(Script {
            stream: vec![Step::Wait(gate)],
            streams: vec![vec![started(), delta(1, 0, "hello"), completed("hello")]].into(),
            ..Script::default()
        });
        let wire = Wire::to(&server.address);
        let client = Client::with_token(&wire.address, TOKEN);
        let running = std::thread::spawn({
            let child = client.start(command);
            move || finish(child, "Is water fine?\n")
        });
        wait_for("the question", || server.methods().contains(&"StreamReply"));
        wire.cut();
        let done = running.join().unwrap();
        go_on.send(()).unwrap();
        assert_eq!((done.code, done.stdout.as_str()), (0, "hello\n"), "{done:?}");
        assert_eq!(count(&done, "waiting for the server"), 1, "{}", done.stderr);
        let calls = server.calls();
        let [.., first, second] = calls.as_slice() else {
            panic!("{calls:?}")
        };
        assert_eq!((first.method, second.method), ("StreamReply", "StreamReply"));
        assert!(first.request_id.parse::<uuid::Uuid>().is_ok() && first.request_id == second.request_id);
    }
}

#[test]
fn a_server_that_cannot_answer_yet_is_asked_again_with_the_same_request_id() {
    let server = Scripted::start(Script {
        refusals: vec![Status::unavailable("Draining."); 3],
        stream: vec![started(), delta(1, 0, "hello"), completed("hello")],
        ..Script::default()
    });
    let done = client(&server).run(ASK);
    assert_eq!((done.code, done.stdout.as_str()), (0, "hello\n"), "{done:?}");
    assert!(done.stderr.contains("Draining."), "{}", done.stderr);
    let calls = server.calls();
    assert_eq!(server.methods(), ["StreamReply"; 4]);
    assert!(calls.iter().all(|call| call.request_id == calls[0].request_id));
}

#[test]
fn lost_after_it_started() {
    let (go_on, gate) = channel();
    let server = serving(
        vec![started(), Step::Wait(gate)],
        vec![vec![started(), delta(1, 0, "hello"), completed("hello")]],
    );
    let wire = Wire::to(&server.address);
    let client = Client::with_token(&wire.address, TOKEN);
    let (mut child, mut lines) = start_lines(&client, &["reply", TICKET, "--json"]);
    let first = lines.next().unwrap().unwrap();
    wire.cut();
    let rest: Vec<String> = lines.map(Result::unwrap).collect();
    go_on.send(()).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let begins = json!({"event": {"started": {"reply_id": REPLY, "attempt": 1}}});
    let rest = json_lines(&rest.join("\n"));
    assert_eq!((&json_lines(&first)[0], &rest[0]), (&begins, &begins));
    assert_eq!(rest[1]["event"]["delta"]["text"], "hello");
    assert_eq!(rest[2]["event"]["completed"]["message"]["body"], "hello");
    assert_eq!((places(&server), rest.len()), (vec![(1, 0)], 3));
}

#[test]
fn lost_in_the_middle_of_the_text() {
    for command in [ASK, ATTACH] {
        let (go_on, gate) = channel();
        let begin = || vec![started(), delta(1, 0, "Grü")];
        let mut first = begin();
        first.push(Step::Wait(gate));
        let rest = vec![started(), delta(1, 4, "ße"), completed("Grüße")];
        let (server, expected) = if command == ASK {
            (serving(first, vec![rest]), vec![(1, 4)])
        } else {
            (serving(Vec::new(), vec![first, rest]), vec![(0, 0), (1, 4)])
        };
        let wire = Wire::to(&server.address);
        let client = Client::with_token(&wire.address, TOKEN);
        let mut child = client.start(command);
        reads(&mut child, "Grü");
        wire.cut();
        let done = finish(child, "");
        go_on.send(()).unwrap();
        assert_eq!((done.code, done.stdout.as_str()), (0, "ße\n"), "{done:?}");
        assert_eq!(places(&server), expected);
        assert_eq!(
            (done.stderr.lines().count(), count(&done, "broke off")),
            (1, 1),
            "{}",
            done.stderr
        );
    }
}

#[test]
fn lost_after_it_began_anew() {
    let (go_on, gate) = channel();
    let server = serving(
        vec![
            started(),
            delta(1, 0, "old"),
            restarted(2),
            delta(2, 0, "ne"),
            Step::Wait(gate),
        ],
        vec![vec![started_with(2), delta(2, 2, "w"), completed("new")]],
    );
    let wire = Wire::to(&server.address);
    let client = Client::with_token(&wire.address, TOKEN);
    let mut child = client.start(ASK);
    reads(
        &mut child,
        "old\n[the assistant began anew; the text above is void]\nne",
    );
    wire.cut();
    let done = finish(child, "");
    go_on.send(()).unwrap();
    assert_eq!((done.code, done.stdout.as_str()), (1, "w\n"), "{done:?}");
    assert_eq!(places(&server), [(2, 2)]);
}

#[test]
fn begun_anew_while_nobody_listened() {
    // `started` alone may say it, or `restarted` besides.
    for says_restarted in [true, false] {
        let attach = || {
            let mut steps = vec![started_with(2)];
            steps.extend(says_restarted.then(|| restarted(2)));
            steps.extend([delta(2, 0, "new"), completed("new")]);
            steps
        };
        let stream = || {
            let lost = Step::Fail(Status::unavailable("Gone."));
            vec![started(), delta(1, 0, "old"), lost]
        };
        let server = serving(stream(), vec![attach()]);
        let done = client(&server).run(&["reply", TICKET, "--whole"]);
        assert_eq!((done.code, done.stdout.as_str()), (0, "new\n"), "{done:?}");
        assert_eq!(places(&server), [(1, 3)]);

        let server = serving(stream(), vec![attach()]);
        let done = client(&server).run(&["chat", TICKET]);
        assert_eq!(
            (done.code, done.stdout.as_str()),
            (0, ""),
            "no line, no message: {done:?}"
        );
        let done = client(&server).run_with_input(&["chat", TICKET], "hello");
        let written = "old\n[the assistant began anew; the text above is void]\nnew\n";
        assert_eq!((done.code, done.stdout.as_str()), (0, written), "{done:?}");
    }
}

#[test]
fn however_often_it_breaks_off() {
    let server = serving(
        vec![started(), delta(1, 0, "a"), Step::Fail(Status::unavailable("Gone."))],
        vec![
            vec![Step::Fail(Status::unavailable("Still gone."))],
            vec![
                started(),
                interrupted("SERVER_STOPPING"),
                Step::Fail(refusal(Code::Unavailable, "SERVER_STOPPING")),
            ],
            // Ended as if it were done.
            vec![started(), delta(1, 1, "b")],
            // Without a status that says more, and without an end.
            vec![started(), interrupted("STORAGE_UNAVAILABLE"), Step::Hang],
            // Of a server that stops, and does not know the attempt.
            vec![started_with(2), restarted(2), interrupted("SERVER_STOPPING")],
            vec![started(), interrupted("SERVER_STOPPING")],
            vec![started_with(2), delta(2, 0, "new"), completed("new")],
        ],
    );
    let done = client(&server).run(&["reply", TICKET, "--whole"]);
    assert_eq!((done.code, done.stdout.as_str()), (0, "new\n"), "{done:?}");
    assert_eq!(
        places(&server),
        [(1, 1), (1, 1), (1, 1), (1, 2), (1, 2), (2, 0), (2, 0)]
    );
    assert_eq!(
        count(&done, "broke off"),
        2,
        "once until there is more text: {}",
        done.stderr
    );
}

#[test]
fn what_does_not_pass_ends_it() {
    let lost = || vec![started(), delta(1, 0, "a"), Step::Fail(Status::unavailable(""))];
    for (attach, code, word) in [
        (
            vec![Step::Fail(refusal(Code::NotFound, "REPLY_NOT_FOUND"))],
            4,
            "REPLY_NOT_FOUND",
        ),
        (
            vec![
                started(),
                interrupted("SESSION_ENDED"),
                Step::Fail(refusal(Code::Unauthenticated, "SESSION_ENDED")),
            ],
            3,
            "has ended",
        ),
        (vec![started(), interrupted("MESSAGE_GONE")], 6, "MESSAGE_GONE"),
        (vec![started(), delta(1, 2, "c")], 1, "gap"),
        (vec![started(), delta(1, 0, "a")], 1, "overlap"),
        (vec![started(), delta(2, 1, "b")], 1, "attempt 2"),
        (vec![started(), Step::Fail(Status::internal("Ours."))], 1, "Ours."),
    ] {
        let server = serving(lost(), vec![attach]);
        let client = logged_in(&server);
        let done = client.run(ASK);
        assert_eq!((done.code, done.stdout.as_str()), (code, "a\n"), "{word}: {done:?}");
        assert!(done.stderr.contains(word), "{word}: {}", done.stderr);
        assert_eq!(server.methods(), ["LogIn", "StreamReply", "AttachReply"], "{word}");
        assert_eq!(client.session_file().exists(), code != 3);
    }
}

#[test]
fn text_that_the_server_knows_nothing_of_is_void() {
    let server = serving(
        vec![started(), delta(1, 0, "ahead"), Step::Fail(Status::unavailable(""))],
        vec![
            vec![Step::Fail(refusal(Code::OutOfRange, "OFFSET_OUT_OF_RANGE"))],
            vec![started(), delta(1, 0, "all"), completed("all")],
        ],
    );
    let done = client(&server).run(&["reply", TICKET, "--whole"]);
    assert_eq!((done.code, done.stdout.as_str()), (0, "all\n"), "{done:?}");
    assert_eq!(places(&server), [(1, 5), (0, 0)]);
    // Where it is no place of ours, there is nothing to begin anew with.
    let server = serving(
        Vec::new(),
        vec![vec![Step::Fail(refusal(Code::OutOfRange, "OFFSET_OUT_OF_RANGE"))]],
    );
    assert_eq!((client(&server).run(ATTACH).code, places(&server)), (5, vec![(0, 0)]));
}

#[test]
fn a_server_that_dies_and_comes_back_is_waited_for() {
    let (go_on, gate) = channel();
    let server = serving(vec![started(), delta(1, 0, "a"), Step::Wait(gate)], Vec::new());
    let port: u16 = server.address.rsplit(':').next().unwrap().parse().unwrap();
    let client = client(&server);
    let mut child = client.start(ASK);
    reads(&mut child, "a");
    go_on.send(()).unwrap();
    drop(server);
    let next = Script {
        attaches: vec![vec![started(), delta(1, 1, "b"), completed("ab")]].into(),
        ..Script::default()
    };
    let server = Scripted::start_at(port, next);
    let done = finish(child, "");
    assert_eq!((done.code, done.stdout.as_str()), (0, "b\n"), "{done:?}");
    assert_eq!((server.methods(), places(&server)), (vec!["AttachReply"], vec![(1, 1)]));
}

#[test]
fn a_server_that_does_not_come_back_is_given_up() {
    for flags in [&[] as &[&str], &["--json"]] {
        let (go_on, gate) = channel();
        let server = serving(vec![started(), delta(1, 0, "a"), Step::Wait(gate)], Vec::new());
        let client = client(&server);
        let began = Instant::now();
        let mut child = client.start(&[ASK, &["--timeout", "3s"], flags].concat());
        child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
        go_on.send(()).unwrap();
        drop(server);
        let done = finish(child, "");
        assert_eq!(done.code, 6, "{done:?}");
        assert!(began.elapsed() < Duration::from_secs(9), "{:?}", began.elapsed());
        if flags.is_empty() {
            let how = format!("deskhand reply --attach {REPLY}");
            assert!(
                done.stderr.contains("cannot reach") && done.stderr.contains(&how),
                "{}",
                done.stderr
            );
        } else {
            assert_eq!(json_lines(&done.stderr)[0]["error"]["exit_code"], 6);
        }
    }
}

#[test]
fn a_server_that_was_never_there_is_not_waited_for() {
    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .to_string();
    for command in [ASK, ATTACH, &["chat", TICKET]] {
        let began = Instant::now();
        let done = Client::with_token(&free, TOKEN).run_with_input(command, "hello");
        assert_eq!(done.code, 6, "{done:?}");
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
        assert!(
            done.stderr.contains("refused") && count(&done, "waiting") == 0,
            "{}",
            done.stderr
        );
    }
}

#[test]
fn a_reply_is_shown_from_its_beginning() {
    let server = serving(
        Vec::new(),
        vec![vec![started_with(3), delta(3, 0, "hello"), completed("hello")]],
    );
    let done = client(&server).run(ATTACH);
    assert_eq!(
        (done.code, done.stdout.as_str(), done.stderr.as_str()),
        (0, "hello\n", "")
    );
    assert_eq!((server.methods(), places(&server)), (vec!["AttachReply"], vec![(0, 0)]));
}
