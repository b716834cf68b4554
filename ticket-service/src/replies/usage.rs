//! What the assistant cost.

use std::time::Duration;

use time::format_description::FormatItem;
use time::macros::format_description;
use time::{Date, OffsetDateTime};

use super::service::Service;
use super::store::{self, Keys, Row};
use crate::caller::Caller;
use crate::error::Result;
use crate::page::{self, Page};
use crate::violations::Violations;

/// How days are spelled.
pub(super) const DAY: &[FormatItem<'_>] = format_description!("[year]-[month]-[day]");
/// The most days of one report.
const MOST_DAYS: i64 = 366;

/// What is to be reported.
#[derive(Debug)]
pub(super) struct Report {
    first: Date,
    last: Date,
    keys: Keys,
    size: i64,
    /// All that is asked for, so that a page token of another report is refused.
    fingerprint: Vec<u8>,
}

impl Report {
    /// As it was asked for; days that are not named are today.
    pub(super) fn parse(first: &str, last: &str, keys: Option<Keys>, size: i32) -> Result<Self> {
        let today = OffsetDateTime::now_utc().date();
        let mut violations = Violations::default();
        let day = |text: &str, default: Date| {
            if text.is_empty() {
                return Ok(default);
            }
            Date::parse(text, DAY).map_err(|_| "must be a day such as 2026-12-31")
        };
        let last = violations.check("last_day", day(last, today));
        let first = violations.check("first_day", day(first, last.unwrap_or(today)));
        let keys = violations.check("group_by", keys.ok_or("is not a known key"));
        let size = violations.check("page_size", report_size(size));
        let (Some(last), Some(first), Some(keys), Some(size)) = (last, first, keys, size) else {
            return Err(violations.refused());
        };
        if first > last {
            violations.note("first_day", "must not be after last_day");
        } else if (last - first).whole_days() >= MOST_DAYS {
            violations.note("first_day", "must be at most 366 days before the day after last_day");
        }
        violations.finish()?;
        Ok(Self {
            first,
            last,
            keys,
            size,
            fingerprint: format!("{first} {last} {keys:?}").into_bytes(),
        })
    }
}

/// Rows of a report are smaller than what other lists have.
fn report_size(asked: i32) -> Result<i64, &'static str> {
    match asked {
        ..0 => Err("must not be negative"),
        0 => Ok(100),
        asked => Ok(asked.min(1000).into()),
    }
}

impl Service {
    /// What all calls of some days cost.
    pub(super) async fn usage(&self, caller: &Caller, report: &Report, token: &str) -> Result<Page<Row>> {
        let tokens = page::Tokens::new(&self.secret, caller, &[b"usage", &report.fingerprint]);
        let skip = tokens.open(token)?.map_or(0, i64::from_be_bytes);
        let from = report.first.midnight().assume_utc();
        let before = report.last.midnight().assume_utc() + Duration::from_secs(24 * 60 * 60);
        let rows = store::report(self.pool(), from, before, report.keys, skip, report.size + 1).await?;
        let next = skip + report.size;
        tokens.cut(rows, report.size, |_| next.to_be_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_what_they_say() {
        let report = |first, last| Report::parse(first, last, Some(Keys::default()), 0);
        let whole = report("2026-01-01", "2026-12-31").unwrap();
        assert_eq!((whole.last - whole.first).whole_days(), 364);
        assert!(report("2024-01-01", "2024-12-31").is_ok());
        assert!(report("2024-01-01", "2025-01-01").is_err());
        assert!(report("2026-02-02", "2026-02-01").is_err());
        assert!(report("2026-02-30", "").is_err());
        assert!(report("tomorrow", "").is_err());
        let today = report("", "").unwrap();
        assert_eq!(today.first, today.last);
        let past = report("", "2026-01-05").unwrap();
        assert_eq!(past.first, past.last);
        assert!(Report::parse("", "", None, 0).is_err());
        assert!(Report::parse("", "", Some(Keys::default()), -1).is_err());
        assert_eq!(Report::parse("", "", Some(Keys::default()), 5000).unwrap().size, 1000);
    }
}
