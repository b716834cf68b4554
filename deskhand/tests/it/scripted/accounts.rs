//! Accounts and sessions, as the scripted server has them: one session, whose refresh tokens are numbered.

use std::time::{Duration, Instant};

use deskhand_proto::accounts::v1::auth_service_server::AuthService;
use deskhand_proto::accounts::v1::user_service_server::UserService;
use deskhand_proto::accounts::v1::{
    ChangePasswordRequest, ChangePasswordResponse, DisableUserRequest, DisableUserResponse, EnableUserRequest,
    EnableUserResponse, GetJwksRequest, GetJwksResponse, GetMeRequest, GetMeResponse, GetUserRequest, GetUserResponse,
    Jwk, ListAuditEventsRequest, ListAuditEventsResponse, ListSessionsRequest, ListSessionsResponse, ListUsersRequest,
    ListUsersResponse, LogInRequest, LogInResponse, LogOutRequest, LogOutResponse, RefreshTokenRequest,
    RefreshTokenResponse, RequestPasswordResetRequest, RequestPasswordResetResponse, ResetPasswordRequest,
    ResetPasswordResponse, RevokeSessionRequest, RevokeSessionResponse, Session, SetUserRoleRequest,
    SetUserRoleResponse, SignUpRequest, SignUpResponse, User,
};
use prost_types::Timestamp;
use tonic::{Code, Request, Response, Status};

use super::{ME, NEW_PASSWORD, RESET_TOKEN, State, TOKEN, refusal};

/// As the real server has it.
const GRACE: Duration = Duration::from_secs(10);

/// The session's tokens.
#[derive(Default)]
pub(super) struct Tokens {
    newest: u32,
    /// When the newest one took the place of the one before.
    since: Option<Instant>,
    ended: bool,
}

impl Tokens {
    /// The number of the token that takes the place of this one.
    fn next(&mut self, token: &str) -> Option<u32> {
        let number: u32 = token.strip_prefix("refresh-")?.parse().ok()?;
        if self.ended {
            return None;
        }
        if number == self.newest {
            self.newest += 1;
            self.since = Some(Instant::now());
        } else if number + 1 != self.newest || self.since.is_none_or(|since| since.elapsed() > GRACE) {
            self.ended = true;
            return None;
        }
        Some(self.newest)
    }
}

/// The access token that comes with a refresh token.
fn access_token(number: u32) -> String {
    match number {
        0 => TOKEN.to_owned(),
        number => format!("{TOKEN}-{number}"),
    }
}

fn far_future() -> Option<Timestamp> {
    Some(Timestamp {
        seconds: 4_000_000_000,
        nanos: 0,
    })
}

#[tonic::async_trait]
impl AuthService for State {
    async fn sign_up(&self, request: Request<SignUpRequest>) -> Result<Response<SignUpResponse>, Status> {
        self.admit("SignUp", &request, "")?;
        let user = User {
            email: request.into_inner().email,
            ..User::default()
        };
        Ok(Response::new(SignUpResponse { user: Some(user) }))
    }

    async fn log_in(&self, request: Request<LogInRequest>) -> Result<Response<LogInResponse>, Status> {
        self.admit("LogIn", &request, "")?;
        let user = User {
            email: request.into_inner().email,
            ..User::default()
        };
        Ok(Response::new(LogInResponse {
            access_token: access_token(0),
            access_token_expire_time: far_future(),
            refresh_token: "refresh-0".to_owned(),
            refresh_token_expire_time: far_future(),
            user: Some(user),
        }))
    }

    async fn refresh_token(
        &self,
        request: Request<RefreshTokenRequest>,
    ) -> Result<Response<RefreshTokenResponse>, Status> {
        self.admit("RefreshToken", &request, "")?;
        let next = self.tokens.lock().unwrap().next(&request.get_ref().refresh_token);
        let number = next.ok_or_else(|| refusal(Code::Unauthenticated, "REFRESH_TOKEN_INVALID"))?;
        let gate = self.script.lock().unwrap().refresh_answer.take();
        if let Some(gate) = gate {
            // A test that is gone wants nothing more.
            let _ = tokio::task::spawn_blocking(move || gate.recv()).await;
        }
        Ok(Response::new(RefreshTokenResponse {
            access_token: access_token(number),
            access_token_expire_time: far_future(),
            refresh_token: format!("refresh-{number}"),
            refresh_token_expire_time: far_future(),
        }))
    }

    async fn log_out(&self, request: Request<LogOutRequest>) -> Result<Response<LogOutResponse>, Status> {
        self.admit("LogOut", &request, "")?;
        self.tokens.lock().unwrap().ended = true;
        Ok(Response::new(LogOutResponse {}))
    }

    async fn get_me(&self, request: Request<GetMeRequest>) -> Result<Response<GetMeResponse>, Status> {
        self.admit("GetMe", &request, "")?;
        let user = User {
            id: ME.to_owned(),
            role: self.script.lock().unwrap().role.into(),
            ..User::default()
        };
        Ok(Response::new(GetMeResponse { user: Some(user) }))
    }

    async fn change_password(
        &self,
        request: Request<ChangePasswordRequest>,
    ) -> Result<Response<ChangePasswordResponse>, Status> {
        self.admit("ChangePassword", &request, "")?;
        Ok(Response::new(ChangePasswordResponse {}))
    }

    async fn list_sessions(
        &self,
        request: Request<ListSessionsRequest>,
    ) -> Result<Response<ListSessionsResponse>, Status> {
        self.admit("ListSessions", &request, "")?;
        let session = Session {
            user_agent: "evil\u{1b}[2J\nclient".to_owned(),
            current: true,
            ..Session::default()
        };
        Ok(Response::new(ListSessionsResponse {
            sessions: vec![session],
            next_page_token: String::new(),
        }))
    }

    async fn revoke_session(
        &self,
        request: Request<RevokeSessionRequest>,
    ) -> Result<Response<RevokeSessionResponse>, Status> {
        self.admit("RevokeSession", &request, "")?;
        Ok(Response::new(RevokeSessionResponse { revoked_count: 1 }))
    }

    async fn request_password_reset(
        &self,
        request: Request<RequestPasswordResetRequest>,
    ) -> Result<Response<RequestPasswordResetResponse>, Status> {
        self.admit("RequestPasswordReset", &request, "")?;
        Ok(Response::new(RequestPasswordResetResponse {}))
    }

    async fn reset_password(
        &self,
        request: Request<ResetPasswordRequest>,
    ) -> Result<Response<ResetPasswordResponse>, Status> {
        self.admit("ResetPassword", &request, "")?;
        let ResetPasswordRequest { token, new_password } = request.into_inner();
        if (token.as_str(), new_password.as_str()) != (RESET_TOKEN, NEW_PASSWORD) {
            return Err(refusal(Code::FailedPrecondition, "RESET_TOKEN_INVALID"));
        }
        Ok(Response::new(ResetPasswordResponse {}))
    }

    async fn get_jwks(&self, request: Request<GetJwksRequest>) -> Result<Response<GetJwksResponse>, Status> {
        self.admit("GetJwks", &request, "")?;
        let key = Jwk {
            kty: "OKP".to_owned(),
            ..Jwk::default()
        };
        Ok(Response::new(GetJwksResponse { keys: vec![key] }))
    }
}

#[tonic::async_trait]
impl UserService for State {
    async fn list_users(&self, request: Request<ListUsersRequest>) -> Result<Response<ListUsersResponse>, Status> {
        self.admit("ListUsers", &request, "")?;
        Ok(Response::new(ListUsersResponse {
            users: vec![User::default()],
            next_page_token: String::new(),
        }))
    }

    async fn get_user(&self, request: Request<GetUserRequest>) -> Result<Response<GetUserResponse>, Status> {
        self.admit("GetUser", &request, "")?;
        Ok(Response::new(GetUserResponse {
            user: Some(User::default()),
        }))
    }

    async fn set_user_role(
        &self,
        request: Request<SetUserRoleRequest>,
    ) -> Result<Response<SetUserRoleResponse>, Status> {
        self.admit("SetUserRole", &request, &request.get_ref().request_id)?;
        Ok(Response::new(SetUserRoleResponse {
            user: Some(User::default()),
        }))
    }

    async fn disable_user(
        &self,
        request: Request<DisableUserRequest>,
    ) -> Result<Response<DisableUserResponse>, Status> {
        self.admit("DisableUser", &request, &request.get_ref().request_id)?;
        Ok(Response::new(DisableUserResponse {
            user: Some(User::default()),
        }))
    }

    async fn enable_user(&self, request: Request<EnableUserRequest>) -> Result<Response<EnableUserResponse>, Status> {
        self.admit("EnableUser", &request, &request.get_ref().request_id)?;
        Ok(Response::new(EnableUserResponse {
            user: Some(User::default()),
        }))
    }

    async fn list_audit_events(
        &self,
        request: Request<ListAuditEventsRequest>,
    ) -> Result<Response<ListAuditEventsResponse>, Status> {
        self.admit("ListAuditEvents", &request, "")?;
        Ok(Response::new(ListAuditEventsResponse::default()))
    }
}
