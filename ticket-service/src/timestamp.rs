//! Times on the wire and for people.

use prost_types::Timestamp;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A time as protobuf has it, to PostgreSQL's microsecond.
pub(crate) fn timestamp(at: OffsetDateTime) -> Timestamp {
    Timestamp {
        seconds: at.unix_timestamp(),
        nanos: i32::try_from(at.microsecond() * 1000).unwrap_or(0),
    }
}

/// A time as text: `2026-11-22T12:00:00Z`.
pub(crate) fn rfc3339(at: OffsetDateTime) -> String {
    // It fails for years of more than four digits.
    at.format(&Rfc3339).unwrap_or_else(|_| at.to_string())
}
