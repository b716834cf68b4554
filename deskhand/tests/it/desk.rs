//! What agents do with tickets, against a scripted server.

use deskhand_proto::accounts::v1::Role;
use deskhand_proto::feed::v1::{ActorKind, TicketEvent, TicketEventKind};
use deskhand_proto::tickets::v1::{MessageVisibility, Ticket, TicketOrder, TicketStatus};
use serde_json::json;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::client::{Client, json_lines};
use crate::scripted::{ME, Script, Scripted, TICKET, TOKEN, refusal};

fn client(server: &Scripted) -> Client {
    Client::with_token(&server.address, TOKEN)
}

fn desk(role: Role) -> Scripted {
    Scripted::start(Script {
        role,
        ..Script::default()
    })
}

#[test]
fn fields_are_changed_by_their_mask() {
    let server = desk(Role::Agent);
    let arguments = [
        "ticket",
        "update",
        TICKET,
        "--status",
        "resolved",
        "--tags",
        "",
        "--description",
        "-",
        "--etag",
        "e1",
    ];
    let done = client(&server).run_with_input(&arguments, "Two\nlines.");
    assert_eq!(done.code, 0, "{done:?}");
    assert!(
        done.stdout.starts_with("7  Title\n"),
        "the ticket is shown: {}",
        done.stdout
    );
    let [update] = server.asked().updates.try_into().unwrap();
    assert_eq!(update.update_mask.unwrap().paths, ["description", "status", "tags"]);
    let expected = Ticket {
        id: TICKET.to_owned(),
        description: "Two\nlines.".to_owned(),
        status: TicketStatus::Resolved.into(),
        etag: "e1".to_owned(),
        ..Ticket::default()
    };
    assert_eq!(update.ticket.unwrap(), expected);

    let updated = client(&server).expect_json(&["ticket", "update", TICKET, "--title", "T"]);
    assert_eq!(updated["ticket"]["id"], TICKET);
}

#[test]
fn nothing_to_change_is_wrong_usage() {
    let server = desk(Role::Agent);
    for arguments in [
        &["ticket", "update", TICKET] as &[&str],
        &["ticket", "update", TICKET, "--etag", "e"],
    ] {
        let done = client(&server).run(arguments);
        assert_eq!(done.code, 2, "{done:?}");
        assert!(done.stderr.contains("--title"), "{}", done.stderr);
    }
    assert_eq!(server.calls(), []);
}

#[test]
fn wrong_usage_is_told_in_json_too() {
    let server = desk(Role::Agent);
    for arguments in [
        &["ticket", "update", TICKET, "--json"] as &[&str],
        &["ticket", "update", "12", "--json"],
        &["--json", "no-such-command"],
    ] {
        let done = client(&server).run(arguments);
        let [error] = json_lines(&done.stderr).try_into().unwrap();
        assert_eq!((done.code, &error["error"]["exit_code"]), (2, &json!(2)), "{error}");
    }
    let done = client(&server).run(&["--json", "--help"]);
    assert_eq!((done.code, done.stdout.contains("inbox")), (0, true));
}

#[test]
fn tickets_are_given_and_taken() {
    let server = desk(Role::Agent);
    let client = client(&server);
    assert!(
        client
            .expect(&["ticket", "assign", TICKET, "me"])
            .contains(&format!("assigned to {ME}"))
    );
    assert!(
        client
            .expect(&["ticket", "assign", TICKET, "--nobody"])
            .contains("assigned to nobody")
    );
    client.expect(&["ticket", "assign", TICKET, TICKET, "--etag", "e"]);
    let given: Vec<(String, String)> = server
        .asked()
        .assignments
        .into_iter()
        .map(|asked| (asked.assignee_id, asked.etag))
        .collect();
    let expected = [(ME, ""), ("", ""), (TICKET, "e")].map(|(to, etag)| (to.to_owned(), etag.to_owned()));
    assert_eq!(given, expected);
}

#[test]
fn a_note_is_internal() {
    let server = desk(Role::Agent);
    let client = client(&server);
    client.expect(&["ticket", "note", TICKET, "Beware."]);
    assert_eq!(
        client
            .run_with_input(&["ticket", "note", TICKET, "-"], "Of the dog.")
            .code,
        0
    );
    client.expect(&["say", TICKET, "Hello."]);
    let posts: Vec<(String, MessageVisibility)> = server
        .asked()
        .posts
        .iter()
        .map(|post| (post.body.clone(), post.visibility()))
        .collect();
    use MessageVisibility::{Internal, Unspecified};
    let expected = [
        ("Beware.", Internal),
        ("Of the dog.", Internal),
        ("Hello.", Unspecified),
    ];
    assert_eq!(posts, expected.map(|(body, visibility)| (body.to_owned(), visibility)));
}

#[test]
fn a_history_is_a_line_for_each_event() {
    let event = TicketEvent {
        ticket_id: TICKET.to_owned(),
        id: 3,
        kind: TicketEventKind::Created.into(),
        actor_kind: ActorKind::Customer.into(),
        actor_id: ME.to_owned(),
        ..TicketEvent::default()
    };
    let server = Scripted::start(Script {
        events: vec![event],
        ..Script::default()
    });
    let client = client(&server);
    assert_eq!(
        client.expect(&["ticket", "events", TICKET]),
        format!("-  customer {ME}  opened it")
    );
    let page = client.expect_json(&["ticket", "events", TICKET]);
    assert_eq!(
        (&page["events"][0]["id"], &page["next_page_token"]),
        (&json!("3"), &json!(""))
    );
}

#[test]
fn a_list_is_of_those_that_were_asked_for() {
    let server = desk(Role::Agent);
    let client = client(&server);
    client.expect(&[
        "ticket",
        "list",
        "--assignee",
        "me",
        "--query",
        "-paid",
        "--limit",
        "250",
    ]);
    client.expect(&["ticket", "list", "--limit", "3", "--order", "relevance"]);
    let [mine, few] = server.asked().lists.try_into().unwrap();
    assert_eq!(
        (mine.assignee_id.as_str(), mine.query.as_str(), mine.page_size),
        (ME, "-paid", 100)
    );
    assert_eq!((few.page_size, few.order()), (3, TicketOrder::Relevance));
}

#[test]
fn an_inbox_is_what_waits_and_is_nobodys_or_mine() {
    let server = Scripted::start(Script {
        role: Role::Admin,
        tickets: vec![Ticket {
            id: TICKET.to_owned(),
            assignee_id: ME.to_owned(),
            ..Ticket::default()
        }],
        ..Script::default()
    });
    let client = client(&server);
    assert!(client.expect(&["inbox"]).contains("mine"));
    let lists = server.asked().lists;
    let asked: Vec<&str> = lists.iter().map(|list| list.assignee_id.as_str()).collect();
    assert_eq!(asked, ["none", ME]);
    for list in &lists {
        assert_eq!(
            list.statuses,
            [TicketStatus::Open as i32, TicketStatus::InProgress as i32]
        );
        assert_eq!((list.order(), list.page_size), (TicketOrder::Priority, 50));
    }
    let page = client.expect_json(&["inbox"]);
    assert_eq!(page["tickets"].as_array().unwrap().len(), 1, "met twice, shown once");
}

#[test]
fn an_inbox_is_not_for_customers() {
    for arguments in [&["inbox", "--json"] as &[&str], &["inbox", "--watch", "--json"]] {
        let server = desk(Role::Customer);
        let done = client(&server).run(arguments);
        assert_eq!(
            (done.code, done.stdout.as_str(), server.methods()),
            (5, "", vec!["GetMe"]),
            "{done:?}"
        );
        let [error] = json_lines(&done.stderr).try_into().unwrap();
        assert_eq!(error["error"]["reason"], "ROLE_NOT_ALLOWED");
        assert!(
            error["error"]["sentence"]
                .as_str()
                .unwrap()
                .contains("deskhand ticket list")
        );
    }
}

#[test]
fn refusals_say_what_to_do() {
    let allowed = [(
        "allowed".to_owned(),
        "TICKET_STATUS_OPEN,TICKET_STATUS_CLOSED".to_owned(),
    )];
    let details = ErrorDetails::with_error_info("STATUS_NOT_ALLOWED", "deskhand", allowed);
    let not_allowed = Status::with_error_details(Code::FailedPrecondition, "Not from here.", details);
    for (status, reason, hint) in [
        (not_allowed, "STATUS_NOT_ALLOWED", "allowed next: open, closed"),
        (
            refusal(Code::Aborted, "ETAG_MISMATCH"),
            "ETAG_MISMATCH",
            "look at it again",
        ),
    ] {
        let update = ["ticket", "update", TICKET, "--status", "in-progress"];
        let done = client(&Scripted::refusing(vec![status.clone()])).run(&update);
        assert_eq!(done.code, 5, "{done:?}");
        assert!(
            done.stderr.contains(reason) && done.stderr.contains(hint),
            "{}",
            done.stderr
        );
        let done = client(&Scripted::refusing(vec![status])).run(&[&update[..], &["--json"]].concat());
        let [error] = json_lines(&done.stderr).try_into().unwrap();
        assert_eq!(error["error"]["reason"], reason);
        if reason == "STATUS_NOT_ALLOWED" {
            let metadata = json!({"allowed": "TICKET_STATUS_OPEN,TICKET_STATUS_CLOSED"});
            assert_eq!(error["error"]["metadata"], metadata);
        }
    }
}
