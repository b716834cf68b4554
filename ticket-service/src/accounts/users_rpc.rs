//! `deskhand.accounts.v1.UserService`: converts, calls, converts. Every method begins with [`admin`].

use std::sync::Arc;

use deskhand_proto::accounts::v1::user_service_server::UserService;
use deskhand_proto::accounts::v1::{
    self as proto, DisableUserRequest, DisableUserResponse, EnableUserRequest, EnableUserResponse, GetUserRequest,
    GetUserResponse, ListAuditEventsRequest, ListAuditEventsResponse, ListUsersRequest, ListUsersResponse,
    SetUserRoleRequest, SetUserRoleResponse,
};
use serde_json::Value;
use tonic::{Request, Response, Status};

use super::audit;
use super::authenticate::caller;
use super::email::Email;
use super::store;
use super::user::User;
use super::users::{Change, Users};
use crate::caller::{Caller, Role};
use crate::db::idempotency::Key;
use crate::error::Error;
use crate::page;
use crate::timestamp::timestamp;
use crate::violations::{self, Violations};

/// The service as gRPC sees it.
pub(crate) struct UsersRpc(pub(crate) Arc<Users>);

/// The caller, who must be an admin.
fn admin<T>(request: &Request<T>) -> Result<Caller, Error> {
    let caller = caller(request)?;
    match caller.role {
        Role::Admin => Ok(caller),
        Role::Customer | Role::Agent => Err(Error::RoleNotAllowed("This is for admins.")),
    }
}

/// What a request asks for, `Some(None)` where it leaves it open; `None` for a number that is no role.
fn role(wire: i32) -> Option<Option<Role>> {
    Some(match proto::Role::try_from(wire).ok()? {
        proto::Role::Unspecified => None,
        proto::Role::Customer => Some(Role::Customer),
        proto::Role::Agent => Some(Role::Agent),
        proto::Role::Admin => Some(Role::Admin),
    })
}

impl UsersRpc {
    async fn change(
        &self,
        caller: &Caller,
        method: &str,
        request: &impl prost::Message,
        (user_id, request_id): (&str, &str),
        change: Option<Change>,
    ) -> Result<User, Error> {
        let mut violations = Violations::default();
        let user_id = violations.check("user_id", violations::id(user_id));
        let request_id = violations.check("request_id", violations::optional_id(request_id));
        let change = violations.check("role", change.ok_or("must be one of the roles"));
        let (Some(user_id), Some(request_id), Some(change)) = (user_id, request_id, change) else {
            return Err(violations.refused());
        };
        let key = Key::new(&self.0.secret, caller, request_id, method, request);
        self.0.change(caller, user_id, change, key).await
    }
}

#[tonic::async_trait]
impl UserService for UsersRpc {
    async fn list_users(&self, request: Request<ListUsersRequest>) -> Result<Response<ListUsersResponse>, Status> {
        let caller = admin(&request)?;
        let asked = request.into_inner();
        let mut violations = Violations::default();
        let size = violations.check("page_size", page::size(asked.page_size));
        let role = violations.check("role", role(asked.role).ok_or("is not a known role"));
        let email = match asked.email.as_str() {
            "" => Some(None),
            email => violations.check(
                "email",
                Email::parse(email).map(|email| Some(email.as_str().to_owned())),
            ),
        };
        let (Some(size), Some(role), Some(email)) = (size, role, email) else {
            return Err(violations.refused().into());
        };
        let page = self
            .0
            .list(&caller, &store::Filter { role, email }, size, &asked.page_token)
            .await?;
        let users = page.items.into_iter().map(Into::into).collect();
        Ok(Response::new(ListUsersResponse {
            users,
            next_page_token: page.next_page_token,
        }))
    }

    async fn get_user(&self, request: Request<GetUserRequest>) -> Result<Response<GetUserResponse>, Status> {
        admin(&request)?;
        let user_id = violations::only("user_id", violations::id(&request.into_inner().user_id))?;
        let user = self.0.get(user_id).await?;
        Ok(Response::new(GetUserResponse {
            user: Some(user.into()),
        }))
    }

    async fn set_user_role(
        &self,
        request: Request<SetUserRoleRequest>,
    ) -> Result<Response<SetUserRoleResponse>, Status> {
        let caller = admin(&request)?;
        let asked = request.into_inner();
        let change = role(asked.role).flatten().map(Change::Role);
        let ids = (asked.user_id.as_str(), asked.request_id.as_str());
        let user = self.change(&caller, "SetUserRole", &asked, ids, change).await?;
        Ok(Response::new(SetUserRoleResponse {
            user: Some(user.into()),
        }))
    }

    async fn disable_user(
        &self,
        request: Request<DisableUserRequest>,
    ) -> Result<Response<DisableUserResponse>, Status> {
        let caller = admin(&request)?;
        let asked = request.into_inner();
        let ids = (asked.user_id.as_str(), asked.request_id.as_str());
        let user = self
            .change(&caller, "DisableUser", &asked, ids, Some(Change::Disable))
            .await?;
        Ok(Response::new(DisableUserResponse {
            user: Some(user.into()),
        }))
    }

    async fn enable_user(&self, request: Request<EnableUserRequest>) -> Result<Response<EnableUserResponse>, Status> {
        let caller = admin(&request)?;
        let asked = request.into_inner();
        let ids = (asked.user_id.as_str(), asked.request_id.as_str());
        let user = self
            .change(&caller, "EnableUser", &asked, ids, Some(Change::Enable))
            .await?;
        Ok(Response::new(EnableUserResponse {
            user: Some(user.into()),
        }))
    }

    async fn list_audit_events(
        &self,
        request: Request<ListAuditEventsRequest>,
    ) -> Result<Response<ListAuditEventsResponse>, Status> {
        let caller = admin(&request)?;
        let asked = request.into_inner();
        let mut violations = Violations::default();
        let size = violations.check("page_size", page::size(asked.page_size));
        let user_id = violations.check("user_id", violations::optional_id(&asked.user_id));
        let actor_id = violations.check("actor_id", violations::optional_id(&asked.actor_id));
        let action = violations.check("action", audit::Action::filter(&asked.action));
        let (Some(size), Some(user_id), Some(actor_id), Some(action)) = (size, user_id, actor_id, action) else {
            return Err(violations.refused().into());
        };
        let filter = audit::Filter {
            user_id,
            actor_id,
            action,
        };
        let page = self.0.list_audit(&caller, &filter, size, &asked.page_token).await?;
        let events = page.items.into_iter().map(Into::into).collect();
        Ok(Response::new(ListAuditEventsResponse {
            events,
            next_page_token: page.next_page_token,
        }))
    }
}

impl From<audit::Event> for proto::AuditEvent {
    fn from(event: audit::Event) -> Self {
        let details = match event.details {
            Value::Object(facts) => facts.into_iter().map(|(name, fact)| (name, text(fact))).collect(),
            _ => Default::default(),
        };
        Self {
            id: event.id.to_string(),
            action: event.action,
            actor_id: event.actor_id.map(|id| id.to_string()).unwrap_or_default(),
            user_id: event.user_id.to_string(),
            details,
            create_time: Some(timestamp(event.create_time)),
        }
    }
}

fn text(fact: Value) -> String {
    match fact {
        Value::String(text) => text,
        other => other.to_string(),
    }
}
