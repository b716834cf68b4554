//! The commands, against a real system.

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use uuid::Uuid;

use crate::client::{Client, finish, json_lines};
use crate::people::{PASSWORD, customer, new_email};
use crate::system::System;

fn new_ticket(client: &Client) -> String {
    client.expect(&[
        "ticket",
        "new",
        "--title",
        "Printer on fire",
        "--description",
        "It burns.",
    ])
}

fn no_such_ticket() -> String {
    Uuid::now_v7().to_string()
}

/// The bodies of a ticket's messages by `author`, newest first.
fn bodies(client: &Client, ticket: &str, author: &str) -> Vec<String> {
    let shown = client.expect_json(&["ticket", "show", ticket]);
    let messages = shown["messages"].as_array().unwrap().iter();
    let theirs = messages.filter(|message| message["author_kind"] == author);
    theirs
        .map(|message| message["body"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn the_demo_plays_the_whole_path() {
    let system = System::shared();
    let client = Client::new(system.ticket_service());
    let done = client.run(&["demo"]);
    assert_eq!(done.code, 0, "{done:?}");
    assert!(!done.stdout.trim().is_empty());
    assert!(
        done.stderr.contains("once, and is what was streamed"),
        "{}",
        done.stderr
    );
    assert!(!client.home().join(".config").exists(), "the demo keeps no session");

    let done = client.run(&["demo", "--json"]);
    assert_eq!((done.code, done.stderr.as_str()), (0, ""), "{done:?}");
    let lines = json_lines(&done.stdout);
    let kept = lines.last().unwrap();
    let posted = &lines[lines.len() - 2]["event"]["completed"]["message"];
    assert_eq!(kept["messages"][0], *posted);
    let streamed: String = lines
        .iter()
        .filter_map(|line| line["event"]["delta"]["text"].as_str())
        .collect();
    assert_eq!(posted["body"], streamed);
}

#[test]
fn the_whole_path_step_by_step() {
    let system = System::shared();
    let client = customer(&system);
    assert!(client.expect(&["whoami"]).contains("Ada <"));

    let ticket = new_ticket(&client);
    client.expect(&["say", &ticket, "Is water fine?"]);
    let done = client.run_with_input(&["say", &ticket, "-"], "Two\nlines, 👋.");
    assert_eq!(done.code, 0, "{done:?}");
    assert_eq!(
        bodies(&client, &ticket, "AUTHOR_KIND_CUSTOMER"),
        ["Two\nlines, 👋.", "Is water fine?"]
    );

    let streamed = client.run(&["reply", &ticket]);
    assert_eq!((streamed.code, streamed.stderr.as_str()), (0, ""), "{streamed:?}");
    let kept = bodies(&client, &ticket, "AUTHOR_KIND_ASSISTANT");
    assert_eq!(streamed.stdout, format!("{}\n", kept[0]));
    // Asked again with nothing new to answer, it is the same answer and no second message.
    assert_eq!(client.run(&["reply", &ticket, "--whole"]).stdout, streamed.stdout);
    assert_eq!(bodies(&client, &ticket, "AUTHOR_KIND_ASSISTANT"), kept);

    let shown = client.expect(&["ticket", "show", &ticket]);
    let order = [
        "Printer on fire",
        "It burns.",
        "Is water fine?",
        "  lines, 👋.",
        "assistant, ",
    ];
    let places: Vec<usize> = order.iter().map(|text| shown.find(text).unwrap()).collect();
    assert!(places.is_sorted(), "{shown}");
    assert!(client.expect(&["ticket", "list"]).contains(&ticket));
}

#[test]
fn a_reply_that_fails_says_why_and_posts_nothing() {
    let system = System::shared();
    let client = customer(&system);
    let ticket = new_ticket(&client);
    client.expect(&["say", &ticket, "Hello? [sim:end-early after=5]"]);
    let done = client.run(&["reply", &ticket]);
    assert_eq!(done.code, 7, "{done:?}");
    assert!(done.stderr.contains("reason: UPSTREAM_PROTOCOL"), "{}", done.stderr);
    assert_eq!(bodies(&client, &ticket, "AUTHOR_KIND_ASSISTANT"), [""; 0]);

    // A newer message starts anew.
    client.expect(&["say", &ticket, "Hello again."]);
    assert!(!client.expect(&["reply", &ticket]).is_empty());
}

#[test]
fn an_answer_outlives_its_reader() {
    let system = System::shared();
    let client = customer(&system);
    let ticket = new_ticket(&client);
    client.expect(&["say", &ticket, "Hello? [sim:ok token_ms=100 tokens=20]"]);
    let mut reader = client.start(&["reply", &ticket]);
    let mut seen = [0; 16];
    let count = reader.stdout.as_mut().unwrap().read(&mut seen).unwrap();
    reader.kill().unwrap();
    reader.wait().unwrap();

    let deadline = Instant::now() + Duration::from_secs(30);
    let kept = loop {
        if let Some(kept) = bodies(&client, &ticket, "AUTHOR_KIND_ASSISTANT").pop() {
            break kept;
        }
        assert!(Instant::now() < deadline, "the answer was lost");
        sleep(Duration::from_millis(50));
    };
    assert!(
        count > 0 && kept.as_bytes().starts_with(&seen[..count]),
        "{seen:?} of {kept:?}"
    );
    assert_eq!(client.expect(&["reply", &ticket]), kept);
}

#[test]
fn answers_in_json() {
    let system = System::shared();
    let client = Client::new(system.ticket_service());
    let email = new_email();
    let with_password = |arguments: &[&str]| -> Value {
        let done = client.run_with_input(&[arguments, &["--password-stdin", "--json"]].concat(), PASSWORD);
        let [document] = json_lines(&done.stdout).try_into().unwrap();
        assert_eq!((done.code, done.stderr.as_str()), (0, ""));
        document
    };
    let made = with_password(&["signup", "--email", &email, "--name", "Ada"]);
    assert_eq!(
        (&made["user"]["email"], &made["user"]["role"]),
        (&json!(email), &json!("ROLE_CUSTOMER"))
    );
    let logged_in = with_password(&["login", "--email", &email]);
    assert_eq!(logged_in["user"], made["user"]);
    assert!(logged_in["access_token_expire_time"].is_string() && logged_in.get("access_token").is_none());
    assert_eq!(client.expect_json(&["whoami"])["user"], made["user"]);

    let new = [
        "ticket",
        "new",
        "--title",
        "T",
        "--description",
        "D",
        "--category",
        "billing",
        "--tag",
        "a",
        "--tag",
        "b",
    ];
    let ticket = client.expect_json(&new)["ticket"].clone();
    assert_eq!(
        (&ticket["category"], &ticket["tags"]),
        (&json!("TICKET_CATEGORY_BILLING"), &json!(["a", "b"]))
    );
    let id = ticket["id"].as_str().unwrap();
    assert_eq!(client.expect_json(&["say", id, "hello"])["message"]["ticket_id"], id);
    assert_eq!(client.expect_json(&["ticket", "list"])["tickets"][0]["id"], id);
    assert_eq!(
        client.expect_json(&["ticket", "show", id])["messages"][0]["body"],
        "hello"
    );

    let done = client.run(&["reply", id, "--json"]);
    let events = json_lines(&done.stdout);
    assert_eq!(done.code, 0, "{done:?}");
    assert!(events[0]["event"]["started"].is_object());
    assert_eq!(events.last().unwrap()["event"]["completed"]["message"]["ticket_id"], id);
}

#[test]
fn pages() {
    let system = System::shared();
    let client = customer(&system);
    let mut opened: Vec<String> = (0..5).map(|_| new_ticket(&client)).collect();
    opened.reverse();

    let ids = |page: &Value| -> Vec<String> {
        let tickets = page["tickets"].as_array().unwrap().iter();
        tickets
            .map(|ticket| ticket["id"].as_str().unwrap().to_owned())
            .collect()
    };
    let first = client.expect_json(&["ticket", "list", "--page-size", "3"]);
    let token = first["next_page_token"].as_str().unwrap();
    let second = client.expect_json(&["ticket", "list", "--page-size", "3", "--page-token", token]);
    assert_eq!([ids(&first), ids(&second)].concat(), opened);
    let all = client.expect(&["ticket", "list", "--page-size", "2", "--all", "--json"]);
    assert_eq!(json_lines(&all).iter().flat_map(ids).collect::<Vec<_>>(), opened);

    let ticket = &opened[0];
    for number in 0..25 {
        client.expect(&["say", ticket, &format!("message {number}")]);
    }
    let shown = |flags: &[&str]| client.expect_json(&[&["ticket", "show", ticket], flags].concat());
    assert_eq!(shown(&[])["messages"].as_array().unwrap().len(), 20);
    assert_eq!(shown(&["--all"])["messages"].as_array().unwrap().len(), 25);
}

#[test]
fn refusals_are_told_with_reason_and_fields() {
    let system = System::shared();
    let client = customer(&system);
    let ticket = new_ticket(&client);
    let stranger = customer(&system);
    let nowhere = no_such_ticket();
    let long = "x".repeat(20_000);
    for (arguments, code, words) in [
        (
            &["ticket", "show", &nowhere] as &[&str],
            4,
            &["TICKET_NOT_FOUND"] as &[&str],
        ),
        (&["say", &nowhere, "hello"], 4, &["TICKET_NOT_FOUND"]),
        (&["reply", &nowhere], 4, &["TICKET_NOT_FOUND"]),
        (&["say", &ticket, ""], 5, &["body"]),
        (&["say", &ticket, &long], 5, &["body"]),
        (&["say", &ticket, "note", "--internal"], 5, &["ROLE_NOT_ALLOWED"]),
        (
            &["ticket", "new", "--title", " ", "--description", ""],
            5,
            &["title", "description"],
        ),
        (
            &[
                "ticket",
                "new",
                "--title",
                "t",
                "--description",
                "d",
                "--priority",
                "urgent",
            ],
            5,
            &["priority"],
        ),
        (&["ticket", "list", "--page-size", "-1"], 5, &["page_size"]),
        (&["ticket", "list", "--page-token", "forged"], 5, &["page_token"]),
        (&["ticket", "show", "12"], 2, &["UUID"]),
    ] {
        let done = client.run(arguments);
        assert_eq!(
            (done.code, done.stdout.as_str()),
            (code, ""),
            "{arguments:?}: {}",
            done.stderr
        );
        for word in words {
            assert!(done.stderr.contains(word), "{arguments:?}: {}", done.stderr);
        }
    }
    for arguments in [
        &["ticket", "show", &ticket] as &[&str],
        &["say", &ticket, "hello"],
        &["reply", &ticket],
    ] {
        assert_eq!(stranger.run(arguments).code, 4, "{arguments:?}");
    }
    let done = client.run(&["ticket", "new", "--json", "--title", "", "--description", "d"]);
    let [error] = json_lines(&done.stderr).try_into().unwrap();
    assert_eq!(
        (&error["error"]["code"], &error["error"]["exit_code"]),
        (&json!("INVALID_ARGUMENT"), &json!(5))
    );
    assert_eq!(error["error"]["field_violations"][0]["field"], "title");
}

#[test]
fn accounts_that_cannot_be_made() {
    let system = System::shared();
    let client = Client::new(system.ticket_service());
    let email = new_email();
    let sign_up = |email: &str, password: &str| {
        client.run_with_input(
            &["signup", "--email", email, "--name", "Ada", "--password-stdin"],
            password,
        )
    };
    assert_eq!(sign_up(&email, PASSWORD).code, 0);
    for (email, password, word) in [
        (email.as_str(), PASSWORD, "EMAIL_TAKEN"),
        ("no-address", PASSWORD, "email"),
        (&new_email(), "short", "password"),
        (&new_email(), &"x".repeat(900_000), "password"),
    ] {
        let done = sign_up(email, password);
        assert_eq!(done.code, 5, "{word}: {}", done.stderr);
        assert!(
            done.stderr.contains(word) && !done.stderr.contains(PASSWORD),
            "{word}: {}",
            done.stderr
        );
    }
    assert_eq!(
        client.run(&["signup", "--email", &email, "--name", "Ada"]).code,
        2,
        "no password and no terminal"
    );
}

#[test]
fn sessions() {
    let system = System::shared();
    let client = customer(&system);
    let mode = |path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(client.sessions()), mode(client.session_file())), (0o700, 0o600));

    // The token is good wherever it is used from; a garbled one is not.
    let token = client.expect(&["token"]);
    assert_eq!(
        Client::with_token(system.ticket_service(), &token)
            .run(&["whoami"])
            .code,
        0
    );
    let mut garbled = client.command(&["whoami"]);
    let done = garbled.env("DESKHAND_TOKEN", "garbled").output().unwrap();
    assert_eq!(done.status.code(), Some(3), "DESKHAND_TOKEN goes before the session");

    let fresh = Client::new(system.ticket_service());
    for arguments in [
        &["whoami"] as &[&str],
        &["ticket", "list"],
        &["token"],
        &["reply", &no_such_ticket()],
    ] {
        let done = fresh.run(arguments);
        assert_eq!(done.code, 3, "{arguments:?}: {}", done.stderr);
        assert!(done.stderr.contains("deskhand login"), "{arguments:?}: {}", done.stderr);
    }
    let done = fresh.run_with_input(
        &["login", "--email", "nobody@example.com", "--password-stdin"],
        PASSWORD,
    );
    assert_eq!(done.code, 3);
    assert!(done.stderr.contains("INVALID_CREDENTIALS"), "{}", done.stderr);
    assert!(!fresh.sessions().exists());
}

#[test]
fn a_running_system_is_found() {
    let system = System::shared();
    let client = Client::new(system.ticket_service());
    let mut demo = client.command(&["demo"]);
    let done = demo
        .env_remove("TICKET_SERVICE_ADDR")
        .env("DESKHAND_HOME", system.home())
        .output()
        .unwrap();
    assert!(done.status.success(), "{done:?}");

    let project = client.home().join("project");
    fs::create_dir_all(project.join("deep")).unwrap();
    std::os::unix::fs::symlink(system.home(), project.join(".deskhand")).unwrap();
    let mut demo = client.command(&["demo"]);
    let done = demo
        .env_remove("TICKET_SERVICE_ADDR")
        .current_dir(project.join("deep"))
        .output()
        .unwrap();
    assert!(done.status.success(), "{done:?}");
}

#[test]
fn a_reader_that_goes_away_is_no_accident() {
    let system = System::shared();
    let client = customer(&system);
    let ticket = new_ticket(&client);
    for arguments in [
        &["ticket", "list"] as &[&str],
        &["reply", &ticket],
        &["whoami", "--json"],
    ] {
        let mut child = client.start(arguments);
        drop(child.stdout.take());
        let done = finish(child, "");
        assert_eq!((done.code, done.stderr.as_str()), (141, ""), "{arguments:?}");
    }
}
