//! `deskhand.accounts.v1.AuthService`: converts, calls, converts.

use std::sync::Arc;

use deskhand_proto::accounts::v1::auth_service_server::AuthService;
use deskhand_proto::accounts::v1::{
    self as proto, ChangePasswordRequest, ChangePasswordResponse, GetJwksRequest, GetJwksResponse, GetMeRequest,
    GetMeResponse, ListSessionsRequest, ListSessionsResponse, LogInRequest, LogInResponse, LogOutRequest,
    LogOutResponse, RefreshTokenRequest, RefreshTokenResponse, RequestPasswordResetRequest,
    RequestPasswordResetResponse, ResetPasswordRequest, ResetPasswordResponse, RevokeSessionRequest,
    RevokeSessionResponse, SignUpRequest, SignUpResponse,
};
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::authenticate::caller;
use super::client::Clients;
use super::resets::Resets;
use super::service::Service;
use super::sessions::{Session, Which};
use super::user::{Registration, User};
use crate::caller::Role;
use crate::error::Error;
use crate::page;
use crate::timestamp::timestamp;
use crate::violations::{self, Violations};

/// The service as gRPC sees it.
pub(crate) struct Rpc {
    pub(crate) accounts: Arc<Service>,
    pub(crate) resets: Arc<Resets>,
    pub(crate) clients: Clients,
}

#[tonic::async_trait]
impl AuthService for Rpc {
    async fn sign_up(&self, request: Request<SignUpRequest>) -> Result<Response<SignUpResponse>, Status> {
        let SignUpRequest {
            email,
            password,
            display_name,
        } = request.into_inner();
        let user = self
            .accounts
            .sign_up(Registration::parse(&email, &password, &display_name)?)
            .await?;
        Ok(Response::new(SignUpResponse {
            user: Some(user.into()),
        }))
    }

    async fn log_in(&self, request: Request<LogInRequest>) -> Result<Response<LogInResponse>, Status> {
        let client = self.clients.of(&request);
        let LogInRequest { email, password } = request.into_inner();
        required([("email", &email), ("password", &password)])?;
        let (credentials, user) = self.accounts.log_in(&client, &email, &password).await?;
        Ok(Response::new(LogInResponse {
            access_token: credentials.access_token,
            access_token_expire_time: Some(timestamp(credentials.access_token_expire_time)),
            refresh_token: credentials.refresh_token,
            refresh_token_expire_time: Some(timestamp(credentials.refresh_token_expire_time)),
            user: Some(user.into()),
        }))
    }

    async fn refresh_token(
        &self,
        request: Request<RefreshTokenRequest>,
    ) -> Result<Response<RefreshTokenResponse>, Status> {
        let client = self.clients.of(&request);
        let RefreshTokenRequest { refresh_token } = request.into_inner();
        required([("refresh_token", &refresh_token)])?;
        let credentials = self.accounts.refresh(&client, &refresh_token).await?;
        Ok(Response::new(RefreshTokenResponse {
            access_token: credentials.access_token,
            access_token_expire_time: Some(timestamp(credentials.access_token_expire_time)),
            refresh_token: credentials.refresh_token,
            refresh_token_expire_time: Some(timestamp(credentials.refresh_token_expire_time)),
        }))
    }

    async fn log_out(&self, request: Request<LogOutRequest>) -> Result<Response<LogOutResponse>, Status> {
        self.accounts.log_out(&caller(&request)?).await?;
        Ok(Response::new(LogOutResponse {}))
    }

    async fn get_me(&self, request: Request<GetMeRequest>) -> Result<Response<GetMeResponse>, Status> {
        let user = self.accounts.me(&caller(&request)?).await?;
        Ok(Response::new(GetMeResponse {
            user: Some(user.into()),
        }))
    }

    async fn change_password(
        &self,
        request: Request<ChangePasswordRequest>,
    ) -> Result<Response<ChangePasswordResponse>, Status> {
        let (caller, client) = (caller(&request)?, self.clients.of(&request));
        let ChangePasswordRequest {
            current_password,
            new_password,
        } = request.into_inner();
        required([("current_password", &current_password), ("new_password", &new_password)])?;
        self.accounts
            .change_password(&client, &caller, &current_password, &new_password)
            .await?;
        Ok(Response::new(ChangePasswordResponse {}))
    }

    async fn list_sessions(
        &self,
        request: Request<ListSessionsRequest>,
    ) -> Result<Response<ListSessionsResponse>, Status> {
        let caller = caller(&request)?;
        let asked = request.into_inner();
        let size = violations::only("page_size", page::size(asked.page_size))?;
        let page = self.accounts.list_sessions(&caller, size, &asked.page_token).await?;
        let sessions = page
            .items
            .into_iter()
            .map(|session| to_proto(session, caller.session))
            .collect();
        Ok(Response::new(ListSessionsResponse {
            sessions,
            next_page_token: page.next_page_token,
        }))
    }

    async fn revoke_session(
        &self,
        request: Request<RevokeSessionRequest>,
    ) -> Result<Response<RevokeSessionResponse>, Status> {
        let caller = caller(&request)?;
        let which = match request.into_inner().session_id.as_str() {
            "others" => Which::AllBut(caller.session),
            "all" => Which::All,
            id => Which::One(violations::only(
                "session_id",
                violations::id(id).map_err(|_| "must be a UUID, or `others`, or `all`"),
            )?),
        };
        let ended = self.accounts.revoke_sessions(&caller, which).await?;
        let revoked_count = i32::try_from(ended).unwrap_or(i32::MAX);
        Ok(Response::new(RevokeSessionResponse { revoked_count }))
    }

    async fn request_password_reset(
        &self,
        request: Request<RequestPasswordResetRequest>,
    ) -> Result<Response<RequestPasswordResetResponse>, Status> {
        let client = self.clients.of(&request);
        self.resets.request(&request.into_inner().email, client.address).await?;
        Ok(Response::new(RequestPasswordResetResponse {}))
    }

    async fn reset_password(
        &self,
        request: Request<ResetPasswordRequest>,
    ) -> Result<Response<ResetPasswordResponse>, Status> {
        let ResetPasswordRequest { token, new_password } = request.into_inner();
        required([("token", &token), ("new_password", &new_password)])?;
        self.resets.reset(&token, &new_password).await?;
        self.accounts.now_in_force().await;
        Ok(Response::new(ResetPasswordResponse {}))
    }

    async fn get_jwks(&self, _: Request<GetJwksRequest>) -> Result<Response<GetJwksResponse>, Status> {
        let keys = self.accounts.tokens.jwks().into_iter().map(Into::into).collect();
        Ok(Response::new(GetJwksResponse { keys }))
    }
}

/// Refuses fields that are empty; what else is wrong with them is not said.
fn required<const N: usize>(fields: [(&'static str, &String); N]) -> Result<(), Error> {
    let mut violations = Violations::default();
    for (field, text) in fields {
        violations.check(field, if text.is_empty() { Err("is required") } else { Ok(()) });
    }
    violations.finish()
}

fn to_proto(session: Session, current: Uuid) -> proto::Session {
    proto::Session {
        current: session.id == current,
        id: session.id.to_string(),
        create_time: Some(timestamp(session.create_time)),
        use_time: Some(timestamp(session.use_time)),
        expire_time: Some(timestamp(session.expire_time)),
        user_agent: session.user_agent,
    }
}

impl From<Role> for proto::Role {
    fn from(role: Role) -> Self {
        match role {
            Role::Customer => Self::Customer,
            Role::Agent => Self::Agent,
            Role::Admin => Self::Admin,
        }
    }
}

impl From<User> for proto::User {
    fn from(user: User) -> Self {
        Self {
            id: user.id.to_string(),
            email: user.email,
            display_name: user.display_name,
            role: proto::Role::from(user.role).into(),
            create_time: Some(timestamp(user.create_time)),
            disable_time: user.disable_time.map(timestamp),
        }
    }
}
