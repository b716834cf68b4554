//! Logs and errors hold nothing that was written, nothing that opens a door, and nobody's address: at any level, of any crate.
//!
//! A program of its own, for it listens to everything that its process logs.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on fails"
)]

#[path = "it/harness.rs"]
#[expect(dead_code, reason = "the other tests use the rest")]
mod harness;

use std::io::Write;
use std::sync::{Arc, Mutex};

use deskhand_proto::accounts::v1::{
    ChangePasswordRequest, DisableUserRequest, EnableUserRequest, GetJwksRequest, GetMeRequest, GetUserRequest,
    ListAuditEventsRequest, ListSessionsRequest, ListUsersRequest, LogInRequest, LogOutRequest, RefreshTokenRequest,
    RequestPasswordResetRequest, ResetPasswordRequest, RevokeSessionRequest, Role, SetUserRoleRequest, SignUpRequest,
};
use deskhand_proto::feed::v1::WatchTicketsRequest;
use deskhand_proto::replies::v1::{
    AcceptDraftRequest, AttachReplyRequest, CancelReplyRequest, DiscardDraftRequest, GetReplyRequest, GetUsageRequest,
    ListRepliesRequest, RateReplyRequest, RewriteTextRequest, StreamReplyRequest, SummarizeTicketRequest, Tone,
    TriageTicketRequest, Verdict,
};
use deskhand_proto::tickets::v1::{
    AssignTicketRequest, CreateTicketRequest, GetTicketRequest, ListMessagesRequest, ListTicketEventsRequest,
    ListTicketsRequest, MessageVisibility, PostMessageRequest, Ticket, UpdateTicketRequest,
};
use prost::Message as _;
use prost_types::{FieldMask, FileDescriptorSet};
use tonic::{Request, Response, Status};
use tracing_subscriber::fmt::MakeWriter;

use harness::{Desk, User, with_token};

/// Everything that was logged.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<u8>>>);

impl Write for Heard {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Heard {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// What must not be found, and where it came from.
#[derive(Default)]
struct Secrets(Vec<(&'static str, String)>);

impl Secrets {
    fn add(&mut self, what: &'static str, secret: impl Into<String>) -> String {
        let secret = secret.into();
        assert!(secret.len() >= 8, "{what}: {secret} could be anything");
        self.0.push((what, secret.clone()));
        secret
    }
}

/// All errors that callers were told.
#[derive(Default)]
struct Errors(String);

impl Errors {
    /// Notes a failure; a success is handed on.
    fn note<T>(&mut self, answer: Result<Response<T>, Status>) -> Option<T> {
        match answer {
            Ok(answer) => Some(answer.into_inner()),
            Err(status) => {
                self.0 += &format!("{status:?} {}\n", String::from_utf8_lossy(status.details()));
                None
            }
        }
    }
}

const PASSWORD: &str = "canary-password horse";

struct Scene {
    desk: Desk,
    secrets: Secrets,
    errors: Errors,
}

impl Scene {
    async fn log_in(&mut self, email: &str) -> User {
        let request = LogInRequest {
            email: email.into(),
            password: PASSWORD.into(),
        };
        let answer = self.desk.auth().log_in(request).await.unwrap().into_inner();
        self.secrets.add("an access token", answer.access_token.clone());
        // Each part of it, too.
        let signature = answer.access_token.rsplit('.').next().unwrap().to_owned();
        self.secrets.add("a signature", signature);
        let refresh = self.secrets.add("a refresh token", answer.refresh_token);
        let refreshed = self
            .desk
            .auth()
            .refresh_token(RefreshTokenRequest { refresh_token: refresh })
            .await;
        let refreshed = refreshed.unwrap().into_inner();
        self.secrets.add("an access token", refreshed.access_token.clone());
        self.secrets.add("a refresh token", refreshed.refresh_token);
        User {
            id: answer.user.unwrap().id,
            email: email.into(),
            token: refreshed.access_token,
        }
    }

    async fn account(&mut self, email: &'static str, role: &'static str) -> User {
        let email = self.secrets.add("an e-mail address", email);
        let new = SignUpRequest {
            email: email.clone(),
            password: PASSWORD.into(),
            display_name: "Ann Canary".into(),
        };
        self.desk.auth().sign_up(new).await.unwrap();
        sqlx::query("UPDATE users SET role = $2 WHERE email = $1")
            .bind(&email)
            .bind(role)
            .execute(&self.desk.pool)
            .await
            .unwrap();
        self.log_in(&email).await
    }

    /// Whatever goes wrong with accounts.
    async fn fail_at_accounts(&mut self, user: &User) {
        let mut auth = self.desk.auth();
        let wrong = self.secrets.add("a wrong password", "canary-wrong-password");
        let log_in = |email: &str, password: &str| LogInRequest {
            email: email.into(),
            password: password.into(),
        };
        let unknown = self.secrets.add("an unknown address", "canary-nobody@example.com");
        for (email, password) in [
            (user.email.as_str(), wrong.as_str()),
            (&unknown, PASSWORD),
            ("canary-no-address", &wrong),
        ] {
            self.errors.note(auth.log_in(log_in(email, password)).await);
        }
        let taken = SignUpRequest {
            email: user.email.clone(),
            password: wrong.clone(),
            display_name: "Ann".into(),
        };
        self.errors.note(auth.sign_up(taken).await);
        let weak = SignUpRequest {
            email: self.secrets.add("an address", "canary-weak@example.com"),
            password: "canary-weak@example.com".into(),
            display_name: "\u{202e}canary-name".into(),
        };
        self.errors.note(auth.sign_up(weak).await);
        let request = RequestPasswordResetRequest {
            email: user.email.clone(),
        };
        self.errors.note(auth.request_password_reset(request).await);
        let reset = ResetPasswordRequest {
            token: self.secrets.add("a reset token", "canary-reset-token-0123456789"),
            new_password: self.secrets.add("a new password", "canary-new-password"),
        };
        self.errors.note(auth.reset_password(reset).await);
        let change = ChangePasswordRequest {
            current_password: wrong.clone(),
            new_password: "canary-new-password".into(),
        };
        self.errors.note(auth.change_password(user.asks(change)).await);
        let forged = format!("{}x", user.token);
        self.errors
            .note(auth.get_me(with_token(GetMeRequest {}, &forged)).await);
        let unknown = self
            .secrets
            .add("an unknown refresh token", "canary-refresh-token-0123456789");
        self.errors
            .note(auth.refresh_token(RefreshTokenRequest { refresh_token: unknown }).await);
        let mut two = Request::new(GetMeRequest {});
        for _ in 0..2 {
            two.metadata_mut()
                .append("authorization", format!("Bearer {}", user.token).parse().unwrap());
        }
        self.errors.note(auth.get_me(two).await);
        self.errors
            .note(auth.list_sessions(user.asks(ListSessionsRequest::default())).await);
    }

    async fn ask(&mut self, user: &User, ticket_id: &str) -> Option<String> {
        let request = StreamReplyRequest {
            ticket_id: ticket_id.into(),
            ..Default::default()
        };
        match self.desk.ask_as(user, request).await {
            Ok(stream) => {
                let whole = stream.whole().await;
                self.errors.0 += &told_to_people(&whole.end);
                Some(whole.reply_id)
            }
            Err(status) => {
                self.errors.note(Err::<Response<()>, _>(status));
                None
            }
        }
    }

    async fn say(&mut self, user: &User, ticket_id: &str, body: &str, visibility: MessageVisibility) {
        let new = PostMessageRequest {
            ticket_id: ticket_id.into(),
            body: body.into(),
            visibility: visibility.into(),
            ..Default::default()
        };
        self.errors.note(self.desk.tickets().post_message(user.asks(new)).await);
    }

    /// Tickets and messages, right and wrong.
    async fn talk(&mut self, owner: &User, agent: &User) -> String {
        let new = CreateTicketRequest {
            title: self.secrets.add("a title", "canary-title"),
            description: self.secrets.add("a description", "canary-description"),
            tags: vec![self.secrets.add("a tag", "canary-tag")],
            ..Default::default()
        };
        let created = self
            .desk
            .tickets()
            .create_ticket(owner.asks(new.clone()))
            .await
            .unwrap();
        let ticket_id = created.into_inner().ticket.unwrap().id;
        let wrong = CreateTicketRequest {
            title: "canary-title\ncanary-title".into(),
            description: "canary-description\0".into(),
            tags: vec!["canary-tag".repeat(20)],
            ..new
        };
        self.errors
            .note(self.desk.tickets().create_ticket(owner.asks(wrong)).await);
        let body = self.secrets.add("a message", "canary-message");
        let note = self.secrets.add("a note", "canary-note");
        self.say(owner, &ticket_id, &body, MessageVisibility::Public).await;
        self.say(agent, &ticket_id, &note, MessageVisibility::Internal).await;
        self.say(owner, &ticket_id, &note, MessageVisibility::Internal).await;
        self.say(owner, &ticket_id, &body.repeat(2_000), MessageVisibility::Public)
            .await;
        let mut tickets = self.desk.tickets();
        for query in ["canary-query", "canary-query (((", "\"canary-query"] {
            let list = ListTicketsRequest {
                query: query.into(),
                ..Default::default()
            };
            self.errors.note(tickets.list_tickets(owner.asks(list)).await);
        }
        self.secrets.add("a query", "canary-query");
        let token = ListTicketsRequest {
            page_token: self.secrets.add("a page token", "canary-page-token"),
            ..Default::default()
        };
        self.errors.note(tickets.list_tickets(owner.asks(token)).await);
        let update = UpdateTicketRequest {
            ticket: Some(Ticket {
                id: ticket_id.clone(),
                title: self.secrets.add("a new title", "canary-new-title"),
                ..Default::default()
            }),
            update_mask: Some(FieldMask {
                paths: vec!["title".into()],
            }),
            ..Default::default()
        };
        self.errors.note(tickets.update_ticket(owner.asks(update)).await);
        let assign = AssignTicketRequest {
            ticket_id: ticket_id.clone(),
            ..Default::default()
        };
        self.errors.note(tickets.assign_ticket(agent.asks(assign)).await);
        let get = GetTicketRequest {
            ticket_id: ticket_id.clone(),
        };
        self.errors.note(tickets.get_ticket(agent.asks(get)).await);
        let list = ListMessagesRequest {
            ticket_id: ticket_id.clone(),
            ..Default::default()
        };
        self.errors.note(tickets.list_messages(agent.asks(list)).await);
        let list = ListTicketEventsRequest {
            ticket_id: ticket_id.clone(),
            ..Default::default()
        };
        self.errors.note(tickets.list_ticket_events(agent.asks(list)).await);
        ticket_id
    }

    /// Whatever the assistant can be asked for, and however that can fail.
    async fn ask_for_all(&mut self, owner: &User, agent: &User, admin: &User, ticket_id: &str) {
        for scenario in [
            "ok",
            "status code=500",
            "status code=400",
            "status code=401",
            "rate-limit",
            "error-event after=3",
            "error-data after=3",
            "cut how=reset after=3",
            "end-early after=3",
            "html-error code=502",
            "not-json",
            "huge-line",
            "length after=3",
            "content-filter after=3",
            "ok",
        ] {
            let body = format!("[sim:{scenario}] canary-message");
            self.say(owner, ticket_id, &body, MessageVisibility::Public).await;
            self.ask(owner, ticket_id).await;
        }
        let draft = self.ask(agent, ticket_id).await.unwrap();
        let mut replies = self.desk.replies();
        let accept = AcceptDraftRequest {
            reply_id: draft.clone(),
            body: self.secrets.add("an edited draft", "canary-edited-draft"),
            ..Default::default()
        };
        self.errors.note(replies.accept_draft(agent.asks(accept.clone())).await);
        let other = AcceptDraftRequest {
            body: "canary-edited-draft, otherwise".into(),
            ..accept
        };
        self.errors.note(replies.accept_draft(agent.asks(other)).await);
        let rate = RateReplyRequest {
            reply_id: draft.clone(),
            verdict: Verdict::NotHelpful.into(),
            comment: self.secrets.add("a comment", "canary-comment"),
            ..Default::default()
        };
        self.errors.note(replies.rate_reply(agent.asks(rate)).await);
        self.errors
            .note(replies.get_reply(agent.asks(GetReplyRequest { reply_id: draft })).await);
        let ticket = || ticket_id.to_owned();
        for scenario in ["ok", "status code=500", "bad-json kind=wrong-enum"] {
            let body = format!("[sim:{scenario}] canary-message");
            self.say(owner, ticket_id, &body, MessageVisibility::Public).await;
            let summarize = SummarizeTicketRequest {
                ticket_id: ticket(),
                ..Default::default()
            };
            self.errors.note(replies.summarize_ticket(agent.asks(summarize)).await);
            let triage = TriageTicketRequest {
                ticket_id: ticket(),
                ..Default::default()
            };
            self.errors.note(replies.triage_ticket(agent.asks(triage)).await);
            let rewrite = RewriteTextRequest {
                text: format!("[sim:{scenario}] canary-text"),
                tone: Tone::Formal.into(),
                ..Default::default()
            };
            self.errors.note(replies.rewrite_text(agent.asks(rewrite)).await);
        }
        self.secrets.add("a text to rewrite", "canary-text");
        self.errors
            .note(replies.get_usage(admin.asks(GetUsageRequest::default())).await);
        self.errors.note(
            self.desk
                .users()
                .list_users(admin.asks(ListUsersRequest::default()))
                .await,
        );
    }

    /// What has not been called yet.
    async fn call_the_rest(&mut self, owner: &User, agent: &User, admin: &User, ticket_id: &str) {
        let mut replies = self.desk.replies();
        self.say(owner, ticket_id, "[sim:ok] canary-message", MessageVisibility::Public)
            .await;
        let draft = self.ask(agent, ticket_id).await.unwrap();
        let attach = AttachReplyRequest {
            reply_id: draft.clone(),
            attempt: 1,
            after_offset: 1_000_000,
        };
        self.errors.note(replies.attach_reply(agent.asks(attach)).await);
        let cancel = CancelReplyRequest {
            reply_id: draft.clone(),
            ..Default::default()
        };
        self.errors.note(replies.cancel_reply(agent.asks(cancel)).await);
        let list = ListRepliesRequest {
            ticket_id: ticket_id.into(),
            ..Default::default()
        };
        self.errors.note(replies.list_replies(agent.asks(list)).await);
        let discard = DiscardDraftRequest {
            reply_id: draft,
            ..Default::default()
        };
        self.errors.note(replies.discard_draft(agent.asks(discard)).await);
        let watch = WatchTicketsRequest {
            after_cursor: self.secrets.add("a cursor", "canary-cursor"),
            ..Default::default()
        };
        self.errors
            .note(self.desk.feed().watch_tickets(owner.asks(watch)).await);

        let (mut auth, mut users) = (self.desk.auth(), self.desk.users());
        self.errors.note(auth.get_jwks(GetJwksRequest {}).await);
        let revoke = RevokeSessionRequest {
            session_id: ticket_id.into(),
        };
        self.errors.note(auth.revoke_session(owner.asks(revoke)).await);
        let user_id = || agent.id.clone();
        let get = GetUserRequest { user_id: user_id() };
        self.errors.note(users.get_user(admin.asks(get)).await);
        let role = SetUserRoleRequest {
            user_id: user_id(),
            role: Role::Customer.into(),
            ..Default::default()
        };
        self.errors.note(users.set_user_role(admin.asks(role)).await);
        let disable = DisableUserRequest {
            user_id: user_id(),
            ..Default::default()
        };
        self.errors.note(users.disable_user(admin.asks(disable)).await);
        let enable = EnableUserRequest {
            user_id: user_id(),
            ..Default::default()
        };
        self.errors.note(users.enable_user(admin.asks(enable)).await);
        let audit = ListAuditEventsRequest::default();
        self.errors.note(users.list_audit_events(admin.asks(audit)).await);
    }
}

/// `/package.Service/Method` of all that ticket-service serves.
fn all_rpcs() -> Vec<String> {
    let contracts = FileDescriptorSet::decode(deskhand_proto::FILE_DESCRIPTOR_SET).unwrap();
    let files = contracts
        .file
        .iter()
        .filter(|file| file.package().starts_with("deskhand.") && file.package() != "deskhand.assistant.v1");
    let mut paths = Vec::new();
    for file in files {
        for service in &file.service {
            for method in &service.method {
                paths.push(format!("/{}.{}/{}", file.package(), service.name(), method.name()));
            }
        }
    }
    paths
}

/// The sentence of a failure; its partial text is the caller's own.
fn told_to_people(end: &deskhand_proto::replies::v1::reply_event::Event) -> String {
    match end {
        deskhand_proto::replies::v1::reply_event::Event::Failed(failed) => format!("{}\n", failed.message),
        _ => String::new(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_people_write_and_what_opens_doors_is_never_logged_or_told() {
    let heard = Heard::default();
    let log = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .with_writer(heard.clone());
    listening::begin_with(log);

    let mut scene = Scene {
        desk: Desk::open().await,
        secrets: Secrets::default(),
        errors: Errors::default(),
    };
    scene.secrets.add("a password", PASSWORD);
    scene.secrets.add("the provider's key", "gsk_test");
    let owner = scene.account("canary-owner@example.com", "CUSTOMER").await;
    let agent = scene.account("canary-agent@example.com", "AGENT").await;
    let admin = scene.account("canary-admin@example.com", "ADMIN").await;
    let secret = std::fs::read_to_string(scene.desk.secret_file()).unwrap();
    scene.secrets.add("the desk's secret", secret.trim());
    for key in std::fs::read_dir(scene.desk.keys_dir()).unwrap() {
        let pem = std::fs::read_to_string(key.unwrap().path()).unwrap();
        if let Some(base64) = pem.lines().nth(1) {
            scene.secrets.add("a signing key", base64);
        }
    }
    scene.fail_at_accounts(&owner).await;
    let ticket_id = scene.talk(&owner, &agent).await;
    scene.ask_for_all(&owner, &agent, &admin, &ticket_id).await;
    scene.call_the_rest(&owner, &agent, &admin, &ticket_id).await;
    scene
        .errors
        .note(scene.desk.auth().log_out(owner.asks(LogOutRequest::default())).await);
    // What the model wrote, and what of it stands in the database, is not to be logged either.
    for call in scene.desk.sim.control().calls() {
        if call.text.len() > 40 {
            let middle: String = call.text.chars().skip(10).take(24).collect();
            scene.secrets.add("the model's words", middle);
        }
    }
    let asked = scene.desk.sim.control().requests();
    assert!(
        asked
            .iter()
            .any(|request| request.body.to_string().contains("canary-message")),
        "it was said at all"
    );
    // Whatever the listener for machines tells, whether or not there is such a thing.
    for path in ["livez", "readyz", "metrics", "debug", ".well-known/jwks.json", "canary"] {
        let answer = reqwest::get(format!("http://{}/{path}", scene.desk.ops)).await.unwrap();
        scene.errors.0 += &format!("{:?} ", answer.headers());
        scene.errors.0 += &answer.text().await.unwrap();
        scene.errors.0 += "\n";
    }
    scene.desk.stop().await;

    let logged = String::from_utf8_lossy(&heard.0.lock().unwrap()).into_owned();
    for path in all_rpcs() {
        assert!(logged.contains(path.as_str()), "{path} was not called");
    }
    assert!(
        logged.contains("call ended") && logged.contains("TRACE"),
        "it was listened to"
    );
    assert!(scene.errors.0.lines().count() > 30, "{}", scene.errors.0);
    let mut found = Vec::new();
    for (what, secret) in &scene.secrets.0 {
        if let Some(line) = logged.lines().find(|line| line.contains(secret.as_str())) {
            found.push(format!(
                "{what} ({secret}) is logged: {}",
                line.chars().take(400).collect::<String>()
            ));
        }
        if let Some(line) = scene.errors.0.lines().find(|line| line.contains(secret.as_str())) {
            found.push(format!("{what} ({secret}) is told: {line}"));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}
