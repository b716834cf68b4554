//! The fence: whether an answer that is whole may still be posted.

use crate::tickets::ticket::{Handler, Status};

/// What the ticket looks like under its lock, at the moment of posting.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    pub(super) status: Status,
    pub(super) handler: Handler,
    /// The newest customer message.
    pub(super) last_customer_seq: i32,
}

/// Whether the ticket is still the assistant's to answer, and what is answered is still the newest.
pub(super) fn may_post(answers_seq: i32, ticket: Seen) -> bool {
    ticket.status != Status::Closed && ticket.handler == Handler::Assistant && ticket.last_customer_seq == answers_seq
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn statuses() -> impl Strategy<Value = Status> {
        prop_oneof![
            Just(Status::Open),
            Just(Status::InProgress),
            Just(Status::WaitingOnCustomer),
            Just(Status::Resolved),
            Just(Status::Closed)
        ]
    }

    proptest! {
        #[test]
        fn nothing_is_posted_over_a_person_a_newer_message_or_a_closed_ticket(
            status in statuses(), human: bool, answers in 1..5i32, newest in 1..5i32,
        ) {
            let handler = if human { Handler::Human } else { Handler::Assistant };
            let may = may_post(answers, Seen { status, handler, last_customer_seq: newest });
            prop_assert_eq!(may, !human && answers == newest && status != Status::Closed);
        }
    }
}
