//! Sessions: refresh tokens that are used once, and ends that are in force at once.

use std::time::Duration;

use deskhand_proto::accounts::v1::{
    ChangePasswordRequest, GetMeRequest, ListSessionsRequest, LogInRequest, LogInResponse, LogOutRequest,
    RefreshTokenRequest, RefreshTokenResponse, RevokeSessionRequest,
};
use deskhand_proto::replies::v1::StreamReplyRequest;
use deskhand_proto::replies::v1::reply_event::Event;
use futures_util::future::join_all;
use tonic::{Code, Request, Status};

use crate::harness::{Desk, PASSWORD, User, assert_refused, told, with_token};

const LIVE: &str = "SELECT count(*) FROM sessions WHERE revoke_time IS NULL";

async fn log_in(desk: &Desk, email: &str) -> LogInResponse {
    let mut request = Request::new(LogInRequest {
        email: email.into(),
        password: PASSWORD.into(),
    });
    request
        .metadata_mut()
        .insert("user-agent", "test-client".parse().unwrap());
    desk.auth().log_in(request).await.unwrap().into_inner()
}

async fn refresh(desk: &Desk, token: &str) -> Result<RefreshTokenResponse, Status> {
    let request = RefreshTokenRequest {
        refresh_token: token.into(),
    };
    Ok(desk.auth().refresh_token(request).await?.into_inner())
}

async fn me(desk: &Desk, access_token: &str) -> Result<(), Status> {
    desk.auth()
        .get_me(with_token(GetMeRequest {}, access_token))
        .await
        .map(|_| ())
}

async fn end_grace(desk: &Desk) {
    let past = "UPDATE refresh_tokens SET use_time = use_time - interval '11 seconds'";
    sqlx::query(past).execute(&desk.pool).await.unwrap();
}

#[tokio::test]
async fn a_refresh_token_is_used_once_and_gets_the_next() {
    let desk = Desk::open().await;
    let user = desk.customer().await;
    let begun = log_in(&desk, &user.email).await;
    let now = time::OffsetDateTime::now_utc().unix_timestamp();
    let lives = begun.refresh_token_expire_time.unwrap().seconds - now;
    assert!((lives - 7 * 86_400).abs() < 60, "{lives}");

    let mut token = begun.refresh_token;
    for _ in 0..3 {
        let next = refresh(&desk, &token).await.unwrap();
        assert_ne!(next.refresh_token, token);
        me(&desk, &next.access_token).await.unwrap();
        token = next.refresh_token;
    }
    assert_eq!(
        desk.count("SELECT count(*) FROM refresh_tokens WHERE use_time IS NULL")
            .await,
        2,
        "one a session"
    );
}

#[tokio::test]
async fn the_token_just_used_gets_the_same_next_one_and_later_ends_the_session() {
    let desk = Desk::open().await;
    let user = desk.customer().await;
    let first = log_in(&desk, &user.email).await.refresh_token;
    let second = refresh(&desk, &first).await.unwrap();
    let again = refresh(&desk, &first).await.unwrap();
    assert_eq!(again.refresh_token, second.refresh_token);
    me(&desk, &again.access_token).await.unwrap();

    end_grace(&desk).await;
    assert_refused(
        refresh(&desk, &first).await,
        Code::Unauthenticated,
        "REFRESH_TOKEN_INVALID",
        &[],
    );
    // The thief and the robbed are both out.
    assert_refused(
        refresh(&desk, &second.refresh_token).await,
        Code::Unauthenticated,
        "REFRESH_TOKEN_INVALID",
        &[],
    );
    assert_refused(
        me(&desk, &again.access_token).await,
        Code::Unauthenticated,
        "SESSION_ENDED",
        &[],
    );
    assert_eq!(
        desk.count("SELECT count(*) FROM audit_events WHERE action = 'session.token_reused'")
            .await,
        1
    );
    assert_eq!(
        desk.count("SELECT count(*) FROM sessions WHERE revoke_reason = 'TOKEN_REUSED'")
            .await,
        1
    );
    me(&desk, &user.token).await.expect("the user's other session goes on");
}

#[tokio::test]
async fn only_the_immediate_predecessor_is_honoured() {
    let desk = Desk::open().await;
    let user = desk.customer().await;
    let first = log_in(&desk, &user.email).await.refresh_token;
    let second = refresh(&desk, &first).await.unwrap().refresh_token;
    refresh(&desk, &second).await.unwrap();
    assert_refused(
        refresh(&desk, &first).await,
        Code::Unauthenticated,
        "REFRESH_TOKEN_INVALID",
        &[],
    );
    assert_eq!(desk.count(LIVE).await, 1, "only the one that the harness began");
}

#[tokio::test]
async fn ten_parallel_refreshes_leave_one_live_session() {
    let desk = Desk::open().await;
    let user = desk.customer().await;
    let mut token = log_in(&desk, &user.email).await.refresh_token;
    for _ in 0..5 {
        let answers = join_all((0..10).map(|_| refresh(&desk, &token))).await;
        let next: Vec<_> = answers
            .into_iter()
            .map(|answer| answer.unwrap().refresh_token)
            .collect();
        assert!(next.iter().all(|one| *one == next[0]));
        token.clone_from(&next[0]);
    }
    assert_eq!(desk.count(LIVE).await, 2);
    assert_eq!(
        desk.count("SELECT count(*) FROM sessions WHERE revoke_time IS NOT NULL")
            .await,
        0
    );
}

#[tokio::test]
async fn what_is_no_refresh_token() {
    let desk = Desk::open().await;
    let user = desk.customer().await;
    let begun = log_in(&desk, &user.email).await;
    assert_refused(
        refresh(&desk, "").await,
        Code::InvalidArgument,
        "INVALID_FIELDS",
        &["refresh_token"],
    );
    let unknown = "A".repeat(43);
    for token in ["x", unknown.as_str(), begun.access_token.as_str(), &"A".repeat(100_000)] {
        assert_refused(
            refresh(&desk, token).await,
            Code::Unauthenticated,
            "REFRESH_TOKEN_INVALID",
            &[],
        );
    }
    assert_refused(
        me(&desk, &begun.refresh_token).await,
        Code::Unauthenticated,
        "TOKEN_INVALID",
        &[],
    );
    let kept: String = sqlx::query_scalar("SELECT string_agg(t::text, ' ') FROM refresh_tokens t")
        .fetch_one(&desk.pool)
        .await
        .unwrap();
    assert!(!kept.contains(&begun.refresh_token));
}

#[tokio::test]
async fn a_session_ends_when_it_is_not_used_and_in_any_case() {
    let desk = Desk::open().await;
    let user = desk.customer().await;
    for column in ["idle_time", "end_time"] {
        let token = log_in(&desk, &user.email).await.refresh_token;
        let past = format!("UPDATE sessions SET {column} = now() - interval '1 second'");
        sqlx::query(sqlx::AssertSqlSafe(past))
            .execute(&desk.pool)
            .await
            .unwrap();
        assert_refused(
            refresh(&desk, &token).await,
            Code::Unauthenticated,
            "REFRESH_TOKEN_INVALID",
            &[],
        );
    }
    let agent = desk.agent().await;
    let begun = log_in(&desk, &agent.email).await;
    let lives = begun.refresh_token_expire_time.unwrap().seconds - time::OffsetDateTime::now_utc().unix_timestamp();
    assert!((lives - 86_400).abs() < 60, "staff: a day, {lives}");
    let next = refresh(&desk, &begun.refresh_token).await.unwrap();
    assert_eq!(
        next.refresh_token_expire_time, begun.refresh_token_expire_time,
        "which use does not lengthen"
    );
}

#[tokio::test]
async fn a_log_out_is_in_force_at_once() {
    let desk = Desk::open().await;
    let user = desk.customer().await;
    let begun = log_in(&desk, &user.email).await;
    desk.auth()
        .log_out(with_token(LogOutRequest {}, &begun.access_token))
        .await
        .unwrap();
    assert_refused(
        me(&desk, &begun.access_token).await,
        Code::Unauthenticated,
        "SESSION_ENDED",
        &[],
    );
    assert_refused(
        refresh(&desk, &begun.refresh_token).await,
        Code::Unauthenticated,
        "REFRESH_TOKEN_INVALID",
        &[],
    );
    me(&desk, &user.token).await.unwrap();
}

#[tokio::test]
async fn sessions_are_listed_and_revoked_one_others_all() {
    let desk = Desk::open().await;
    let (user, other) = (desk.customer().await, desk.customer().await);
    let (one, two) = (log_in(&desk, &user.email).await, log_in(&desk, &user.email).await);
    let list = async |token: &str| {
        let request = with_token(ListSessionsRequest::default(), token);
        desk.auth().list_sessions(request).await.unwrap().into_inner().sessions
    };
    let revoke = async |token: &str, session_id: &str| {
        let request = RevokeSessionRequest {
            session_id: session_id.into(),
        };
        Ok::<_, Status>(
            desk.auth()
                .revoke_session(with_token(request, token))
                .await?
                .into_inner()
                .revoked_count,
        )
    };
    let sessions = list(&two.access_token).await;
    assert_eq!(
        sessions.iter().map(|session| session.current).collect::<Vec<_>>(),
        [true, false, false]
    );
    assert!(
        sessions[0].user_agent.contains("test-client"),
        "{}",
        sessions[0].user_agent
    );

    let theirs = list(&other.token).await[0].id.clone();
    let stranger = revoke(&two.access_token, &theirs).await;
    assert_refused(stranger, Code::NotFound, "SESSION_NOT_FOUND", &[]);
    let nowhere = revoke(&two.access_token, "0199f3a0-7c1e-7a55-9c3c-2f1d8e6b4a10").await;
    assert_refused(nowhere, Code::NotFound, "SESSION_NOT_FOUND", &[]);
    let nonsense = revoke(&two.access_token, "both").await;
    assert_refused(nonsense, Code::InvalidArgument, "INVALID_FIELDS", &["session_id"]);

    assert_eq!(revoke(&two.access_token, &sessions[1].id).await.unwrap(), 1);
    assert_refused(
        me(&desk, &one.access_token).await,
        Code::Unauthenticated,
        "SESSION_ENDED",
        &[],
    );
    assert_eq!(revoke(&two.access_token, "others").await.unwrap(), 1);
    assert_refused(
        me(&desk, &user.token).await,
        Code::Unauthenticated,
        "SESSION_ENDED",
        &[],
    );
    assert_eq!(revoke(&two.access_token, "all").await.unwrap(), 1);
    assert_refused(
        me(&desk, &two.access_token).await,
        Code::Unauthenticated,
        "SESSION_ENDED",
        &[],
    );
    me(&desk, &other.token).await.expect("another's sessions are untouched");
    assert_eq!(
        desk.count("SELECT count(*) FROM audit_events WHERE action = 'session.revoked'")
            .await,
        3
    );
}

#[tokio::test]
async fn a_new_password_ends_the_other_sessions() {
    let desk = Desk::open().await;
    let user = desk.customer().await;
    let begun = log_in(&desk, &user.email).await;
    let change = async |current: &str, new: &str| {
        let request = ChangePasswordRequest {
            current_password: current.into(),
            new_password: new.into(),
        };
        desk.auth()
            .change_password(with_token(request, &begun.access_token))
            .await
    };
    assert_refused(
        change("wrong password", "a new good one").await,
        Code::Unauthenticated,
        "INVALID_CREDENTIALS",
        &[],
    );
    assert_refused(
        change(PASSWORD, "short").await,
        Code::InvalidArgument,
        "INVALID_FIELDS",
        &["new_password"],
    );
    assert_refused(
        change("", "").await,
        Code::InvalidArgument,
        "INVALID_FIELDS",
        &["current_password", "new_password"],
    );
    me(&desk, &user.token).await.expect("nothing has happened yet");

    change(PASSWORD, "a new good one").await.unwrap();
    me(&desk, &begun.access_token)
        .await
        .expect("the session that did it goes on");
    assert_refused(
        me(&desk, &user.token).await,
        Code::Unauthenticated,
        "SESSION_ENDED",
        &[],
    );
    let old = LogInRequest {
        email: user.email.clone(),
        password: PASSWORD.into(),
    };
    assert_refused(
        desk.auth().log_in(old).await,
        Code::Unauthenticated,
        "INVALID_CREDENTIALS",
        &[],
    );
    let new = LogInRequest {
        email: user.email.clone(),
        password: "a new good one".into(),
    };
    desk.auth().log_in(new).await.unwrap();
    assert_eq!(
        desk.count("SELECT count(*) FROM audit_events WHERE action = 'user.password_changed'")
            .await,
        1
    );
}

/// Asks until it is refused; how long that took.
async fn until_refused(desk: &Desk, user: &User) -> Duration {
    let began = std::time::Instant::now();
    loop {
        match me(desk, &user.token).await {
            Ok(()) => assert!(began.elapsed() < Duration::from_secs(5), "it is in force some time"),
            Err(status) => {
                assert_eq!(told(&status).1, "SESSION_ENDED");
                return began.elapsed();
            }
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn what_one_replica_ends_the_other_knows_within_a_second() {
    let desk = Desk::open().await;
    let replica = desk.replica().await;
    for _ in 0..3 {
        let user = desk.customer().await;
        me(&replica, &user.token)
            .await
            .expect("a token of one is good at the other");
        let request = RevokeSessionRequest {
            session_id: "all".into(),
        };
        desk.auth().revoke_session(user.asks(request)).await.unwrap();
        assert_refused(
            me(&desk, &user.token).await,
            Code::Unauthenticated,
            "SESSION_ENDED",
            &[],
        );
        let took = until_refused(&replica, &user).await;
        assert!(took < Duration::from_secs(1), "{took:?}");
    }
}

#[tokio::test]
async fn calls_need_no_round_trip_while_the_reading_is_fresh() {
    let desk = Desk::open().await;
    let user = desk.customer().await;
    // A method that itself asks nothing of PostgreSQL: what is counted is the check alone.
    let refused = StreamReplyRequest {
        ticket_id: "nonsense".into(),
        ..Default::default()
    };
    let statements = "SELECT coalesce(sum(xact_commit + xact_rollback), 0)::bigint FROM pg_stat_database WHERE datname = current_database()";
    let before = desk.count(statements).await;
    let began = std::time::Instant::now();
    for _ in 0..2000 {
        let answer = desk.ask_as(&user, refused.clone()).await.map(|_| ());
        assert_refused(answer, Code::InvalidArgument, "INVALID_FIELDS", &["ticket_id"]);
    }
    let after = desk.count(statements).await;
    // The readings of the background, and the sweeps, are all that there is.
    let most = i64::try_from(began.elapsed().as_millis() / 100).unwrap() + 50;
    assert!(after - before < most, "{} statements, at most {most}", after - before);
}

#[tokio::test]
async fn an_open_stream_ends_with_its_session() {
    let desk = Desk::open().await;
    let user = desk.customer().await;
    let ticket_id = desk.ticket(&user).await;
    desk.say(&user, &ticket_id, "[sim:slow ttft_ms=3000] hello").await;
    let request = StreamReplyRequest {
        ticket_id,
        ..Default::default()
    };
    let mut stream = desk
        .replies()
        .stream_reply(user.asks(request))
        .await
        .unwrap()
        .into_inner();
    let mut next = async || {
        stream
            .message()
            .await
            .map(|event| event.map(|event| event.event.unwrap().event.unwrap()))
    };
    assert!(matches!(next().await.unwrap(), Some(Event::Started(_))));
    let request = RevokeSessionRequest {
        session_id: "all".into(),
    };
    desk.auth().revoke_session(user.asks(request)).await.unwrap();
    let told_in_band = next().await.unwrap();
    assert!(
        matches!(&told_in_band, Some(Event::Interrupted(told)) if told.reason == "SESSION_ENDED"),
        "{told_in_band:?}"
    );
    assert_refused(next().await, Code::Unauthenticated, "SESSION_ENDED", &[]);
    desk.until_count("SELECT count(*) FROM messages WHERE author_kind = 'ASSISTANT'", 1)
        .await;
}
