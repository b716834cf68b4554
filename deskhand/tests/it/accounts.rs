//! Sessions, passwords and administration, against a real system.

use std::fs;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::client::{Client, finish, json_lines};
use crate::launch_support::wait_for;
use crate::people::{PASSWORD, admin, again, customer, customer_of, new_email};
use crate::system::System;

fn refresh_token(client: &Client) -> String {
    let session: Value = serde_json::from_slice(&fs::read(client.session_file()).unwrap()).unwrap();
    session["refresh_token"].as_str().unwrap().to_owned()
}

fn id_of(client: &Client) -> String {
    client.expect_json(&["whoami"])["user"]["id"]
        .as_str()
        .unwrap()
        .to_owned()
}

fn assert_over(client: &Client) {
    let done = client.run(&["whoami"]);
    assert_eq!(done.code, 3, "{done:?}");
    assert!(
        done.stderr.contains("has ended") && done.stderr.contains("deskhand login"),
        "{}",
        done.stderr
    );
    assert!(!client.session_file().exists());
}

#[test]
fn a_session_goes_on_when_its_access_token_ends() {
    let system = System::shared();
    let client = customer(&system);
    let first = refresh_token(&client);
    client.let_token_end_in(-1);
    client.expect(&["whoami"]);
    let second = refresh_token(&client);
    assert_ne!(first, second);

    // All at once.
    client.let_token_end_in(5);
    let running: Vec<_> = (0..8).map(|_| client.start(&["ticket", "list"])).collect();
    for child in running {
        let done = finish(child, "");
        assert_eq!(done.code, 0, "{done:?}");
    }

    // The token before is good for the same successor, for a while; an older one ends the session.
    let third = refresh_token(&client);
    client.edit_session(|session| session["refresh_token"] = json!(second));
    client.let_token_end_in(-1);
    client.expect(&["whoami"]);
    assert_eq!(refresh_token(&client), third);
    client.edit_session(|session| session["refresh_token"] = json!(first));
    client.let_token_end_in(-1);
    assert_over(&client);
}

#[test]
fn sessions_are_listed_and_ended() {
    let system = System::shared();
    let email = new_email();
    let here = customer_of(&system, &email);
    let (there, elsewhere) = (again(&system, &email), again(&system, &email));

    let listed = here.expect_json(&["sessions"]);
    let sessions = listed["sessions"].as_array().unwrap();
    assert_eq!(sessions.len(), 3);
    // Newest first.
    let current: Vec<&Value> = sessions.iter().map(|session| &session["current"]).collect();
    assert_eq!(current, [false, false, true]);
    assert!(
        sessions[0]["user_agent"].as_str().unwrap().starts_with("deskhand/"),
        "{listed}"
    );
    let text = here.expect(&["sessions"]);
    let marked: Vec<&str> = text.lines().filter(|line| line.starts_with("* ")).collect();
    assert!(
        text.lines().count() == 3 && marked == [text.lines().last().unwrap()],
        "{text}"
    );
    let pages = here.expect(&["sessions", "--page-size", "2", "--all", "--json"]);
    assert_eq!(json_lines(&pages).len(), 2);

    let newest = sessions[0]["id"].as_str().unwrap();
    assert_eq!(here.expect(&["sessions", "revoke", newest]), "1 session ended");
    assert_over(&elsewhere);
    there.expect(&["whoami"]);
    let stranger = customer(&system);
    for id in [sessions[1]["id"].as_str().unwrap(), &Uuid::now_v7().to_string()] {
        let done = stranger.run(&["sessions", "revoke", id]);
        assert_eq!(done.code, 4, "{done:?}");
        assert!(done.stderr.contains("SESSION_NOT_FOUND"), "{}", done.stderr);
    }

    assert_eq!(
        here.expect_json(&["sessions", "revoke", "others"]),
        json!({"revoked_count": 1})
    );
    assert_over(&there);
    here.expect(&["whoami"]);
    here.expect(&["sessions", "revoke", "all"]);
    assert!(!here.session_file().exists());
    assert_eq!(here.run(&["whoami"]).code, 3);
}

#[test]
fn a_log_out_ends_the_tokens_too() {
    let system = System::shared();
    let client = customer(&system);
    let token = client.expect(&["token"]);
    let kept = fs::read(client.session_file()).unwrap();
    client.expect(&["logout"]);
    assert!(!client.session_file().exists());
    let done = Client::with_token(system.ticket_service(), &token).run(&["whoami"]);
    assert_eq!(done.code, 3, "{done:?}");
    assert!(done.stderr.contains("SESSION_ENDED"), "{}", done.stderr);

    // A copy of the file is worth nothing.
    fs::write(client.session_file(), &kept).unwrap();
    client.let_token_end_in(-1);
    assert_over(&client);
    fs::write(client.session_file(), &kept).unwrap();
    let done = client.run(&["logout"]);
    assert_eq!(done.code, 0, "{done:?}");
    assert!(!client.session_file().exists());
}

#[test]
fn a_new_password_ends_the_other_sessions() {
    const NEW: &str = "another correct horse";
    let system = System::shared();
    let email = new_email();
    let here = customer_of(&system, &email);
    let there = again(&system, &email);
    let change = |input: &str| here.run_with_input(&["passwd", "--password-stdin"], input);

    let done = change(&format!("wrong horse battery\n{NEW}\n"));
    assert_eq!(done.code, 3, "{done:?}");
    assert!(done.stderr.contains("INVALID_CREDENTIALS"), "{}", done.stderr);
    let done = change(&format!("{PASSWORD}\nshort\n"));
    assert_eq!(done.code, 5, "{done:?}");
    assert!(done.stderr.contains("new_password"), "{}", done.stderr);
    there.expect(&["whoami"]);

    let done = change(&format!("{PASSWORD}\n{NEW}\n"));
    assert_eq!((done.code, done.stdout.as_str()), (0, ""), "{done:?}");
    here.expect(&["whoami"]);
    assert_over(&there);
    let log_in = ["login", "--email", &email, "--password-stdin"];
    assert_eq!(there.run_with_input(&log_in, PASSWORD).code, 3);
    assert_eq!(there.run_with_input(&log_in, NEW).code, 0);
}

#[test]
fn a_forgotten_password_is_reset() {
    const NEW: &str = "another correct horse";
    let system = System::shared();
    let email = new_email();
    let here = customer_of(&system, &email);
    let anywhere = Client::new(system.ticket_service());
    anywhere.expect(&["reset-password", "request", "--email", &email]);
    wait_for("the mail", || !system.mails_to(&email).is_empty());

    let [mail] = system.mails_to(&email).try_into().unwrap();
    let mail = mail.replace("=\r\n", "").replace("=3D", "=");
    let link = mail.split_whitespace().find(|word| word.contains("token=")).unwrap();
    let confirm = ["reset-password", "confirm", "--password-stdin"];
    let done = anywhere.run_with_input(&confirm, &format!("{link}\nshort\n"));
    assert_eq!(done.code, 5, "{done:?}");
    assert!(done.stderr.contains("new_password"), "{}", done.stderr);
    let done = anywhere.run_with_input(&confirm, &format!("{link}\n{NEW}\n"));
    assert_eq!((done.code, done.stdout.as_str()), (0, ""), "{done:?}");
    assert_over(&here);
    assert!(!anywhere.session_file().exists(), "it does not log in");
    here.log_in(&email, NEW);
    let done = anywhere.run_with_input(&confirm, &format!("{link}\n{NEW}\n"));
    assert!(done.stderr.contains("RESET_TOKEN_INVALID"), "it is good once: {done:?}");
}

#[test]
fn a_reset_is_asked_for_without_learning_who_has_an_account() {
    let system = System::shared();
    let client = Client::new(system.ticket_service());
    let known = new_email();
    customer_of(&system, &known);
    for email in [&known, &new_email()] {
        let done = client.run(&["reset-password", "request", "--email", email]);
        assert_eq!(
            (done.code, done.stdout.as_str(), done.stderr.as_str()),
            (0, "", ""),
            "{done:?}"
        );
        assert_eq!(
            client.expect_json(&["reset-password", "request", "--email", email]),
            json!({})
        );
    }
    let confirm = ["reset-password", "confirm", "--password-stdin"];
    let done = client.run_with_input(&confirm, "no token\nanother correct horse\n");
    assert_eq!(done.code, 5, "{done:?}");
    assert!(done.stderr.contains("RESET_TOKEN_INVALID"), "{}", done.stderr);
    assert_eq!(client.run(&["reset-password", "request", "--email", "x"]).code, 5);
}

#[test]
fn whoever_guesses_is_told_to_wait() {
    let system = System::shared();
    let email = new_email();
    let client = customer_of(&system, &email);
    let log_in = ["login", "--email", &email, "--password-stdin"];
    let refused = (0..20)
        .map(|_| client.run_with_input(&log_in, "wrong horse battery"))
        .find(|done| done.code != 3)
        .unwrap();
    assert_eq!(refused.code, 6, "{refused:?}");
    assert!(
        refused.stderr.contains("THROTTLED") && refused.stderr.contains("try again in"),
        "{}",
        refused.stderr
    );
    // The session that there is goes on.
    client.expect(&["whoami"]);
}

#[test]
fn roles_are_in_force_at_once() {
    let system = System::shared();
    let email = new_email();
    let client = customer_of(&system, &email);
    let id = id_of(&client);
    let admin = admin(&system);
    assert!(admin.expect(&["whoami"]).contains(", admin"));

    let found = admin.expect_json(&["admin", "users", "--email", &email.to_uppercase()]);
    assert_eq!(
        (&found["users"][0]["id"], found["users"].as_array().unwrap().len()),
        (&json!(id), 1)
    );
    let shown = admin.expect(&["admin", "role", &id, "agent"]);
    assert!(
        shown.contains(&format!("<{email}>, agent")) && shown.contains(&id),
        "{shown}"
    );
    assert!(client.expect(&["whoami"]).contains(", agent"));
    let agents = admin.expect(&["admin", "users", "--role", "agent", "--all"]);
    assert!(agents.contains(&email) && !agents.contains("admin@"), "{agents}");
    assert_eq!(admin.expect_json(&["admin", "user", &id])["user"]["role"], "ROLE_AGENT");
    client.expect(&["ticket", "list"]);

    let set = admin.expect_json(&["admin", "role", &id, "customer"]);
    assert_eq!(set["user"]["role"], "ROLE_CUSTOMER");
    let done = client.run(&["admin", "users"]);
    assert_eq!(done.code, 5, "{done:?}");
    assert!(done.stderr.contains("ROLE_NOT_ALLOWED"), "{}", done.stderr);
}

#[test]
fn a_disabled_account_is_shut_and_can_be_opened() {
    let system = System::shared();
    let email = new_email();
    let client = customer_of(&system, &email);
    let id = id_of(&client);
    let admin = admin(&system);

    assert!(admin.expect(&["admin", "disable", &id]).contains(", disabled 2"));
    assert_over(&client);
    let log_in = ["login", "--email", &email, "--password-stdin"];
    assert_eq!(client.run_with_input(&log_in, PASSWORD).code, 3);
    let row = admin.expect(&["admin", "users", "--email", &email]);
    assert!(row.contains("disabled"), "{row}");

    let enabled = admin.expect_json(&["admin", "enable", &id]);
    assert_eq!(enabled["user"]["disable_time"], Value::Null);
    assert_eq!(client.run_with_input(&log_in, PASSWORD).code, 0);
    client.expect(&["whoami"]);
}

#[test]
fn what_admins_do_is_listed() {
    let system = System::shared();
    let client = customer(&system);
    let id = id_of(&client);
    let admin = admin(&system);
    for command in [
        &["admin", "role", &id, "agent"] as &[&str],
        &["admin", "disable", &id],
        &["admin", "enable", &id],
    ] {
        admin.expect(command);
    }
    let by = id_of(&admin);
    let lines = admin.expect(&["admin", "audit", "--user", &id, "--page-size", "1", "--all", "--json"]);
    let actions: Vec<Value> = json_lines(&lines)
        .iter()
        .flat_map(|page| page["events"].as_array().unwrap().clone())
        .map(|event| {
            assert_eq!((&event["user_id"], &event["actor_id"]), (&json!(id), &json!(by)));
            event["action"].clone()
        })
        .collect();
    assert_eq!(actions, ["user.enabled", "user.disabled", "user.role_set"]);

    let filter = [
        "admin",
        "audit",
        "--user",
        &id,
        "--actor",
        &by,
        "--action",
        "user.role_set",
    ];
    let row = admin.expect(&filter);
    assert!(row.contains("user.role_set") && row.lines().count() == 1, "{row}");
    let details = &admin.expect_json(&filter)["events"][0]["details"];
    assert!(details.to_string().to_lowercase().contains("agent"), "{details}");
    assert_eq!(admin.expect(&["admin", "audit", "--user", &id, "--actor", &id]), "");
}

#[test]
fn what_admins_cannot_do() {
    let system = System::shared();
    let admin = admin(&system);
    let (own, nobody) = (id_of(&admin), Uuid::now_v7().to_string());
    for (arguments, code, word) in [
        (&["admin", "user", &nobody] as &[&str], 4, "USER_NOT_FOUND"),
        (&["admin", "role", &nobody, "agent"], 4, "USER_NOT_FOUND"),
        (&["admin", "disable", &nobody], 4, "USER_NOT_FOUND"),
        (&["admin", "enable", &nobody], 4, "USER_NOT_FOUND"),
        (&["admin", "role", &own, "customer"], 5, "LAST_ADMIN"),
        (&["admin", "disable", &own], 5, "LAST_ADMIN"),
        (&["admin", "users", "--page-size", "-1"], 5, "page_size"),
        (&["admin", "audit", "--page-token", "forged"], 5, "page_token"),
        (&["admin", "role", &own, "king"], 2, "customer, agent, admin"),
        (&["admin", "user", "me"], 2, "UUID"),
    ] {
        let done = admin.run(arguments);
        assert_eq!(
            (done.code, done.stdout.as_str()),
            (code, ""),
            "{arguments:?}: {}",
            done.stderr
        );
        assert!(done.stderr.contains(word), "{arguments:?}: {}", done.stderr);
    }
    admin.expect(&["whoami"]);
}

#[test]
fn the_keys_are_public() {
    let system = System::shared();
    let keys = Client::new(system.ticket_service()).expect_json(&["jwks"]);
    let keys = keys["keys"].as_array().unwrap();
    assert!(!keys.is_empty());
    for key in keys {
        assert_eq!(
            (&key["kty"], &key["crv"], &key["alg"]),
            (&json!("OKP"), &json!("Ed25519"), &json!("EdDSA"))
        );
        assert!(key.get("d").is_none());
    }
}
