//! Arguments of what admins do.

use clap::{Args, Subcommand, ValueEnum};
use deskhand_proto::accounts::v1;
use uuid::Uuid;

use super::{Paging, parse_id};

#[derive(Subcommand)]
pub(crate) enum Admin {
    /// List accounts, newest first.
    Users(Users),
    /// Show an account.
    User(User),
    /// Set what a user may do.
    Role(SetRole),
    /// Shut an account; its sessions end.
    Disable(User),
    /// Open a disabled account again.
    Enable(User),
    /// List what was done to accounts, newest first.
    Audit(Audit),
}

#[derive(Args)]
pub(crate) struct Users {
    /// Only users of this role.
    #[arg(long)]
    pub(crate) role: Option<Role>,
    /// Only the user of this e-mail address.
    #[arg(long, value_name = "ADDRESS", default_value = "", hide_default_value = true)]
    pub(crate) email: String,
    #[command(flatten)]
    pub(crate) page: Paging,
}

#[derive(Args)]
pub(crate) struct User {
    /// The user's id.
    #[arg(value_parser = parse_id)]
    pub(crate) id: Uuid,
}

#[derive(Args)]
pub(crate) struct SetRole {
    /// The user's id.
    #[arg(value_parser = parse_id)]
    pub(crate) id: Uuid,
    /// What they shall be.
    pub(crate) role: Role,
}

#[derive(Args)]
pub(crate) struct Audit {
    /// Only what was done to this user.
    #[arg(long, value_name = "ID", value_parser = parse_id)]
    pub(crate) user: Option<Uuid>,
    /// Only what this user did.
    #[arg(long, value_name = "ID", value_parser = parse_id)]
    pub(crate) actor: Option<Uuid>,
    /// Only this action, such as `user.role_set`.
    #[arg(long, default_value = "", hide_default_value = true)]
    pub(crate) action: String,
    #[command(flatten)]
    pub(crate) page: Paging,
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Role {
    Customer,
    Agent,
    Admin,
}

impl From<Role> for v1::Role {
    fn from(role: Role) -> Self {
        match role {
            Role::Customer => Self::Customer,
            Role::Agent => Self::Agent,
            Role::Admin => Self::Admin,
        }
    }
}
