//! What a ticket and a message are.

use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr};
use time::OffsetDateTime;
use uuid::Uuid;

/// Defines words that PostgreSQL and JSON spell in SCREAMING_SNAKE_CASE.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident ($prefix:literal) { $($(#[$variant_doc:meta])* $variant:ident),* $(,)? }) => {
        words!($(#[$doc])* $name { $($(#[$variant_doc])* $variant),* });

        impl $name {
            /// As the contract spells it.
            pub(crate) fn spelled(self) -> String {
                format!(concat!($prefix, "_{}"), <&str>::from(self))
            }
        }
    };
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, EnumString, IntoStaticStr)]
        #[serde(rename_all = "SCREAMING_SNAKE_CASE")]
        #[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
        pub(crate) enum $name { $($(#[$variant_doc])* $variant),* }
    };
}

words! {
    /// Where a ticket stands.
    Status("TICKET_STATUS") { Open, InProgress, WaitingOnCustomer, Resolved, Closed }
}
words! {
    /// How urgent it is.
    Priority("TICKET_PRIORITY") { Low, Normal, High, Urgent }
}
words! {
    /// What it is about.
    Category("TICKET_CATEGORY") { General, Billing, Technical, Account }
}
words! {
    /// Who answers it.
    Handler("TICKET_HANDLER") { Assistant, Human }
}
words! {
    /// Whose words a message holds.
    AuthorKind { Customer, Agent, Assistant, System }
}
words! {
    /// Who may read a message.
    Visibility { Public, Internal }
}

/// A customer's request for help.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Ticket {
    pub(crate) id: Uuid,
    pub(crate) number: i64,
    pub(crate) title: String,
    pub(crate) description: String,
    pub(crate) status: Status,
    pub(crate) priority: Priority,
    pub(crate) category: Category,
    pub(crate) tags: Vec<String>,
    pub(crate) requester_id: Uuid,
    pub(crate) assignee_id: Option<Uuid>,
    pub(crate) handler: Handler,
    /// The customer's, BCP 47; empty where it is not known.
    #[serde(default)]
    pub(crate) language: String,
    /// Rises with every change.
    pub(crate) version: i32,
    #[serde(with = "time::serde::rfc3339")]
    pub(crate) create_time: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub(crate) update_time: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    pub(crate) first_response_time: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339::option")]
    pub(crate) resolve_time: Option<OffsetDateTime>,
}

impl Ticket {
    /// Another one whenever the ticket is another.
    pub(crate) fn etag(&self) -> String {
        format!("{:x}", self.version)
    }
}

/// Something said in a ticket.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Message {
    pub(crate) id: Uuid,
    pub(crate) ticket_id: Uuid,
    /// Its place in the ticket, given under the ticket's row lock; the description is 1.
    pub(crate) seq: i32,
    pub(crate) author_id: Option<Uuid>,
    pub(crate) author_kind: AuthorKind,
    pub(crate) body: String,
    pub(crate) visibility: Visibility,
    #[serde(with = "time::serde::rfc3339")]
    pub(crate) create_time: OffsetDateTime,
    pub(crate) reply_id: Option<Uuid>,
}
