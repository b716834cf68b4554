//! `admin`: accounts, and what was done to them.

use deskhand_proto::accounts::v1::{
    AuditEvent, DisableUserRequest, EnableUserRequest, GetUserRequest, ListAuditEventsRequest, ListAuditEventsResponse,
    ListUsersRequest, ListUsersResponse, Role, SetUserRoleRequest, User,
};
use uuid::Uuid;

use super::account::{authenticated, show_user};
use super::pages::{self, Page};
use crate::cli;
use crate::connection::{Connection, new_request_id};
use crate::failure::Failure;
use crate::output::Output;
use crate::text::{moment, visible_line, words};

pub(crate) async fn run(command: cli::Admin, connection: &Connection, output: &mut Output) -> Result<(), Failure> {
    let connection = &authenticated(connection).await?;
    match command {
        cli::Admin::Users(args) => users(args, connection, output).await,
        cli::Admin::User(args) => user(args, connection, output).await,
        cli::Admin::Role(args) => set_role(args, connection, output).await,
        cli::Admin::Disable(args) => disable(args, connection, output).await,
        cli::Admin::Enable(args) => enable(args, connection, output).await,
        cli::Admin::Audit(args) => audit(args, connection, output).await,
    }
}

async fn users(args: cli::Users, connection: &Connection, output: &mut Output) -> Result<(), Failure> {
    let role = args.role.map_or(Role::Unspecified, Role::from);
    pages::show(args.page, output, async |page_size, page_token| {
        let request = ListUsersRequest {
            page_size,
            page_token,
            role: role.into(),
            email: args.email.clone(),
        };
        connection
            .call(request, async |request| connection.users().list_users(request).await)
            .await
    })
    .await
}

async fn user(args: cli::User, connection: &Connection, output: &mut Output) -> Result<(), Failure> {
    let request = GetUserRequest {
        user_id: args.id.to_string(),
    };
    let answer = connection
        .call(request, async |request| connection.users().get_user(request).await)
        .await?;
    if output.is_json() {
        return output.document("deskhand.accounts.v1.GetUserResponse", &answer);
    }
    show_user(&answer.user.unwrap_or_default(), output)
}

async fn set_role(args: cli::SetRole, connection: &Connection, output: &mut Output) -> Result<(), Failure> {
    let request = SetUserRoleRequest {
        user_id: args.id.to_string(),
        role: Role::from(args.role).into(),
        request_id: new_request_id(),
    };
    let answer = connection
        .change(request, async |request| connection.users().set_user_role(request).await)
        .await?;
    if output.is_json() {
        return output.document("deskhand.accounts.v1.SetUserRoleResponse", &answer);
    }
    show_user(&answer.user.unwrap_or_default(), output)
}

async fn disable(args: cli::User, connection: &Connection, output: &mut Output) -> Result<(), Failure> {
    let request = DisableUserRequest {
        user_id: args.id.to_string(),
        request_id: new_request_id(),
    };
    let answer = connection
        .change(request, async |request| connection.users().disable_user(request).await)
        .await?;
    if output.is_json() {
        return output.document("deskhand.accounts.v1.DisableUserResponse", &answer);
    }
    show_user(&answer.user.unwrap_or_default(), output)
}

async fn enable(args: cli::User, connection: &Connection, output: &mut Output) -> Result<(), Failure> {
    let request = EnableUserRequest {
        user_id: args.id.to_string(),
        request_id: new_request_id(),
    };
    let answer = connection
        .change(request, async |request| connection.users().enable_user(request).await)
        .await?;
    if output.is_json() {
        return output.document("deskhand.accounts.v1.EnableUserResponse", &answer);
    }
    show_user(&answer.user.unwrap_or_default(), output)
}

async fn audit(args: cli::Audit, connection: &Connection, output: &mut Output) -> Result<(), Failure> {
    let filter = |id: Option<Uuid>| id.map_or_else(String::new, |id| id.to_string());
    pages::show(args.page, output, async |page_size, page_token| {
        let request = ListAuditEventsRequest {
            page_size,
            page_token,
            user_id: filter(args.user),
            actor_id: filter(args.actor),
            action: args.action.clone(),
        };
        connection
            .call(request, async |request| {
                connection.users().list_audit_events(request).await
            })
            .await
    })
    .await
}

impl Page for ListUsersResponse {
    const NAME: &'static str = "deskhand.accounts.v1.ListUsersResponse";

    fn next_page_token(&self) -> &str {
        &self.next_page_token
    }

    fn rows(&self) -> Vec<String> {
        self.users.iter().map(user_row).collect()
    }
}

impl Page for ListAuditEventsResponse {
    const NAME: &'static str = "deskhand.accounts.v1.ListAuditEventsResponse";

    fn next_page_token(&self) -> &str {
        &self.next_page_token
    }

    fn rows(&self) -> Vec<String> {
        self.events.iter().map(event_row).collect()
    }
}

fn user_row(user: &User) -> String {
    let role = words(user.role().as_str_name(), "ROLE");
    let state = if user.disable_time.is_some() { "disabled" } else { "" };
    format!(
        "{}  {role:<8}  {state:<8}  {}  {}  {}",
        user.id,
        moment(user.create_time.as_ref()),
        visible_line(&user.email),
        visible_line(&user.display_name)
    )
}

fn event_row(event: &AuditEvent) -> String {
    let actor = if event.actor_id.is_empty() {
        "nobody"
    } else {
        &event.actor_id
    };
    // Sorted: a map of the contracts has no order.
    let mut details: Vec<String> = event
        .details
        .iter()
        .map(|(name, value)| format!("  {}={}", visible_line(name), visible_line(value)))
        .collect();
    details.sort();
    format!(
        "{}  {:<22}  user {}  by {}{}",
        moment(event.create_time.as_ref()),
        visible_line(&event.action),
        visible_line(&event.user_id),
        visible_line(actor),
        details.concat()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_one_line_each() {
        let event = AuditEvent {
            action: "user.role_set".to_owned(),
            user_id: "2".to_owned(),
            details: [("to", "agent"), ("from", "a\nb")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            ..AuditEvent::default()
        };
        assert_eq!(
            event_row(&event),
            "-  user.role_set           user 2  by nobody  from=a b  to=agent"
        );
    }

    #[test]
    fn who_is_disabled_is_marked() {
        let mut user = User {
            id: "1".to_owned(),
            email: "ada@example.com".to_owned(),
            display_name: "Ada".to_owned(),
            role: Role::Agent.into(),
            ..User::default()
        };
        assert_eq!(user_row(&user), "1  agent               -  ada@example.com  Ada");
        user.disable_time = Some(prost_types::Timestamp::default());
        assert!(user_row(&user).contains("agent     disabled  -"));
    }
}
