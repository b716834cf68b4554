//! `AuthService`.

use deskhand_proto::accounts::v1::{GetMeRequest, LogInRequest, Role, SignUpRequest};
use tonic::Code;

use crate::harness::{Desk, PASSWORD, assert_refused};

fn ann() -> SignUpRequest {
    SignUpRequest {
        email: "ann@example.com".into(),
        password: PASSWORD.into(),
        display_name: "Ann".into(),
    }
}

fn log_in(email: &str, password: &str) -> LogInRequest {
    LogInRequest {
        email: email.into(),
        password: password.into(),
    }
}

#[tokio::test]
async fn who_signs_up_is_a_customer_who_can_log_in() {
    let desk = Desk::open().await;
    let signed_up = SignUpRequest {
        email: " Ann@EXAMPLE.com ".into(),
        display_name: "  Ann  ".into(),
        ..ann()
    };
    let user = desk.auth().sign_up(signed_up).await.unwrap().into_inner().user.unwrap();
    assert_eq!(
        (user.email.as_str(), user.display_name.as_str()),
        ("ann@example.com", "Ann")
    );
    assert_eq!(user.role(), Role::Customer);

    let logged_in = desk
        .auth()
        .log_in(log_in("ANN@example.com", PASSWORD))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(logged_in.user.as_ref(), Some(&user));
    let now = time::OffsetDateTime::now_utc().unix_timestamp();
    let lives = logged_in.access_token_expire_time.unwrap().seconds - now;
    assert!((590..=600).contains(&lives), "{lives}");

    let asked = crate::harness::with_token(GetMeRequest {}, &logged_in.access_token);
    assert_eq!(desk.auth().get_me(asked).await.unwrap().into_inner().user, Some(user));
}

#[tokio::test]
async fn an_address_has_one_account() {
    let desk = Desk::open().await;
    let requests = (0..10).map(|_| {
        let mut auth = desk.auth();
        async move {
            auth.sign_up(SignUpRequest {
                email: "ANN@example.com".into(),
                ..ann()
            })
            .await
        }
    });
    let answers = futures_util::future::join_all(requests).await;
    let (made, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    assert_eq!(made.len(), 1);
    for answer in refused {
        assert_refused(answer, Code::AlreadyExists, "EMAIL_TAKEN", &[]);
    }
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_address_are_one_answer() {
    let desk = Desk::open().await;
    desk.auth().sign_up(ann()).await.unwrap();
    let wrong = desk
        .auth()
        .log_in(log_in("ann@example.com", "wrong horse"))
        .await
        .unwrap_err();
    let unknown = desk
        .auth()
        .log_in(log_in("bob@example.com", PASSWORD))
        .await
        .unwrap_err();
    let nonsense = desk.auth().log_in(log_in("no address", PASSWORD)).await.unwrap_err();
    let huge = desk
        .auth()
        .log_in(log_in("ann@example.com", &"x".repeat(1_000_000)))
        .await
        .unwrap_err();
    for status in [&unknown, &nonsense, &huge] {
        assert_eq!(
            (status.code(), status.message(), status.details()),
            (wrong.code(), wrong.message(), wrong.details())
        );
    }
    assert_refused::<()>(Err(wrong), Code::Unauthenticated, "INVALID_CREDENTIALS", &[]);
}

#[tokio::test]
async fn what_cannot_be_signed_up_with() {
    let desk = Desk::open().await;
    let long = format!("{}@example.com", "a".repeat(300));
    for email in [
        "",
        "ann",
        "ann@",
        "@example.com",
        "ann@example",
        "a b@example.com",
        "ann@exa\0mple.com",
        &long,
    ] {
        let request = SignUpRequest {
            email: email.into(),
            ..ann()
        };
        assert_refused(
            desk.auth().sign_up(request).await,
            Code::InvalidArgument,
            "INVALID_FIELDS",
            &["email"],
        );
    }
    let megabyte = "x".repeat(1_000_000);
    for password in [
        "",
        "1234567",
        "1234567\0890",
        "ANN@example.com",
        "Password123!",
        "deskhand2026",
        &"x".repeat(257),
        &megabyte,
    ] {
        let request = SignUpRequest {
            password: password.into(),
            ..ann()
        };
        assert_refused(
            desk.auth().sign_up(request).await,
            Code::InvalidArgument,
            "INVALID_FIELDS",
            &["password"],
        );
    }
    for name in ["", "  ", "a\u{202E}b", "a\nb", "a\0b", &"x".repeat(101)] {
        let request = SignUpRequest {
            display_name: name.into(),
            ..ann()
        };
        assert_refused(
            desk.auth().sign_up(request).await,
            Code::InvalidArgument,
            "INVALID_FIELDS",
            &["display_name"],
        );
    }
    let nothing = desk.auth().sign_up(SignUpRequest::default()).await;
    assert_refused(
        nothing,
        Code::InvalidArgument,
        "INVALID_FIELDS",
        &["email", "password", "display_name"],
    );
    assert_eq!(desk.count("SELECT count(*) FROM users").await, 0);
}

#[tokio::test]
async fn a_log_in_needs_both_fields() {
    let desk = Desk::open().await;
    let answer = desk.auth().log_in(LogInRequest::default()).await;
    assert_refused(answer, Code::InvalidArgument, "INVALID_FIELDS", &["email", "password"]);
}

#[tokio::test]
async fn passwords_are_kept_as_argon2id_only() {
    let desk = Desk::open().await;
    desk.auth().sign_up(ann()).await.unwrap();
    let row: String = sqlx::query_scalar("SELECT users::text FROM users")
        .fetch_one(&desk.pool)
        .await
        .unwrap();
    assert!(row.contains("$argon2id$v=19$m=19456,t=2,p=1$"), "{row}");
    assert!(!row.contains(PASSWORD));
}

#[tokio::test]
async fn an_account_outlives_the_process_and_its_tokens_too() {
    let mut desk = Desk::open().await;
    let user = desk.customer().await;
    desk.stop().await;
    desk.start(&[]).await;
    let me = desk
        .auth()
        .get_me(user.asks(GetMeRequest {}))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(me.user.unwrap().email, user.email);
}

#[tokio::test]
async fn a_desk_may_want_longer_passwords() {
    let desk = Desk::with(&["--password-min-length", "12"]).await;
    let short = SignUpRequest {
        password: "elf zeichen".into(),
        ..ann()
    };
    assert_refused(
        desk.auth().sign_up(short).await,
        Code::InvalidArgument,
        "INVALID_FIELDS",
        &["password"],
    );
    desk.auth().sign_up(ann()).await.unwrap();
}

#[tokio::test]
async fn stronger_settings_make_hashes_anew_at_log_in() {
    let mut desk = Desk::open().await;
    desk.auth().sign_up(ann()).await.unwrap();
    desk.stop().await;
    desk.start(&["--argon2-memory-kib", "20480", "--argon2-passes", "3"])
        .await;
    let hash = async || -> String {
        sqlx::query_scalar("SELECT password_hash FROM users")
            .fetch_one(&desk.pool)
            .await
            .unwrap()
    };
    let before = hash().await;
    desk.auth()
        .log_in(log_in("ann@example.com", "wrong horse"))
        .await
        .unwrap_err();
    assert_eq!(hash().await, before);
    for _ in 0..2 {
        desk.auth().log_in(log_in("ann@example.com", PASSWORD)).await.unwrap();
        assert!(
            hash().await.starts_with("$argon2id$v=19$m=20480,t=3,p=1$"),
            "{}",
            hash().await
        );
    }
}
