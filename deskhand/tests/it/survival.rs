//! Answers outlive the server that tells them, and their listeners go on by themselves: against a real system whose
//! ticket-service is killed.

use std::io::{Read, Write};
use std::process::Child;

use serde_json::Value;

use crate::client::{Client, finish, json_lines};
use crate::launch_support::wait_for;
use crate::parts::Parts;
use crate::people::customer_at;

const VOID: &str = "\n[the assistant began anew; the text above is void]\n";
/// Some seconds long.
const SLOW: &str = "Is water fine? [sim:ok ttft_ms=50 token_ms=60 tokens=60]\n";
/// Longer than a server that stops waits for it; the second attempt is not.
const STUCK: &str = "Is water fine? [sim:silent-in-middle after=20 first=1]\n";

fn new_ticket(client: &Client) -> String {
    client.expect(&["ticket", "new", "--title", "Fire", "--description", "It burns."])
}

/// What the assistant posted, which is one message.
fn posted(client: &Client, ticket: &str) -> String {
    let shown = client.expect_json(&["ticket", "show", ticket]);
    let messages = shown["messages"].as_array().unwrap().iter();
    let mut bodies = messages
        .filter(|message| message["author_kind"] == "AUTHOR_KIND_ASSISTANT")
        .map(|message| message["body"].as_str().unwrap().to_owned());
    let (Some(body), None) = (bodies.next(), bodies.next()) else {
        panic!("not one answer: {shown}")
    };
    body
}

fn begin(client: &Client, arguments: &[&str], line: &str) -> Child {
    let mut child = client.start(arguments);
    child.stdin.as_mut().unwrap().write_all(line.as_bytes()).unwrap();
    child
}

/// Some first text that a command has written.
fn first_text(child: &mut Child) -> String {
    let mut text = vec![0; 24];
    child.stdout.as_mut().unwrap().read_exact(&mut text).unwrap();
    String::from_utf8_lossy(&text).into_owned()
}

/// The reply that is being written in a ticket.
fn running_reply(client: &Client, ticket: &str) -> String {
    let mut id = String::new();
    wait_for("a reply", || {
        let page = client.expect_json(&["reply", "list", ticket]);
        let reply = &page["replies"][0];
        id = reply["id"].as_str().unwrap_or_default().to_owned();
        reply["state"] == "REPLY_STATE_RUNNING"
    });
    id
}

/// The answer, put together from the events of every stream of it.
fn heard(lines: &[Value]) -> String {
    let mut text = String::new();
    for line in lines {
        let event = &line["event"];
        if event["restarted"].is_object() {
            text.clear();
        }
        if let Some(piece) = event["delta"]["text"].as_str() {
            let offset: usize = event["delta"]["offset"].as_str().unwrap().parse().unwrap();
            assert_eq!(offset, text.len(), "no gap and no overlap: {line}");
            text.push_str(piece);
        }
    }
    text
}

#[test]
fn a_server_is_killed_in_the_middle_of_answers_and_started_again() {
    let mut parts = Parts::start();
    let client = customer_at(&parts.ticket_service);
    let (streamed, awaited) = (new_ticket(&client), new_ticket(&client));

    let mut chat = begin(&client, &["chat", &streamed], SLOW);
    let whole = begin(&client, &["chat", &awaited, "--whole"], SLOW);
    let reply = running_reply(&client, &awaited);
    let mut attached = client.start(&["reply", "--attach", &reply]);
    let attached_whole = client.start(&["reply", "--attach", &reply, "--whole"]);
    let mut events = client.start(&["reply", "--attach", &reply, "--json"]);
    let void = [first_text(&mut chat), first_text(&mut attached)];
    let begun = first_text(&mut events);
    parts.kill_ticket_service();
    parts.start_ticket_service();

    let chat = finish(chat, "");
    let answer = posted(&client, &streamed);
    assert_eq!(chat.code, 0, "{chat:?}");
    let (before, after) = chat.stdout.split_once(VOID).unwrap();
    assert_eq!(after, format!("{answer}\n"), "exactly what was posted: {chat:?}");
    assert!(answer.len() > 100 && !void[0].is_empty(), "{before}");
    assert_eq!(
        chat.stderr.matches("the answer broke off").count(),
        1,
        "{}",
        chat.stderr
    );

    let whole = finish(whole, "");
    let answer = posted(&client, &awaited);
    assert_eq!(
        (whole.code, whole.stdout),
        (0, format!("{answer}\n")),
        "{}",
        whole.stderr
    );
    let attached_whole = finish(attached_whole, "");
    assert_eq!(
        (attached_whole.code, attached_whole.stdout),
        (0, format!("{answer}\n")),
        "{}",
        attached_whole.stderr
    );
    let attached = finish(attached, "");
    let (_, after) = attached.stdout.split_once(VOID).unwrap();
    assert_eq!(
        (attached.code, after),
        (1, format!("{answer}\n").as_str()),
        "{attached:?}"
    );
    let events = finish(events, "");
    assert_eq!(events.code, 0, "{events:?}");
    assert_eq!(heard(&json_lines(&(begun + &events.stdout))), answer);

    // Attached to when it is over, it is told as it was.
    assert_eq!(client.expect(&["reply", "--attach", &reply]), answer);
    assert_eq!(client.expect_json(&["reply", "show", &reply])["reply"]["attempt"], 2);
}

#[test]
fn a_server_is_stopped_in_the_middle_of_an_answer_and_started_again() {
    let mut parts = Parts::start();
    let client = customer_at(&parts.ticket_service);
    let ticket = new_ticket(&client);
    let whole = begin(&client, &["chat", &ticket, "--whole"], STUCK);
    let reply = running_reply(&client, &ticket);
    let mut attached = client.start(&["reply", "--attach", &reply]);
    first_text(&mut attached);
    parts.stop_ticket_service();
    parts.start_ticket_service();

    let (whole, attached) = (finish(whole, ""), finish(attached, ""));
    let answer = posted(&client, &ticket);
    assert_eq!(
        (whole.code, whole.stdout),
        (0, format!("{answer}\n")),
        "{}",
        whole.stderr
    );
    assert!(attached.stdout.ends_with(&format!("{VOID}{answer}\n")), "{attached:?}");
}

#[test]
fn a_message_reaches_a_server_that_is_started_again() {
    let mut parts = Parts::start();
    let client = customer_at(&parts.ticket_service);
    let ticket = new_ticket(&client);
    let mut chat = client.start(&["chat", &ticket]);
    let mut stdin = chat.stdin.take().unwrap();
    stdin.write_all(b"Is water fine?\n").unwrap();
    let first = first_text(&mut chat);
    // The rest of the answer is there when it is posted.
    wait_for("the first answer", || {
        let page = client.expect_json(&["reply", "list", &ticket]);
        page["replies"][0]["state"] == "REPLY_STATE_COMPLETED"
    });
    parts.kill_ticket_service();
    stdin.write_all(b"And foam?\n").unwrap();
    let mut said = [0; 22];
    chat.stderr.as_mut().unwrap().read_exact(&mut said).unwrap();
    assert_eq!(&said, b"waiting for the server");
    parts.start_ticket_service();
    drop(stdin);
    let output = chat.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");

    let shown = client.expect_json(&["ticket", "show", &ticket]);
    let bodies: Vec<&str> = shown["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|message| message["body"].as_str().unwrap())
        .collect();
    let [second_answer, "And foam?", first_answer, "Is water fine?"] = bodies[..] else {
        panic!("{bodies:?}")
    };
    let written = String::from_utf8(output.stdout).unwrap();
    assert_eq!(first + &written, format!("{first_answer}\n{second_answer}\n"));
}
