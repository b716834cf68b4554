//! Who may do what in tickets. (What someone may see is part of every query instead.)

use super::ticket::{AuthorKind, Priority, Visibility};
use crate::caller::Role;

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
