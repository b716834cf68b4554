//! Where a ticket can go from where it stands. docs/architecture.md draws it.

use super::ticket::{AuthorKind, Handler, Status, Visibility};

/// The statuses that someone of the desk may set next, where a ticket stands at `from`.
pub(super) fn next_for_staff(from: Status) -> &'static [Status] {
    use Status::{Closed, InProgress, Open, Resolved, WaitingOnCustomer};
    match from {
        Open => &[InProgress, WaitingOnCustomer, Resolved, Closed],
        InProgress => &[Open, WaitingOnCustomer, Resolved, Closed],
        WaitingOnCustomer => &[Open, InProgress, Resolved, Closed],
        Resolved => &[Open, InProgress, Closed],
        Closed => &[],
    }
}

/// The statuses that the requester may set next.
pub(super) fn next_for_requester(from: Status) -> &'static [Status] {
    match from {
        Status::Open | Status::InProgress | Status::WaitingOnCustomer => &[Status::Resolved],
        Status::Resolved => &[Status::Open],
        Status::Closed => &[],
    }
}

/// What a message does to the ticket that it is posted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Effect {
    pub(super) status: Status,
    pub(super) handler: Handler,
    /// Whether it is an answer of the desk, of which the first one counts.
    pub(super) responds: bool,
}

/// A customer's message opens what was resolved or waited on them; an agent's public one makes the ticket a person's.
pub(super) fn after_message(status: Status, handler: Handler, author: AuthorKind, visibility: Visibility) -> Effect {
    let public = visibility == Visibility::Public;
    let reopens = author == AuthorKind::Customer && matches!(status, Status::Resolved | Status::WaitingOnCustomer);
    Effect {
        status: if reopens { Status::Open } else { status },
        handler: if author == AuthorKind::Agent && public {
            Handler::Human
        } else {
            handler
        },
        responds: public && matches!(author, AuthorKind::Agent | AuthorKind::Assistant),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Status::{Closed, InProgress, Open, Resolved, WaitingOnCustomer};

    const ALL: [Status; 5] = [Open, InProgress, WaitingOnCustomer, Resolved, Closed];

    #[test]
    fn what_may_follow_what() {
        // Rows: from; columns: to, in the order of ALL. s: staff only, b: the requester too.
        let table = ["-ssbs", "s-sbs", "ss-bs", "bs--s", "-----"];
        for (from, row) in ALL.iter().zip(table) {
            for (to, may) in ALL.iter().zip(row.chars()) {
                assert_eq!(next_for_staff(*from).contains(to), may != '-', "{from:?} → {to:?}");
                assert_eq!(next_for_requester(*from).contains(to), may == 'b', "{from:?} → {to:?}");
            }
        }
    }

    #[test]
    fn what_a_message_does() {
        for status in ALL {
            for handler in [Handler::Assistant, Handler::Human] {
                for author in [
                    AuthorKind::Customer,
                    AuthorKind::Agent,
                    AuthorKind::Assistant,
                    AuthorKind::System,
                ] {
                    for visibility in [Visibility::Public, Visibility::Internal] {
                        let after = after_message(status, handler, author, visibility);
                        let opens = author == AuthorKind::Customer && [Resolved, WaitingOnCustomer].contains(&status);
                        assert_eq!(after.status, if opens { Open } else { status });
                        let public_agent = author == AuthorKind::Agent && visibility == Visibility::Public;
                        assert_eq!(
                            after.handler == Handler::Human,
                            handler == Handler::Human || public_agent
                        );
                        let desk = [AuthorKind::Agent, AuthorKind::Assistant].contains(&author);
                        assert_eq!(after.responds, desk && visibility == Visibility::Public);
                    }
                }
            }
        }
    }
}
