//! The live feed, against a scripted server.

use std::io::{BufRead, BufReader, Lines};
use std::process::{Child, ChildStdout};
use std::sync::mpsc::channel;

use deskhand_proto::accounts::v1::Role;
use deskhand_proto::feed::v1::ticket_event::{FieldChange, Interrupted};
use deskhand_proto::feed::v1::{ActorKind, TicketEvent, TicketEventKind};
use deskhand_proto::tickets::v1::Ticket;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tonic::{Code, Status};

use crate::client::{Client, Done, finish, json_lines};
use crate::launch_support::wait_for;
use crate::renewal::{logged_in, refused};
use crate::scripted::{ME, Script, Scripted, TICKET, TOKEN, Told, refusal};

const WATCH: &[&str] = &["ticket", "watch"];

fn bookmark(cursor: &str) -> Told {
    Told::Event(TicketEvent {
        cursor: cursor.to_owned(),
        ..TicketEvent::default()
    })
}

/// Event number `id`, with its cursor.
fn event(id: i64) -> Told {
    let change = FieldChange {
        field: "status".to_owned(),
        from: "TICKET_STATUS_OPEN".to_owned(),
        to: "TICKET_STATUS_RESOLVED".to_owned(),
    };
    Told::Event(TicketEvent {
        cursor: format!("c{id}"),
        ticket_id: TICKET.to_owned(),
        id,
        kind: TicketEventKind::Updated.into(),
        actor_kind: ActorKind::Agent.into(),
        actor_id: format!("agent-{id}"),
        changes: vec![change],
        ..TicketEvent::default()
    })
}

fn interrupted(cursor: &str, reason: &str) -> Told {
    Told::Event(TicketEvent {
        cursor: cursor.to_owned(),
        interrupted: Some(Interrupted {
            reason: reason.to_owned(),
        }),
        ..TicketEvent::default()
    })
}

fn serving(feeds: Vec<Vec<Told>>) -> Scripted {
    Scripted::start(Script {
        feeds: feeds.into(),
        ..Script::default()
    })
}

/// A command that goes on until it is left, or the test ends.
struct Running {
    child: Option<Child>,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Running {
    fn start(client: &Client, arguments: &[&str]) -> Self {
        let mut child = client.start(arguments);
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let child = Some(child);
        Self { child, lines }
    }

    fn line(&mut self) -> String {
        self.lines.next().unwrap().unwrap()
    }

    /// Presses Ctrl-C; what was written since.
    fn leave(mut self) -> (Done, Vec<String>) {
        let child = self.child.take().unwrap();
        kill_process(Pid::from_child(&child), Signal::INT).unwrap();
        let rest = self.lines.by_ref().map(Result::unwrap).collect();
        (finish(child, ""), rest)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The `agent-…` of the events in lines of text.
fn told(lines: &[String]) -> Vec<&str> {
    let actors = lines.iter().map(|line| line.split_whitespace().nth(3).unwrap());
    actors.collect()
}

#[test]
fn what_happens_is_shown_as_it_happens() {
    let (go_on, gate) = channel();
    let server = serving(vec![vec![
        bookmark("c0"),
        event(1),
        Told::Wait(gate),
        bookmark("c9"),
        event(10),
    ]]);
    let client = Client::with_token(&server.address, TOKEN);
    let mut watch = Running::start(&client, WATCH);
    let first = watch.line();
    assert_eq!(first, format!("-  {TICKET}  agent agent-1  status OPEN → RESOLVED"));
    go_on.send(()).unwrap();
    assert!(watch.line().contains("agent-10"), "a bookmark is not shown");
    let (done, rest) = watch.leave();
    assert_eq!((done.code, done.stderr.as_str(), rest.len()), (0, "", 0), "{done:?}");
    let [call] = server.calls().try_into().unwrap();
    assert_eq!(call.timeout, None, "it has no end");
    assert_eq!(server.asked().feeds[0].after_cursor, "");
}

#[test]
fn a_feed_that_breaks_off_is_taken_up_where_it_was() {
    let server = serving(vec![
        vec![
            bookmark("c0"),
            event(1),
            event(2),
            Told::Fail(Status::unavailable("Draining.")),
        ],
        // The server's own word on where to go on.
        vec![
            bookmark("c2"),
            event(3),
            interrupted("c3", "WATCHER_TOO_SLOW"),
            Told::Fail(refusal(Code::Aborted, "WATCHER_TOO_SLOW")),
        ],
        // Broken before anything new: from where it was.
        vec![
            bookmark("c3"),
            interrupted("", "DRAINING"),
            Told::Fail(Status::unavailable("")),
        ],
        // Ended as if it were done.
        vec![bookmark("c3"), bookmark("c4"), Told::End],
        vec![Told::Fail(Status::deadline_exceeded(""))],
        vec![bookmark("c4"), event(5), event(6)],
    ]);
    let client = Client::with_token(&server.address, TOKEN);
    let mut watch = Running::start(&client, WATCH);
    let lines: Vec<String> = (0..5).map(|_| watch.line()).collect();
    assert_eq!(told(&lines), ["agent-1", "agent-2", "agent-3", "agent-5", "agent-6"]);
    let (done, rest) = watch.leave();
    assert_eq!((done.code, rest.len()), (0, 0), "{done:?} {rest:?}");
    assert!(
        done.stderr.contains("Draining.") && done.stderr.contains("goes on"),
        "{}",
        done.stderr
    );
    let cursors: Vec<String> = server.asked().feeds.into_iter().map(|feed| feed.after_cursor).collect();
    assert_eq!(cursors, ["", "c2", "c3", "c3", "c4", "c4"]);
}

#[test]
fn a_server_that_is_gone_for_a_while_is_waited_for() {
    let (go_on, gate) = channel();
    let feed = vec![bookmark("c0"), event(1), Told::Wait(gate)];
    let server = serving(vec![feed]);
    let port: u16 = server.address.rsplit(':').next().unwrap().parse().unwrap();
    let client = Client::with_token(&server.address, TOKEN);
    let mut watch = Running::start(&client, WATCH);
    watch.line();
    go_on.send(()).unwrap();
    drop(server);
    let next = Script {
        feeds: vec![vec![bookmark("c1"), event(2)]].into(),
        ..Script::default()
    };
    let server = Scripted::start_at(port, next);
    assert!(watch.line().contains("agent-2"));
    assert_eq!(server.asked().feeds[0].after_cursor, "c1");
    assert_eq!(watch.leave().0.code, 0);
}

#[test]
fn json_lines_tell_every_cursor() {
    let server = serving(vec![
        vec![bookmark("c0"), event(1), Told::Fail(Status::unavailable(""))],
        vec![bookmark("c1"), event(2)],
    ]);
    let client = Client::with_token(&server.address, TOKEN);
    let mut watch = Running::start(&client, &["ticket", "watch", TICKET, "--after", "mine", "--json"]);
    let lines: Vec<String> = (0..4).map(|_| watch.line()).collect();
    let (done, rest) = watch.leave();
    assert_eq!((done.code, done.stderr.as_str(), rest.len()), (0, "", 0));
    let events: Vec<Value> = json_lines(&lines.join("\n"))
        .iter()
        .map(|line| line["event"].clone())
        .collect();
    let cursors: Vec<&str> = events.iter().map(|event| event["cursor"].as_str().unwrap()).collect();
    assert_eq!(cursors, ["c0", "c1", "c1", "c2"]);
    assert_eq!(
        (&events[0]["ticket_id"], &events[1]["ticket_id"]),
        (&"".into(), &TICKET.into())
    );
    assert_eq!(
        (&events[1]["kind"], &events[1]["id"]),
        (&"TICKET_EVENT_KIND_UPDATED".into(), &"1".into())
    );
    assert_eq!(events[1]["changes"][0]["to"], "TICKET_STATUS_RESOLVED");
    let feeds = server.asked().feeds;
    assert_eq!(
        (feeds[0].after_cursor.as_str(), feeds[1].after_cursor.as_str()),
        ("mine", "c1")
    );
    assert_eq!(feeds[1].ticket_ids, [TICKET]);
}

#[test]
fn a_token_that_ends_meanwhile_is_renewed() {
    let server = serving(vec![
        vec![
            bookmark("c0"),
            event(1),
            Told::Fail(refusal(Code::Unauthenticated, "TOKEN_EXPIRED")),
        ],
        vec![bookmark("c1"), event(2)],
    ]);
    let client = logged_in(&server);
    let mut watch = Running::start(&client, WATCH);
    assert!(watch.line().contains("agent-1") && watch.line().contains("agent-2"));
    assert_eq!(watch.leave().0.code, 0);
    assert_eq!(
        server.methods(),
        ["LogIn", "WatchTickets", "RefreshToken", "WatchTickets"]
    );
    assert_eq!(
        server.calls()[3].authorization.as_deref(),
        Some("Bearer scripted-token-1")
    );
    assert_eq!(server.asked().feeds[1].after_cursor, "c1");
}

#[test]
fn what_does_not_pass_ends_it() {
    let ended = || refusal(Code::Unauthenticated, "SESSION_ENDED");
    for (status, code, word) in [
        (ended(), 3, "has ended"),
        (Status::internal("Ours."), 1, "Ours."),
        (Status::permission_denied("No."), 5, "No."),
    ] {
        let server = serving(vec![vec![bookmark("c0"), event(1), Told::Fail(status)]]);
        let client = logged_in(&server);
        let done = client.run(WATCH);
        assert_eq!((done.code, done.stdout.lines().count()), (code, 1), "{done:?}");
        assert!(done.stderr.contains(word), "{}", done.stderr);
        assert_eq!(server.methods(), ["LogIn", "WatchTickets"]);
        assert_eq!(client.session_file().exists(), code != 3);
    }
    // A token that was given cannot be renewed.
    let expired = refusal(Code::Unauthenticated, "TOKEN_EXPIRED");
    let server = serving(vec![vec![bookmark("c0"), Told::Fail(expired)]]);
    assert_eq!(Client::with_token(&server.address, TOKEN).run(WATCH).code, 3);
}

#[test]
fn a_feed_that_never_began_is_a_call_that_failed() {
    for (status, code, calls) in [
        (Status::unavailable("Draining."), 6, 2),
        (refusal(Code::InvalidArgument, "INVALID_FIELDS"), 5, 1),
        (refusal(Code::ResourceExhausted, "OVERLOADED"), 6, 1),
    ] {
        let (server, client) = refused(vec![status.clone(), status]);
        let done = client.run(&["ticket", "watch", "--after", "forged", "--json"]);
        assert_eq!((done.code, server.calls().len()), (code, calls), "{done:?}");
        let [error] = json_lines(&done.stderr).try_into().unwrap();
        assert_eq!(error["error"]["exit_code"], code);
    }
}

#[test]
fn ctrl_c_ends_it_while_it_waits_for_the_server() {
    let server = serving(vec![vec![bookmark("c0"), event(1)]]);
    let client = Client::with_token(&server.address, TOKEN);
    let mut watch = Running::start(&client, WATCH);
    watch.line();
    drop(server);
    let (done, rest) = watch.leave();
    assert_eq!((done.code, rest.len()), (0, 0), "{done:?}");
}

#[test]
fn an_inbox_is_listed_anew_when_something_happens() {
    let ticket = |id: &str, assignee: &str| Ticket {
        id: id.to_owned(),
        title: format!("title-{id}"),
        assignee_id: assignee.to_owned(),
        ..Ticket::default()
    };
    let (go_on, gate) = channel();
    let feed = vec![bookmark("c0"), Told::Wait(gate), event(1), event(2), event(3)];
    let server = Scripted::start(Script {
        feeds: vec![feed].into(),
        tickets: vec![ticket("a", "")],
        role: Role::Agent,
        ..Script::default()
    });
    let client = Client::with_token(&server.address, TOKEN);
    let mut inbox = Running::start(&client, &["inbox", "--watch"]);
    assert!(inbox.line().ends_with(", 1 waiting"));
    assert!(inbox.line().ends_with("title-a"));
    server.set_tickets(vec![ticket("a", ""), ticket("b", ME)]);
    go_on.send(()).unwrap();
    assert!(inbox.line().ends_with(", 2 waiting"));
    let rows = [inbox.line(), inbox.line()];
    assert!(
        rows.iter().any(|row| row.contains("mine") && row.contains("title-b")),
        "{rows:?}"
    );
    let (done, rest) = inbox.leave();
    assert_eq!((done.code, rest.len()), (0, 0), "{done:?} {rest:?}");
    let lists = || {
        server
            .methods()
            .iter()
            .filter(|method| **method == "ListTickets")
            .count()
    };
    assert_eq!(lists(), 4, "once at first, once for all three events, two lists each");
    wait_for("the order of calls", || {
        server.methods()[..2] == ["GetMe", "WatchTickets"]
    });
}

#[test]
fn an_inbox_says_when_it_may_be_old() {
    let server = Scripted::start(Script {
        feeds: vec![
            vec![bookmark("c0"), Told::Fail(Status::unavailable("Draining."))],
            vec![bookmark("c0"), event(1)],
        ]
        .into(),
        role: Role::Agent,
        ..Script::default()
    });
    let client = Client::with_token(&server.address, TOKEN);
    let inbox = Running::start(&client, &["inbox", "--watch"]);
    let lists = || {
        server
            .methods()
            .iter()
            .filter(|method| **method == "ListTickets")
            .count()
    };
    wait_for("the second list", || lists() == 4);
    let (done, rest) = inbox.leave();
    assert_eq!(
        (done.code, rest.len()),
        (0, 1),
        "what has not changed is not shown again: {rest:?}"
    );
    let lines: Vec<&str> = done.stderr.lines().collect();
    assert!(
        lines[0].contains("may be old") && lines[0].contains("Draining."),
        "{lines:?}"
    );
    assert_eq!(lines[1..], ["the feed goes on"]);
    assert_eq!(server.asked().feeds[1].after_cursor, "c0");
}
