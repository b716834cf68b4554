//! Who calls. Every feature takes one of these, and none asks further.

use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr};
use uuid::Uuid;

/// An authenticated user, for the length of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Who.
    pub user: Uuid,
    /// What they may do.
    pub role: Role,
    /// The log-in that their token came from.
    pub session: Uuid,
}

impl Caller {
    /// Whose tickets this caller may see: those of one user, or (`None`) all. An argument of every query on tickets.
    pub fn sees_only(&self) -> Option<Uuid> {
        (!self.role.is_staff()).then_some(self.user)
    }
}

/// What a user may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, EnumString, IntoStaticStr)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
pub enum Role {
    /// Own tickets.
    Customer,
    /// All tickets.
    Agent,
    /// All tickets, users and usage.
    Admin,
}

impl Role {
    /// Whether this is someone of the desk.
    pub fn is_staff(self) -> bool {
        match self {
            Role::Customer => false,
            Role::Agent | Role::Admin => true,
        }
    }
}
