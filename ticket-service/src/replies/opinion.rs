//! What people make of replies.

use strum::{EnumString, IntoStaticStr};
use time::OffsetDateTime;
use uuid::Uuid;

/// What can be decided on a draft.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumString, IntoStaticStr)]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum Decision {
    Accepted,
    Discarded,
}

/// What someone decided on a draft.
#[derive(Clone, Debug)]
pub(crate) struct Decided {
    pub(crate) decision: Decision,
    pub(crate) user_id: Uuid,
    pub(crate) time: OffsetDateTime,
    /// From the draft to what was posted, in characters.
    pub(crate) edit_distance: i32,
}

/// Whether a reply was of use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumString, IntoStaticStr)]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum Verdict {
    Helpful,
    NotHelpful,
}

/// What one person thought of a reply.
#[derive(Clone, Debug)]
pub(crate) struct Rating {
    pub(crate) user_id: Uuid,
    pub(crate) verdict: Verdict,
    pub(crate) comment: String,
    pub(crate) update_time: OffsetDateTime,
}
