//! How sessions are ended and passwords set, against a scripted server.

use std::fs;
use std::net::TcpListener;

use serde_json::{Value, json};
use tonic::{Code, Status};

use crate::client::Client;
use crate::renewal::{logged_in, refused};
use crate::scripted::{NEW_PASSWORD, RESET_TOKEN, Script, Scripted, TICKET, TOKEN, refusal};

#[test]
fn logging_out() {
    let server = Scripted::start(Script::default());
    let client = logged_in(&server);
    assert_eq!(client.run(&["logout"]).code, 0);
    assert!(!client.session_file().exists());
    assert_eq!(
        server.calls()[1].authorization.as_deref(),
        Some("Bearer scripted-token")
    );
    // Whoever is logged out may log out.
    let done = client.run(&["logout"]);
    assert_eq!((done.code, server.methods()), (0, vec!["LogIn", "LogOut"]), "{done:?}");
    assert!(done.stderr.contains("no session"), "{}", done.stderr);
    assert_eq!(client.run(&["whoami"]).code, 3);

    // A token that has ended is renewed for it.
    let (server, client) = refused(vec![]);
    client.let_token_end_in(-1);
    assert_eq!(client.expect_json(&["logout"]), json!({}));
    assert_eq!(server.methods(), ["RefreshToken", "LogOut"]);
    assert!(!client.session_file().exists());
}

#[test]
fn logging_out_of_what_has_ended() {
    for (lives, reason) in [(600, "SESSION_ENDED"), (-1, "REFRESH_TOKEN_INVALID")] {
        let (_server, client) = refused(vec![refusal(Code::Unauthenticated, reason)]);
        client.let_token_end_in(lives);
        let done = client.run(&["logout"]);
        assert_eq!(done.code, 0, "{done:?}");
        assert!(done.stderr.contains("had ended"), "{}", done.stderr);
        assert!(!client.session_file().exists());
    }
    // The server may have heard it the first time.
    let ended = refusal(Code::Unauthenticated, "SESSION_ENDED");
    let (server, client) = refused(vec![Status::unavailable(""), ended]);
    assert_eq!(
        (client.run(&["logout"]).code, server.methods()),
        (0, vec!["LogOut", "LogOut"])
    );
    assert!(!client.session_file().exists());
}

#[test]
fn logging_out_where_nobody_answers() {
    let server = Scripted::start(Script::default());
    let client = logged_in(&server);
    drop(server);
    let done = client.run(&["logout"]);
    assert_eq!(done.code, 6, "{done:?}");
    assert!(
        done.stderr.contains("cannot reach") && done.stderr.contains("--local"),
        "{}",
        done.stderr
    );
    assert!(client.session_file().exists());

    let done = client.run(&["logout", "--local"]);
    assert_eq!(done.code, 0, "{done:?}");
    assert!(!client.session_file().exists());
    assert!(client.run(&["logout", "--local"]).stderr.contains("no session"));

    // Not even a file that nobody can read is in the way.
    fs::write(client.session_file(), "{").unwrap();
    assert_eq!(client.run(&["logout"]).code, 3);
    assert_eq!(client.run(&["logout", "--local"]).code, 0);
    assert!(!client.session_file().exists());

    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .to_string();
    let stranger = Client::new(&free);
    assert_eq!(stranger.run(&["logout"]).code, 0);
    assert!(!stranger.sessions().exists());
}

#[test]
fn whoever_ends_all_sessions_is_logged_out() {
    let server = Scripted::start(Script::default());
    let client = logged_in(&server);
    assert_eq!(client.expect(&["sessions", "revoke", TICKET]), "1 session ended");
    assert_eq!(client.expect(&["sessions", "revoke", "others"]), "1 session ended");
    assert!(client.session_file().exists());
    assert_eq!(
        client.expect_json(&["sessions", "revoke", "all"]),
        json!({"revoked_count": 1})
    );
    assert!(!client.session_file().exists());
    assert_eq!(client.run(&["sessions", "revoke", "some"]).code, 2);
}

#[test]
fn passwords_go_over_standard_input_and_are_not_sent_twice() {
    for (arguments, method) in [
        (&["passwd", "--password-stdin"] as &[&str], "ChangePassword"),
        (&["reset-password", "confirm", "--password-stdin"], "ResetPassword"),
    ] {
        let server = Scripted::start(Script::default());
        let client = Client::with_token(&server.address, TOKEN);
        for input in ["", RESET_TOKEN, "the token\n"] {
            assert_eq!(client.run_with_input(arguments, input).code, 2, "{input:?}");
        }
        let done = client.run(&arguments[..arguments.len() - 1]);
        assert_eq!(done.code, 2, "no terminal: {done:?}");
        assert!(done.stderr.contains("--password-stdin"), "{}", done.stderr);
        assert_eq!(server.calls(), []);
        let done = client.run_with_input(arguments, &format!("{RESET_TOKEN}\n{NEW_PASSWORD}\n"));
        assert_eq!((done.code, done.stdout.as_str()), (0, ""), "{done:?}");
        assert_eq!(server.methods(), [method]);

        let server = Scripted::refusing(vec![Status::unavailable("")]);
        let client = Client::with_token(&server.address, TOKEN);
        assert_eq!(
            client
                .run_with_input(arguments, &format!("{RESET_TOKEN}\n{NEW_PASSWORD}"))
                .code,
            6
        );
        assert_eq!(server.methods(), [method]);
    }
}

#[test]
fn keys_are_a_document_for_everyone() {
    let server = Scripted::start(Script::default());
    let client = Client::new(&server.address);
    let keys: Value = serde_json::from_str(&client.expect(&["jwks"])).unwrap();
    assert_eq!(keys["keys"][0]["kty"], "OKP");
    assert_eq!(client.expect_json(&["jwks"]), keys);
    assert_eq!(server.calls()[0].authorization, None);
}
