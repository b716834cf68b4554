//! Times on the wire.

use prost_types::Timestamp;
use time::OffsetDateTime;

/// A time as protobuf has it, to PostgreSQL's microsecond.
pub(crate) fn timestamp(at: OffsetDateTime) -> Timestamp {
    Timestamp {
        seconds: at.unix_timestamp(),
        nanos: i32::try_from(at.microsecond() * 1000).unwrap_or(0),
    }
}
