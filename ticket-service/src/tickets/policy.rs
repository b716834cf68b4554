//! Who may do what in tickets. (What someone may see is part of every query instead.)

use strum::{EnumString, IntoStaticStr};

use super::status;
use super::ticket::{AuthorKind, Priority, Status, Visibility};
use crate::caller::Role;

/// What someone is to a ticket. Staff who opened it themselves are both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Party {
    pub(super) requester: bool,
    pub(super) staff: bool,
}

/// A field that UpdateTicket can change, spelled as in the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumString, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub(super) enum Field {
    Title,
    Description,
    Status,
    Priority,
    Category,
    Tags,
    Handler,
}

/// Whether they may change this field; else why not.
pub(super) fn may_change(field: Field, party: Party) -> Result<(), &'static str> {
    const DESK: &str = "A ticket's priority and handler are for agents and admins to change.";
    const REQUESTER: &str = "A ticket's description is its requester's; add a message instead.";
    let (of_requester, of_staff, refusal) = match field {
        Field::Title | Field::Status | Field::Category | Field::Tags => (true, true, ""),
        Field::Description => (true, false, REQUESTER),
        Field::Priority | Field::Handler => (false, true, DESK),
    };
    if (party.requester && of_requester) || (party.staff && of_staff) {
        Ok(())
    } else {
        Err(refusal)
    }
}

/// The statuses that they may set next, where a ticket stands at `from`.
pub(super) fn next_statuses(from: Status, party: Party) -> &'static [Status] {
    if party.staff {
        status::next_for_staff(from)
    } else {
        status::next_for_requester(from)
    }
}

/// Whether someone of this role may open a ticket with this priority.
pub(super) fn may_open_with(role: Role, priority: Priority) -> bool {
    role.is_staff() || priority == Priority::Normal
}

/// Whether someone of this role may write messages of this visibility.
pub(super) fn may_write(role: Role, visibility: Visibility) -> bool {
    role.is_staff() || visibility == Visibility::Public
}

/// Whose words a message is: the requester's are the customer's, whatever their role; others see the ticket as staff.
pub(super) fn author_kind(is_requester: bool) -> AuthorKind {
    if is_requester {
        AuthorKind::Customer
    } else {
        AuthorKind::Agent
    }
}
