//! How the session is renewed, against a scripted server.

use std::fs::{self, File};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tonic::{Code, Status};

use crate::client::{Client, finish, json_lines};
use crate::launch_support::wait_for;
use crate::scripted::{Script, Scripted, Step, TICKET, TOKEN, completed, delta, refusal, started};

const EMAIL: &str = "ada@example.com";

/// Someone who logged in before.
pub(crate) fn logged_in(server: &Scripted) -> Client {
    let client = Client::new(&server.address);
    client.log_in(EMAIL, "correct horse");
    client
}

/// Someone who logged in before, at a server that refuses what comes then.
pub(crate) fn refused(refusals: Vec<Status>) -> (Scripted, Client) {
    // The log-in must be let through first.
    let first = Scripted::start(Script::default());
    let client = logged_in(&first);
    let server = Scripted::refusing(refusals);
    let there = Client::new(&server.address);
    fs::create_dir_all(there.sessions()).unwrap();
    fs::copy(client.session_file(), there.session_file()).unwrap();
    there.edit_session(|session| session["server"] = json!(server.address));
    (server, there)
}

fn kept(client: &Client) -> Value {
    serde_json::from_slice(&fs::read(client.session_file()).unwrap()).unwrap()
}

#[test]
fn an_ending_token_is_renewed_before_it_is_used() {
    for (seconds, renewed) in [(-3_600, true), (20, true), (60, false)] {
        let server = Scripted::start(Script::default());
        let client = logged_in(&server);
        client.let_token_end_in(seconds);
        let done = client.run(&["whoami"]);
        assert_eq!(done.code, 0, "{done:?}");
        let calls = server.calls();
        if renewed {
            assert_eq!(server.methods(), ["LogIn", "RefreshToken", "GetMe"]);
            assert_eq!(calls[1].authorization, None);
            assert_eq!(calls[2].authorization.as_deref(), Some("Bearer scripted-token-1"));
            assert_eq!(
                (&kept(&client)["refresh_token"], &kept(&client)["email"]),
                (&json!("refresh-1"), &json!(EMAIL))
            );
        } else {
            assert_eq!(server.methods(), ["LogIn", "GetMe"]);
        }
    }
}

#[test]
fn a_printed_token_is_fresh() {
    let server = Scripted::start(Script::default());
    let client = logged_in(&server);
    assert_eq!(client.expect(&["token"]), TOKEN);
    client.let_token_end_in(10);
    assert_eq!(client.expect(&["token"]), "scripted-token-1");
    assert_eq!(client.expect_json(&["token"])["access_token"], "scripted-token-1");
    assert_eq!(server.methods(), ["LogIn", "RefreshToken"]);
}

#[test]
fn a_token_that_the_server_refuses_is_renewed_once() {
    for reason in ["TOKEN_EXPIRED", "TOKEN_INVALID"] {
        let (server, client) = refused(vec![refusal(Code::Unauthenticated, reason)]);
        let done = client.run(&["say", TICKET, "hello"]);
        assert_eq!(done.code, 0, "{done:?}");
        assert_eq!(server.methods(), ["PostMessage", "RefreshToken", "PostMessage"]);
        let calls = server.calls();
        assert_eq!(calls[0].request_id, calls[2].request_id);
        assert_eq!(calls[2].authorization.as_deref(), Some("Bearer scripted-token-1"));
    }
    // A server that accepts none does not send us round in circles.
    let server = Scripted::start(Script {
        expired: vec![TOKEN, "scripted-token-1"],
        ..Script::default()
    });
    let client = logged_in(&server);
    assert_eq!(client.run(&["whoami"]).code, 3);
    assert_eq!(server.methods(), ["LogIn", "GetMe", "RefreshToken", "GetMe"]);
    // Nothing else is a matter of the token.
    for reason in ["INVALID_CREDENTIALS", "TOKEN_MISSING"] {
        let (server, client) = refused(vec![refusal(Code::Unauthenticated, reason)]);
        assert_eq!((client.run(&["whoami"]).code, server.calls().len()), (3, 1));
        assert!(client.session_file().exists());
    }
}

#[test]
fn a_stream_begins_with_a_token_that_holds() {
    let server = Scripted::streaming(vec![started(), delta(1, 0, "hello"), completed("hello")]);
    let client = logged_in(&server);
    client.let_token_end_in(0);
    assert_eq!(client.expect(&["reply", TICKET]), "hello");
    assert_eq!(server.methods(), ["LogIn", "RefreshToken", "StreamReply"]);

    let server = Scripted::start(Script {
        stream: vec![started(), delta(1, 0, "hello"), completed("hello")],
        expired: vec![TOKEN],
        ..Script::default()
    });
    let client = logged_in(&server);
    assert_eq!(client.expect(&["reply", TICKET]), "hello");
    assert_eq!(
        server.methods(),
        ["LogIn", "StreamReply", "RefreshToken", "StreamReply"]
    );
}

#[test]
fn a_stream_that_ends_with_the_session_is_the_last_of_it() {
    let end = Step::Fail(refusal(Code::Unauthenticated, "SESSION_ENDED"));
    let server = Scripted::streaming(vec![started(), delta(1, 0, "hel"), end]);
    let client = logged_in(&server);
    let done = client.run(&["reply", TICKET]);
    assert_eq!((done.code, done.stdout.as_str()), (3, "hel\n"), "{done:?}");
    assert!(done.stderr.contains("has ended"), "{}", done.stderr);
    assert!(!client.session_file().exists());
    assert_eq!(server.methods(), ["LogIn", "StreamReply"]);
}

#[test]
fn a_token_that_ends_during_an_answer_is_renewed() {
    let expired = || Step::Fail(refusal(Code::Unauthenticated, "TOKEN_EXPIRED"));
    let server = Scripted::start(Script {
        stream: vec![started(), delta(1, 0, "a"), expired()],
        attaches: vec![vec![started(), delta(1, 1, "b"), completed("ab")]].into(),
        ..Script::default()
    });
    let client = logged_in(&server);
    let done = client.run(&["reply", TICKET]);
    assert_eq!((done.code, done.stdout.as_str(), done.stderr.as_str()), (0, "ab\n", ""));
    assert_eq!(
        server.methods(),
        ["LogIn", "StreamReply", "RefreshToken", "AttachReply"]
    );
    let renewed = server.calls()[3].authorization.clone();
    assert_eq!(renewed.as_deref(), Some("Bearer scripted-token-1"));

    // Not for ever, where nothing comes of it.
    let server = Scripted::start(Script {
        stream: vec![started(), expired()],
        attaches: vec![vec![started(), expired()], vec![started(), expired()]].into(),
        ..Script::default()
    });
    let done = logged_in(&server).run(&["reply", TICKET]);
    assert_eq!(done.code, 3, "{done:?}");
    assert_eq!(server.asked().attaches.len(), 1);
}

#[test]
fn a_given_token_is_not_renewed() {
    let server = Scripted::refusing(vec![refusal(Code::Unauthenticated, "TOKEN_EXPIRED")]);
    let done = Client::with_token(&server.address, TOKEN).run(&["whoami"]);
    assert_eq!((done.code, server.methods()), (3, vec!["GetMe"]), "{done:?}");
}

#[test]
fn a_session_that_has_ended_is_forgotten() {
    // Told by the refresh, by a call, and by a call after a refresh.
    for (lives, refusals) in [
        (-1, vec![refusal(Code::Unauthenticated, "REFRESH_TOKEN_INVALID")]),
        (600, vec![refusal(Code::Unauthenticated, "SESSION_ENDED")]),
        (
            600,
            vec![
                refusal(Code::Unauthenticated, "TOKEN_EXPIRED"),
                refusal(Code::Unauthenticated, "REFRESH_TOKEN_INVALID"),
            ],
        ),
    ] {
        for flags in [&[] as &[&str], &["--json"]] {
            let (_server, client) = refused(refusals.clone());
            client.let_token_end_in(lives);
            let done = client.run(&[&["ticket", "list"], flags].concat());
            assert_eq!((done.code, done.stdout.as_str()), (3, ""), "{done:?}");
            assert!(!client.session_file().exists());
            let how = format!("deskhand login --email {EMAIL}");
            assert!(
                done.stderr.contains("has ended") && done.stderr.contains(&how),
                "{}",
                done.stderr
            );
            if !flags.is_empty() {
                let [error] = json_lines(&done.stderr).try_into().unwrap();
                assert_eq!(error["error"]["reason"], "SESSION_ENDED");
            }
            let done = client.run(&["whoami"]);
            assert_eq!(done.code, 3);
            assert!(done.stderr.contains("you are not logged in"), "{}", done.stderr);
        }
    }
}

#[test]
fn a_session_of_before_there_were_refresh_tokens_is_used_until_it_ends() {
    let server = Scripted::start(Script::default());
    let client = logged_in(&server);
    client.edit_session(|session| {
        let fields = session.as_object_mut().unwrap();
        fields.retain(|name, _| !name.starts_with("refresh"));
    });
    client.expect(&["whoami"]);
    client.let_token_end_in(-1);
    let done = client.run(&["whoami"]);
    assert_eq!(done.code, 3);
    assert!(
        done.stderr.contains("expired") && done.stderr.contains("deskhand login"),
        "{}",
        done.stderr
    );
    assert_eq!(server.methods(), ["LogIn", "GetMe"]);
    // It can still be logged out of.
    client.expect(&["logout"]);
    assert!(!client.session_file().exists());
}

#[test]
fn commands_that_run_at_once_renew_once() {
    let (answer, gate) = channel();
    let server = Scripted::start(Script {
        refresh_answer: Some(gate),
        ..Script::default()
    });
    let client = logged_in(&server);
    client.let_token_end_in(5);
    let running: Vec<_> = (0..6).map(|_| client.start(&["whoami"])).collect();
    wait_for("the refresh", || server.methods().contains(&"RefreshToken"));
    answer.send(()).unwrap();
    for child in running {
        let done = finish(child, "");
        assert_eq!(done.code, 0, "{done:?}");
    }
    let methods = server.methods();
    let count = |method| methods.iter().filter(|called| **called == method).count();
    assert_eq!((count("RefreshToken"), count("GetMe")), (1, 6), "{methods:?}");
    let calls = server.calls();
    let renewed = calls.iter().filter(|call| call.method == "GetMe");
    assert!(
        renewed
            .into_iter()
            .all(|call| call.authorization.as_deref() == Some("Bearer scripted-token-1"))
    );
}

#[test]
fn commands_whose_token_is_refused_at_once_renew_once() {
    let server = Scripted::start(Script {
        expired: vec![TOKEN],
        ..Script::default()
    });
    let client = logged_in(&server);
    let running: Vec<_> = (0..6).map(|_| client.start(&["whoami"])).collect();
    for child in running {
        let done = finish(child, "");
        assert_eq!(done.code, 0, "{done:?}");
    }
    let methods = server.methods();
    let refreshes = methods.iter().filter(|method| **method == "RefreshToken").count();
    assert_eq!(refreshes, 1, "{methods:?}");
}

#[test]
fn a_renewal_that_was_cut_short_is_made_good() {
    let (answer, gate) = channel();
    let server = Scripted::start(Script {
        refresh_answer: Some(gate),
        ..Script::default()
    });
    let client = logged_in(&server);
    client.let_token_end_in(-1);
    // Killed after the server has used the token up, and before its successor is kept.
    let mut killed = client.start(&["whoami"]);
    wait_for("the refresh", || server.methods().contains(&"RefreshToken"));
    killed.kill().unwrap();
    killed.wait().unwrap();
    answer.send(()).unwrap();
    assert_eq!(kept(&client)["refresh_token"], "refresh-0");

    client.expect(&["whoami"]);
    assert_eq!(kept(&client)["refresh_token"], "refresh-1");
    client.let_token_end_in(-1);
    client.expect(&["whoami"]);
    assert_eq!(kept(&client)["refresh_token"], "refresh-2");
}

#[test]
fn a_lost_answer_to_a_renewal_is_asked_for_again() {
    let (server, client) = refused(vec![Status::unavailable("Draining.")]);
    client.let_token_end_in(-1);
    client.expect(&["whoami"]);
    assert_eq!(server.methods(), ["RefreshToken", "RefreshToken", "GetMe"]);

    // Still unavailable: the session is kept for later.
    let (server, client) = refused(vec![Status::unavailable(""), Status::unavailable("")]);
    client.let_token_end_in(-1);
    assert_eq!(client.run(&["whoami"]).code, 6);
    assert_eq!(server.methods(), ["RefreshToken", "RefreshToken"]);
    client.expect(&["whoami"]);
}

#[test]
fn a_hasty_call_does_not_give_a_renewal_up() {
    let (answer, gate) = channel();
    let server = Scripted::start(Script {
        refresh_answer: Some(gate),
        ..Script::default()
    });
    let client = logged_in(&server);
    client.let_token_end_in(-1);
    let hasty = client.start(&["whoami", "--timeout", "500ms"]);
    wait_for("the refresh", || server.methods().contains(&"RefreshToken"));
    std::thread::sleep(Duration::from_millis(1_000));
    answer.send(()).unwrap();
    let done = finish(hasty, "");
    assert_eq!(done.code, 0, "{done:?}");
    assert_eq!(kept(&client)["refresh_token"], "refresh-1");
}

#[test]
fn a_stuck_command_does_not_hold_others_up_for_ever() {
    let server = Scripted::start(Script::default());
    let client = logged_in(&server);
    let lock = File::open(client.session_file().with_extension("lock")).unwrap();
    lock.lock().unwrap();
    // A token that holds needs no lock.
    client.expect(&["whoami"]);
    client.let_token_end_in(-1);
    let began = Instant::now();
    let done = client.run(&["whoami", "--timeout", "300ms"]);
    assert_eq!(done.code, 6, "{done:?}");
    assert!(done.stderr.contains("another command"), "{}", done.stderr);
    assert!(began.elapsed() < Duration::from_secs(10));
    drop(lock);
    client.expect(&["whoami"]);
}

#[test]
fn a_log_in_meanwhile_is_not_overwritten() {
    let (answer, gate) = channel();
    let server = Scripted::start(Script {
        refresh_answer: Some(gate),
        ..Script::default()
    });
    let client = logged_in(&server);
    client.let_token_end_in(-1);
    let renewing = client.start(&["whoami"]);
    wait_for("the refresh", || server.methods().contains(&"RefreshToken"));
    let mut log_in = client.command(&["login", "--email", "bob@example.com"]);
    let log_in = log_in.env("DESKHAND_PASSWORD", "x").spawn().unwrap();
    wait_for("the second log-in", || {
        server.methods().iter().filter(|m| **m == "LogIn").count() == 2
    });
    answer.send(()).unwrap();
    assert_eq!(finish(renewing, "").code, 0);
    assert!(log_in.wait_with_output().unwrap().status.success());
    assert_eq!(kept(&client)["email"], "bob@example.com");
}

#[test]
fn a_command_does_not_go_on_as_someone_else() {
    let server = Scripted::start(Script {
        expired: vec![TOKEN],
        ..Script::default()
    });
    let client = logged_in(&server);
    let lock = File::open(client.session_file().with_extension("lock")).unwrap();
    lock.lock().unwrap();
    let child = client.start(&["say", TICKET, "It is me, Ada."]);
    wait_for("the call", || server.methods().contains(&"PostMessage"));
    client.edit_session(|session| {
        session["email"] = json!("bob@example.com");
        session["access_token"] = json!("another");
    });
    drop(lock);
    let done = finish(child, "");
    assert_eq!(done.code, 3, "{done:?}");
    assert!(done.stderr.contains("replaced by one of bob@"), "{}", done.stderr);
    assert_eq!(server.methods(), ["LogIn", "PostMessage"]);
    assert_eq!(kept(&client)["email"], "bob@example.com");
}
