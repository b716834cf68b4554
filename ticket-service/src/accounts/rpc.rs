//! `deskhand.accounts.v1.AuthService`: converts, calls, converts.

use std::sync::Arc;

use deskhand_proto::accounts::v1::auth_service_server::AuthService;
use deskhand_proto::accounts::v1::{
    self as proto, GetMeRequest, GetMeResponse, LogInRequest, LogInResponse, SignUpRequest, SignUpResponse,
};
use tonic::{Request, Response, Status};

use super::authenticate::caller;
use super::service::{Registration, Service, User};
use crate::caller::Role;
use crate::timestamp::timestamp;
use crate::violations::Violations;

/// The service as gRPC sees it.
pub(crate) struct Rpc(pub(crate) Arc<Service>);

#[tonic::async_trait]
impl AuthService for Rpc {
    async fn sign_up(&self, request: Request<SignUpRequest>) -> Result<Response<SignUpResponse>, Status> {
        let SignUpRequest {
            email,
            password,
            display_name,
        } = request.into_inner();
        let user = self
            .0
            .sign_up(Registration::parse(&email, &password, &display_name)?)
            .await?;
        Ok(Response::new(SignUpResponse {
            user: Some(user.into()),
        }))
    }

    async fn log_in(&self, request: Request<LogInRequest>) -> Result<Response<LogInResponse>, Status> {
        let LogInRequest { email, password } = request.into_inner();
        let mut violations = Violations::default();
        for (field, text) in [("email", &email), ("password", &password)] {
            violations.check(field, if text.is_empty() { Err("is required") } else { Ok(()) });
        }
        violations.finish()?;
        let logged_in = self.0.log_in(&email, &password).await?;
        Ok(Response::new(LogInResponse {
            access_token: logged_in.access_token,
            access_token_expire_time: Some(timestamp(logged_in.access_token_expire_time)),
            user: Some(logged_in.user.into()),
        }))
    }

    async fn get_me(&self, request: Request<GetMeRequest>) -> Result<Response<GetMeResponse>, Status> {
        let user = self.0.me(&caller(&request)?).await?;
        Ok(Response::new(GetMeResponse {
            user: Some(user.into()),
        }))
    }
}

impl From<User> for proto::User {
    fn from(user: User) -> Self {
        let role = match user.role {
            Role::Customer => proto::Role::Customer,
            Role::Agent => proto::Role::Agent,
            Role::Admin => proto::Role::Admin,
        };
        Self {
            id: user.id.to_string(),
            email: user.email,
            display_name: user.display_name,
            role: role.into(),
            create_time: Some(timestamp(user.create_time)),
        }
    }
}
