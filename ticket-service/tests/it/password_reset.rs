//! A new password by mail, end to end.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use deskhand_proto::accounts::v1::{
    GetMeRequest, LogInRequest, RefreshTokenRequest, RequestPasswordResetRequest, ResetPasswordRequest, SignUpRequest,
};
use futures_util::future::join_all;
use tempfile::TempDir;
use tonic::{Code, Status};

use crate::harness::{Desk, PASSWORD, PATIENCE, assert_refused, told, with_token};

const ANN: &str = "ann@example.com";
const NEW: &str = "another good one";

/// A desk with Ann's account, and the folder of its mail.
async fn desk() -> (Desk, TempDir) {
    let mail = tempfile::tempdir().unwrap();
    let folder = mail.path().join("mail");
    let desk = Desk::with(&flags(&folder)).await;
    let ann = SignUpRequest {
        email: ANN.into(),
        password: PASSWORD.into(),
        display_name: "Änn \"Ex\" <x@y>".into(),
    };
    desk.auth().sign_up(ann).await.unwrap();
    (desk, mail)
}

fn flags(folder: &Path) -> [&str; 8] {
    [
        "--mailer",
        "file",
        "--mail-dir",
        folder.to_str().unwrap(),
        "--public-url",
        "https://desk.example/app/",
        "--login-failures-per-address",
        "0",
    ]
}

async fn ask(desk: &Desk, email: &str) {
    let request = RequestPasswordResetRequest { email: email.into() };
    desk.auth().request_password_reset(request).await.unwrap();
}

/// Waits until all that was asked for has been answered and sent.
async fn delivered(desk: &Desk) {
    desk.until_count(
        "SELECT (SELECT count(*) FROM password_reset_requests) + (SELECT count(*) FROM outbox)",
        0,
    )
    .await;
}

fn mails(mail: &TempDir) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(mail.path().join("mail"))
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    // UUIDv7: oldest first.
    files.sort();
    files
}

/// The token of a mail.
fn token(mail: &Path) -> String {
    // As people find it, without a mail program that decodes.
    let text = fs::read_to_string(mail).unwrap();
    let (_, rest) = text
        .split_once("https://desk.example/app/reset-password?token=")
        .expect("a link");
    rest.chars()
        .take_while(|c| c.is_ascii_alphanumeric() || "-_".contains(*c))
        .collect()
}

async fn newest_token(desk: &Desk, mail: &TempDir) -> String {
    ask(desk, ANN).await;
    delivered(desk).await;
    token(mails(mail).last().expect("a mail"))
}

async fn reset(desk: &Desk, token: &str, password: &str) -> Result<(), Status> {
    let request = ResetPasswordRequest {
        token: token.into(),
        new_password: password.into(),
    };
    desk.auth().reset_password(request).await.map(drop)
}

async fn log_in(desk: &Desk, password: &str) -> Result<(String, String), Status> {
    let request = LogInRequest {
        email: ANN.into(),
        password: password.into(),
    };
    desk.auth().log_in(request).await.map(|answer| {
        let answer = answer.into_inner();
        (answer.access_token, answer.refresh_token)
    })
}

#[tokio::test]
async fn a_link_sets_a_new_password_once_and_ends_all_sessions() {
    let (desk, mail) = desk().await;
    let (access, refresh) = log_in(&desk, PASSWORD).await.unwrap();
    // Somebody locked the account meanwhile.
    while !log_in(&desk, "wrong")
        .await
        .is_err_and(|status| told(&status).1 == "THROTTLED")
    {}

    let token = newest_token(&desk, &mail).await;
    assert_eq!(token.len(), 43, "256 bits");
    reset(&desk, &token, NEW).await.unwrap();

    assert_refused(
        desk.auth().get_me(with_token(GetMeRequest {}, &access)).await,
        Code::Unauthenticated,
        "SESSION_ENDED",
        &[],
    );
    let refreshed = desk
        .auth()
        .refresh_token(RefreshTokenRequest { refresh_token: refresh })
        .await;
    assert_refused(refreshed, Code::Unauthenticated, "REFRESH_TOKEN_INVALID", &[]);
    assert_eq!(
        desk.count("SELECT count(*) FROM sessions WHERE revoke_reason = 'PASSWORD_RESET'")
            .await,
        1
    );
    let audited = "SELECT count(*) FROM audit_events WHERE action = 'user.password_reset' AND actor_id IS NULL";
    assert_eq!(desk.count(audited).await, 1);

    log_in(&desk, NEW)
        .await
        .expect("the lock is gone with the old password");
    assert_refused(
        log_in(&desk, PASSWORD).await,
        Code::Unauthenticated,
        "INVALID_CREDENTIALS",
        &[],
    );
    assert_refused(
        reset(&desk, &token, "yet another one").await,
        Code::FailedPrecondition,
        "RESET_TOKEN_INVALID",
        &[],
    );
}

#[tokio::test]
async fn a_mail_is_one_private_file_with_proper_headers() {
    let (desk, mail) = desk().await;
    ask(&desk, " ANN@Example.com ").await;
    delivered(&desk).await;
    let files = mails(&mail);
    assert_eq!(files.len(), 1);
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&files[0]).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    let text = fs::read_to_string(&files[0]).unwrap();
    let (head, _) = text.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("<ann@example.com>"), "{head}");
    assert!(!head.contains("<x@y>"), "the name is encoded: {head}");
    for header in ["From: ", "To: ", "Subject: ", "Date: ", "Message-ID: "] {
        assert_eq!(
            head.split("\r\n").filter(|line| line.starts_with(header)).count(),
            1,
            "{header} in {head}"
        );
    }
}

#[tokio::test]
async fn every_address_gets_the_same_answer() {
    let (desk, mail) = desk().await;
    sqlx::query(
        "INSERT INTO users (id, email, display_name, password_hash, role, disable_time)
                 VALUES (gen_random_uuid(), 'gone@example.com', 'Gone', '', 'CUSTOMER', now())",
    )
    .execute(&desk.pool)
    .await
    .unwrap();
    let mut answers = Vec::new();
    for email in [ANN, "nobody@example.com", "gone@example.com"] {
        let request = RequestPasswordResetRequest { email: email.into() };
        let answer = desk.auth().request_password_reset(request).await.unwrap();
        let mut names: Vec<_> = answer.metadata().keys().map(|key| format!("{key:?}")).collect();
        names.sort();
        answers.push((names, answer.into_inner()));
    }
    assert!(answers.iter().all(|answer| answer == &answers[0]), "{answers:?}");
    delivered(&desk).await;
    assert_eq!(mails(&mail).len(), 1, "one of them has an account");
    assert_eq!(desk.count("SELECT count(*) FROM password_resets").await, 1);

    for email in [
        "",
        "ann",
        "ann@",
        "a b@example.com",
        &format!("{}@example.com", "a".repeat(1_000_000)),
    ] {
        let answer = desk
            .auth()
            .request_password_reset(RequestPasswordResetRequest { email: email.into() })
            .await;
        assert_refused(answer, Code::InvalidArgument, "INVALID_FIELDS", &["email"]);
    }
}

#[tokio::test]
async fn only_the_newest_link_is_good() {
    let (desk, mail) = desk().await;
    let old = newest_token(&desk, &mail).await;
    let new = newest_token(&desk, &mail).await;
    assert_ne!(old, new);
    assert_refused(
        reset(&desk, &old, NEW).await,
        Code::FailedPrecondition,
        "RESET_TOKEN_INVALID",
        &[],
    );
    reset(&desk, &new, NEW).await.unwrap();
}

#[tokio::test]
async fn of_many_at_once_one_sets_its_password() {
    let (desk, mail) = desk().await;
    let token = newest_token(&desk, &mail).await;
    let desk = &desk;
    let resets = (0..8).map(|n| {
        let token = token.clone();
        async move { reset(desk, &token, &format!("another good one {n}")).await.map(|()| n) }
    });
    let (done, refused): (Vec<_>, Vec<_>) = join_all(resets).await.into_iter().partition(Result::is_ok);
    assert_eq!(done.len(), 1);
    for answer in refused {
        assert_refused(answer, Code::FailedPrecondition, "RESET_TOKEN_INVALID", &[]);
    }
    let winner = done.into_iter().next().unwrap().unwrap();
    log_in(desk, &format!("another good one {winner}")).await.unwrap();
}

#[tokio::test]
async fn tokens_that_are_over_unknown_or_of_a_disabled_account_are_one_answer() {
    let (desk, mail) = desk().await;
    let over = newest_token(&desk, &mail).await;
    let expired = sqlx::query("UPDATE password_resets SET expire_time = expire_time - interval '30 minutes'");
    expired.execute(&desk.pool).await.unwrap();
    let long = "A".repeat(1_000_000);
    let mut answers = Vec::new();
    for token in [over.as_str(), &"A".repeat(43), "x", "' OR 1=1--", &long] {
        answers.push(reset(&desk, token, NEW).await.unwrap_err());
    }
    let disabled = newest_token(&desk, &mail).await;
    sqlx::query("UPDATE users SET disable_time = now()")
        .execute(&desk.pool)
        .await
        .unwrap();
    answers.push(reset(&desk, &disabled, NEW).await.unwrap_err());
    for status in answers {
        assert_refused::<()>(Err(status), Code::FailedPrecondition, "RESET_TOKEN_INVALID", &[]);
    }
    sqlx::query("UPDATE users SET disable_time = NULL")
        .execute(&desk.pool)
        .await
        .unwrap();
    log_in(&desk, PASSWORD).await.expect("nothing was changed");
}

#[tokio::test]
async fn a_password_that_is_refused_leaves_the_link_good() {
    let (desk, mail) = desk().await;
    let token = newest_token(&desk, &mail).await;
    for wrong in ["short", "password123", ANN, "Deskhand2026", &"x".repeat(1_000_000)] {
        assert_refused(
            reset(&desk, &token, wrong).await,
            Code::InvalidArgument,
            "INVALID_FIELDS",
            &["new_password"],
        );
    }
    assert_refused(
        reset(&desk, "", "").await,
        Code::InvalidArgument,
        "INVALID_FIELDS",
        &["token", "new_password"],
    );
    reset(&desk, &token, NEW).await.unwrap();
}

#[tokio::test]
async fn neither_token_nor_address_lies_in_the_tables_of_mail() {
    let (desk, mail) = desk().await;
    // No mail gets out: its folder is a file.
    fs::remove_dir(mail.path().join("mail")).unwrap();
    fs::write(mail.path().join("mail"), "").unwrap();
    ask(&desk, ANN).await;
    desk.until_count("SELECT count(*) FROM outbox WHERE tries > 0", 1).await;
    let rows: Vec<String> =
        sqlx::query_scalar("SELECT o::text FROM outbox o UNION ALL SELECT p::text FROM password_resets p")
            .fetch_all(&desk.pool)
            .await
            .unwrap();

    // Then it can again, and the mail goes, after its wait.
    fs::remove_file(mail.path().join("mail")).unwrap();
    fs::create_dir(mail.path().join("mail")).unwrap();
    sqlx::query("UPDATE outbox SET next_time = now()")
        .execute(&desk.pool)
        .await
        .unwrap();
    tokio::time::timeout(PATIENCE, delivered(&desk)).await.unwrap();
    let token = token(&mails(&mail)[0]);
    for row in &rows {
        assert!(!row.contains(&token) && !row.contains(ANN), "{row}");
    }
    reset(&desk, &token, NEW).await.unwrap();
}

#[tokio::test]
async fn a_mail_that_never_gets_out_is_given_up() {
    let (desk, mail) = desk().await;
    fs::remove_dir(mail.path().join("mail")).unwrap();
    fs::write(mail.path().join("mail"), "").unwrap();
    ask(&desk, ANN).await;
    desk.until_count("SELECT count(*) FROM outbox WHERE tries = 1", 1).await;
    let put_off =
        "SELECT count(*) FROM outbox WHERE next_time BETWEEN now() + interval '2 s' AND now() + interval '5 s'";
    assert_eq!(desk.count(put_off).await, 1);
    sqlx::query("UPDATE outbox SET tries = 8, next_time = now()")
        .execute(&desk.pool)
        .await
        .unwrap();
    delivered(&desk).await;
}

#[tokio::test]
async fn two_replicas_send_a_mail_once() {
    let (desk, mail) = desk().await;
    let folder = mail.path().join("mail");
    let second = desk.replica_with(&flags(&folder)).await;
    for n in 0..10 {
        let new = SignUpRequest {
            email: format!("user{n}@example.com"),
            password: PASSWORD.into(),
            display_name: "U".into(),
        };
        desk.auth().sign_up(new).await.unwrap();
    }
    let asked = (0..10).map(|n| {
        let desk = if n % 2 == 0 { &desk } else { &second };
        async move { ask(desk, &format!("user{n}@example.com")).await }
    });
    join_all(asked).await;
    delivered(&desk).await;
    assert_eq!(mails(&mail).len(), 10);
}

#[tokio::test]
async fn what_a_dead_replica_left_is_sent_by_the_next() {
    let (mut desk, mail) = desk().await;
    let folder = mail.path().join("mail");
    fs::remove_dir(&folder).unwrap();
    fs::write(&folder, "").unwrap();
    ask(&desk, ANN).await;
    desk.until_count("SELECT count(*) FROM outbox WHERE tries = 1", 1).await;
    desk.stop().await;
    fs::remove_file(&folder).unwrap();
    sqlx::query("UPDATE outbox SET next_time = now()")
        .execute(&desk.pool)
        .await
        .unwrap();
    desk.start(&flags(&folder)).await;
    tokio::time::timeout(PATIENCE + Duration::from_secs(1), delivered(&desk))
        .await
        .unwrap();
    reset(&desk, &token(&mails(&mail)[0]), NEW).await.unwrap();
}
