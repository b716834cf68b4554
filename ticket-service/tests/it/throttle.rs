//! Bounds on guessing. Time passes by moving what is stored, never by waiting.

use std::time::{Duration, Instant};

use deskhand_proto::accounts::v1::{
    ChangePasswordRequest, LogInRequest, LogInResponse, RefreshTokenRequest, RequestPasswordResetRequest, SignUpRequest,
};
use futures_util::future::join_all;
use tonic::{Code, Request, Status};
use tonic_types::StatusExt as _;

use crate::harness::{Desk, PASSWORD, assert_refused, told};

const ANN: &str = "ann@example.com";
const NO_ADDRESS_LIMIT: &[&str] = &["--login-failures-per-address", "0"];
const USUAL: &[&str] = &["--login-failures-per-address", "20"];

async fn desk(flags: &[&str]) -> Desk {
    let desk = Desk::with(flags).await;
    let ann = SignUpRequest {
        email: ANN.into(),
        password: PASSWORD.into(),
        display_name: "Ann".into(),
    };
    desk.auth().sign_up(ann).await.unwrap();
    desk
}

async fn log_in(desk: &Desk, email: &str, password: &str) -> Result<LogInResponse, Status> {
    let request = LogInRequest {
        email: email.into(),
        password: password.into(),
    };
    desk.auth().log_in(request).await.map(tonic::Response::into_inner)
}

fn is_throttled<T>(answer: &Result<T, Status>) -> bool {
    answer.as_ref().is_err_and(|status| told(status).1 == "THROTTLED")
}

/// How long a refused caller is told to wait.
#[track_caller]
fn wait<T: std::fmt::Debug>(answer: Result<T, Status>) -> Duration {
    let status = answer.expect_err("refused");
    assert_eq!(
        (status.code(), told(&status).1.as_str()),
        (Code::ResourceExhausted, "THROTTLED")
    );
    status.get_error_details().retry_info().unwrap().retry_delay.unwrap()
}

/// Lets time pass for all that is counted.
async fn pass(desk: &Desk, time: Duration) {
    for sql in [
        "UPDATE throttled_accounts SET try_time = try_time - make_interval(secs => $1), next_time = next_time - make_interval(secs => $1)",
        "UPDATE throttled_addresses SET last_time = last_time - make_interval(secs => $1),
             try_times = ARRAY(SELECT t - make_interval(secs => $1) FROM unnest(try_times) t ORDER BY t)",
    ] {
        sqlx::query(sql)
            .bind(time.as_secs_f64())
            .execute(&desk.pool)
            .await
            .unwrap();
    }
}

/// How many of so many tries a rule lets through that began so long ago: 5, and after waits of 1, 2, 4 … s one more each.
fn let_through_within(time: Duration) -> usize {
    5 + (1..10)
        .take_while(|n| Duration::from_secs((1 << n) - 1) <= time)
        .count()
}

#[tokio::test]
async fn fifty_guesses_at_once_get_no_further_than_fifty_in_a_row() {
    let desk = desk(NO_ADDRESS_LIMIT).await;
    let second = desk.replica_with(NO_ADDRESS_LIMIT).await;

    let began = Instant::now();
    let mut in_a_row = 0;
    for _ in 0..50 {
        in_a_row += usize::from(!is_throttled(&log_in(&desk, "bob@example.com", "wrong").await));
    }
    assert!(
        (5..=let_through_within(began.elapsed())).contains(&in_a_row),
        "{in_a_row}"
    );

    let began = Instant::now();
    let guesses = (0..50).map(|n| log_in(if n % 2 == 0 { &desk } else { &second }, ANN, "wrong"));
    let answers = join_all(guesses).await;
    let checked = answers.iter().filter(|answer| !is_throttled(answer)).count();
    assert!(
        (5..=let_through_within(began.elapsed())).contains(&checked),
        "{checked}"
    );
    for answer in answers {
        if is_throttled(&answer) {
            assert!((Duration::from_millis(1)..=Duration::from_secs(8)).contains(&wait(answer)));
        } else {
            assert_refused(answer, Code::Unauthenticated, "INVALID_CREDENTIALS", &[]);
        }
    }
    let counted = desk.count("SELECT sum(tries)::int8 FROM throttled_accounts").await;
    assert_eq!(counted, i64::try_from(in_a_row + checked).unwrap());
}

#[tokio::test]
async fn a_few_right_passwords_at_once_are_never_refused() {
    let desk = desk(USUAL).await;
    for _ in 0..15 {
        for answer in join_all((0..4).map(|_| log_in(&desk, ANN, PASSWORD))).await {
            answer.unwrap();
        }
    }
    assert_eq!(desk.count("SELECT count(*) FROM throttled_accounts").await, 0);
    assert_eq!(
        desk.count("SELECT sum(cardinality(try_times)) FROM throttled_addresses")
            .await,
        0
    );
}

#[tokio::test]
async fn the_right_password_works_once_the_wait_is_over() {
    let desk = desk(NO_ADDRESS_LIMIT).await;
    for expected in [1_u64, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900] {
        while !is_throttled(&log_in(&desk, ANN, "wrong").await) {}
        let told = wait(log_in(&desk, ANN, PASSWORD).await);
        // As the seconds run on meanwhile.
        assert!(
            told <= Duration::from_secs(expected) && told + Duration::from_secs(5) > Duration::from_secs(expected),
            "{told:?}"
        );
        pass(&desk, Duration::from_secs(expected)).await;
    }
    log_in(&desk, " ANN@example.com", PASSWORD).await.unwrap();
    assert_eq!(
        desk.count("SELECT count(*) FROM throttled_accounts").await,
        0,
        "success starts anew"
    );
    for _ in 0..4 {
        assert!(!is_throttled(&log_in(&desk, ANN, "wrong").await));
    }
}

#[tokio::test]
async fn a_day_of_silence_is_forgotten() {
    let desk = desk(NO_ADDRESS_LIMIT).await;
    let _ = log_in(&desk, ANN, "wrong").await;
    sqlx::query("UPDATE throttled_accounts SET tries = 15, next_time = now() + interval '15 min'")
        .execute(&desk.pool)
        .await
        .unwrap();
    assert!(is_throttled(&log_in(&desk, ANN, PASSWORD).await));
    pass(&desk, Duration::from_secs(25 * 3600)).await;
    for _ in 0..5 {
        assert!(!is_throttled(&log_in(&desk, ANN, "wrong").await));
    }
}

#[tokio::test]
async fn an_address_has_twenty_failures_within_a_quarter_of_an_hour() {
    let desk = desk(USUAL).await;
    // Successes do not count, however many.
    for _ in 0..25 {
        log_in(&desk, ANN, PASSWORD).await.unwrap();
    }
    for n in 0..10 {
        let answer = log_in(&desk, &format!("user{n}@example.com"), "wrong").await;
        assert_refused(answer, Code::Unauthenticated, "INVALID_CREDENTIALS", &[]);
    }
    pass(&desk, Duration::from_secs(600)).await;
    let guesses = (10..40).map(|n| {
        let desk = &desk;
        async move { log_in(desk, &format!("user{n}@example.com"), "wrong").await }
    });
    let refused = join_all(guesses)
        .await
        .iter()
        .filter(|answer| is_throttled(answer))
        .count();
    assert_eq!(refused, 20, "twenty in all, at once or in a row");

    // Whoever it is; and the first failures leave the window first.
    let told = wait(log_in(&desk, ANN, PASSWORD).await);
    assert!(
        (Duration::from_secs(280)..=Duration::from_secs(300)).contains(&told),
        "{told:?}"
    );
    pass(&desk, told).await;
    log_in(&desk, ANN, PASSWORD).await.unwrap();
}

#[tokio::test]
async fn who_is_refused_by_address_locks_no_account() {
    let desk = desk(&["--login-failures-per-address", "1"]).await;
    assert!(!is_throttled(&log_in(&desk, "bob@example.com", "wrong").await));
    for _ in 0..10 {
        assert!(is_throttled(&log_in(&desk, ANN, "wrong").await));
    }
    assert_eq!(
        desk.count("SELECT count(*) FROM throttled_accounts").await,
        1,
        "only the one that was tried"
    );
}

#[tokio::test]
async fn an_address_comes_from_trusted_proxies_only() {
    let from = |address: &str| {
        let mut request = Request::new(LogInRequest {
            email: format!("{}@example.com", uuid::Uuid::new_v4()),
            password: "wrong".into(),
        });
        request
            .metadata_mut()
            .insert("x-forwarded-for", address.parse().unwrap());
        request
    };
    // Nobody's word counts.
    let plain = desk(&["--login-failures-per-address", "2"]).await;
    for n in 0..4 {
        let answer = plain.auth().log_in(from(&format!("192.0.2.{n}"))).await;
        assert_eq!(is_throttled(&answer), n >= 2);
    }
    // The proxy's does, as far as it wrote it.
    let behind = desk(&["--login-failures-per-address", "2", "--trusted-proxies", "127.0.0.0/8"]).await;
    for n in 0..4 {
        let answer = behind.auth().log_in(from(&format!("10.9.8.{n}, 192.0.2.7"))).await;
        assert_eq!(is_throttled(&answer), n >= 2);
        assert!(!is_throttled(
            &behind.auth().log_in(from(&format!("192.0.2.10{n}"))).await
        ));
    }
    // One /64 is one caller.
    for n in 0..4 {
        let answer = behind.auth().log_in(from(&format!("2001:db8:0:1:{n}::1"))).await;
        assert_eq!(is_throttled(&answer), n >= 2);
    }
}

#[tokio::test]
async fn a_password_is_not_guessed_by_changing_it_either() {
    let desk = desk(NO_ADDRESS_LIMIT).await;
    let user = desk.customer().await;
    let change = async |current: &str| {
        let request = ChangePasswordRequest {
            current_password: current.into(),
            new_password: "another good one".into(),
        };
        desk.auth().change_password(user.asks(request)).await
    };
    for _ in 0..5 {
        assert_refused(
            change("wrong horse").await,
            Code::Unauthenticated,
            "INVALID_CREDENTIALS",
            &[],
        );
    }
    assert!(is_throttled(&change(PASSWORD).await));
    assert!(
        is_throttled(&log_in(&desk, &user.email, PASSWORD).await),
        "a guess is a guess"
    );
    pass(&desk, Duration::from_secs(5)).await;
    change(PASSWORD).await.unwrap();
    log_in(&desk, &user.email, "another good one").await.unwrap();
}

#[tokio::test]
async fn unknown_refresh_tokens_are_counted_apart() {
    let desk = desk(&["--login-failures-per-address", "3"]).await;
    let mut newest = log_in(&desk, ANN, PASSWORD).await.unwrap().refresh_token;
    let refresh = async |token: &str| {
        let request = RefreshTokenRequest {
            refresh_token: token.into(),
        };
        desk.auth()
            .refresh_token(request)
            .await
            .map(tonic::Response::into_inner)
    };
    for n in 0..5 {
        let answer = refresh(&"A".repeat(43)).await;
        assert_eq!(is_throttled(&answer), n >= 3);
    }
    // Good ones are never counted nor refused.
    for _ in 0..5 {
        newest = refresh(&newest).await.unwrap().refresh_token;
    }
    log_in(&desk, ANN, PASSWORD).await.unwrap();
}

#[tokio::test]
async fn asking_for_links_is_bounded_and_locks_nobody_out() {
    let desk = desk(USUAL).await;
    let ask = async |email: &str| {
        desk.auth()
            .request_password_reset(RequestPasswordResetRequest { email: email.into() })
            .await
    };
    for email in [ANN, "nobody@example.com"] {
        for n in 0..5 {
            let answer = ask(email).await;
            assert_eq!(is_throttled(&answer), n >= 3, "the same for every address");
            if n >= 3 {
                assert!(wait(answer) <= Duration::from_secs(60));
            }
        }
    }
    log_in(&desk, ANN, PASSWORD).await.unwrap();
    for n in 0..20 {
        let answer = ask(&format!("user{n}@example.com")).await;
        assert_eq!(is_throttled(&answer), n >= 14, "{n}");
    }
}

#[tokio::test]
async fn the_tables_name_nobody() {
    let desk = desk(USUAL).await;
    let _ = log_in(&desk, ANN, "wrong").await;
    let rows: Vec<String> = sqlx::query_scalar(
        "SELECT a::text FROM throttled_accounts a UNION ALL SELECT b::text FROM throttled_addresses b",
    )
    .fetch_all(&desk.pool)
    .await
    .unwrap();
    assert_eq!(rows.len(), 2);
    for text in [ANN, "127.0.0.1", "616e6e406578616d706c65"] {
        assert!(!rows.iter().any(|row| row.contains(text)), "{rows:?}");
    }
}
