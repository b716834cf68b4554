//! Conversations on a terminal, against a scripted server.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::mpsc::channel;

use deskhand_proto::replies::v1::reply_event::{Cancelled, Drafted, Event, Restarted, Superseded};
use deskhand_proto::tickets::v1::Message;
use tonic::Status;

use crate::client::Client;
use crate::launch_support::wait_for;
use crate::scripted::{Script, Scripted, Step, TICKET, TOKEN, answer, completed, delta, started};
use crate::terminal::Terminal;

const CHAT: &[&str] = &["chat", TICKET];
const PLAIN: &[(&str, &str)] = &[("NO_COLOR", "1")];

fn client(server: &Scripted) -> Client {
    Client::with_token(&server.address, TOKEN)
}

fn answered(text: &str) -> Vec<Step> {
    vec![started(), delta(1, 0, text), completed(text)]
}

#[test]
fn a_conversation() {
    let old = |number: usize| Message {
        body: format!("message {number}"),
        ..answer("m", "")
    };
    let mut messages: Vec<Message> = (0..9).rev().map(old).collect();
    messages[0].body = "\u{1b}[2J".to_owned() + &"long ".repeat(500);
    let server = Scripted::start(Script {
        messages,
        streams: vec![
            answered("It is fine."),
            vec![started(), Step::Send(Event::Superseded(Superseded {}))],
            answered("So is foam."),
        ]
        .into(),
        ..Script::default()
    });
    let client = client(&server);
    let mut chat = Terminal::start(&client, CHAT, PLAIN);
    chat.wait_until_shown("> ");
    let so_far = chat.shown();
    assert!(so_far.contains("7  Title") && so_far.contains("message 7") && so_far.contains("message 3"));
    assert!(!so_far.contains("message 2"), "only the newest: {so_far}");
    assert!(!so_far.contains('\u{1b}') && so_far.contains("[2J") && so_far.contains('…'));
    assert!(so_far.len() < 2_000, "only the beginning of each: {so_far}");

    chat.type_in("Is water fine?\r");
    chat.wait_until_shown("It is fine.");
    chat.type_in("And sand?\r");
    chat.wait_until_shown("SUPERSEDED");
    chat.type_in("/acept\r");
    chat.wait_until_shown("is no command");
    chat.type_in("/help\r");
    chat.wait_until_shown("/discard");
    chat.type_in("And foam?\r");
    chat.wait_until_shown("So is foam.");
    chat.wait_until_shown("posted");
    chat.type_in("\u{4}");
    let (code, shown) = chat.finish();
    assert_eq!(code, 0, "{shown}");
    assert_eq!(server.asked().posts.len(), 3);
}

#[test]
fn ctrl_c_stops_an_answer_and_leaves_a_prompt() {
    let (go_on, gate) = channel();
    let server = Scripted::start(Script {
        streams: vec![
            vec![
                started(),
                delta(1, 0, "some"),
                Step::Wait(gate),
                Step::Send(Event::Cancelled(Cancelled {})),
            ],
            answered("Better."),
        ]
        .into(),
        ..Script::default()
    });
    let client = client(&server);
    let mut chat = Terminal::start(&client, CHAT, PLAIN);
    chat.wait_until_shown("> ");
    chat.type_in("one\r");
    chat.wait_until_shown("some");
    chat.type_in("\u{3}");
    wait_for("the wish", || server.methods().contains(&"CancelReply"));
    go_on.send(()).unwrap();
    chat.wait_until_shown("was cancelled");
    chat.type_in("two\r");
    chat.wait_until_shown("Better.");
    chat.wait_until_shown("posted");
    chat.type_in("\u{3}");
    let (code, shown) = chat.finish();
    assert_eq!((code, server.asked().posts.len()), (0, 2), "{shown}");
}

#[test]
fn a_person_is_told_of_what_breaks_off_and_begins_anew() {
    let server = Scripted::start(Script {
        streams: vec![vec![
            started(),
            delta(1, 0, "old"),
            Step::Fail(Status::unavailable("Gone.")),
        ]]
        .into(),
        attaches: vec![vec![
            started(),
            Step::Send(Event::Restarted(Restarted { attempt: 2 })),
            delta(2, 0, "new"),
            completed("new"),
        ]]
        .into(),
        ..Script::default()
    });
    let client = client(&server);
    let mut chat = Terminal::start(&client, CHAT, PLAIN);
    chat.wait_until_shown("> ");
    chat.type_in("hello\r");
    chat.wait_until_shown("new\r\n");
    chat.wait_until_shown("posted");
    chat.type_in("/quit\r");
    let (code, shown) = chat.finish();
    assert_eq!(code, 0, "{shown}");
    let lines: Vec<&str> = shown
        .lines()
        .map(str::trim_end)
        .skip_while(|line| *line != "old")
        .collect();
    let expected = [
        "old",
        "the answer broke off; waiting for the server, to go on where it was: Gone.",
        "the assistant began anew; the text above is void",
        "new",
    ];
    assert_eq!(lines[..4], expected);
}

#[test]
fn a_draft_is_changed_in_an_editor() {
    let server = Scripted::start(Script {
        streams: vec![vec![
            started(),
            delta(1, 0, "Dear Ada,\nno."),
            Step::Send(Event::Drafted(Drafted::default())),
        ]]
        .into(),
        ..Script::default()
    });
    let client = client(&server);
    let editor = client.home().join("editor");
    // An editor that is given an argument, ignores Ctrl-C, and puts a new file in the old one's place.
    let script =
        "#!/bin/sh\ntest \"$1\" = --wait || exit 1\nsed s/no/yes/ \"$2\" > \"$2.new\" && mv \"$2.new\" \"$2\"\n";
    fs::write(&editor, script).unwrap();
    fs::set_permissions(&editor, fs::Permissions::from_mode(0o700)).unwrap();
    let editor = format!("{} --wait", editor.display());
    let mut chat = Terminal::start(&client, CHAT, &[("NO_COLOR", "1"), ("EDITOR", &editor)]);
    chat.wait_until_shown("> ");
    chat.type_in("/ask\r");
    chat.wait_until_shown("/accept posts it");
    chat.type_in("/edit\r");
    wait_for("the decision", || !server.asked().accepts.is_empty());
    chat.type_in("\u{4}");
    let (code, shown) = chat.finish();
    assert_eq!(code, 0, "{shown}");
    let [accept] = server.asked().accepts.try_into().unwrap();
    assert_eq!(accept.body, "Dear Ada,\nyes.");
}
