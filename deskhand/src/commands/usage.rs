//! `usage`: what the assistant cost.

use deskhand_proto::replies::v1::{GetUsageRequest, GetUsageResponse, UsageKey, UsageRow};

use super::account::authenticated;
use super::pages::{self, Page};
use crate::cli::{self, By};
use crate::connection::Connection;
use crate::failure::Failure;
use crate::output::Output;
use crate::text::{visible_line, words};

pub(crate) async fn run(args: cli::Usage, connection: &Connection, output: &mut Output) -> Result<(), Failure> {
    let connection = &authenticated(connection).await?;
    let table = Table(args.by.clone());
    let group_by: Vec<i32> = args.by.iter().map(|by| UsageKey::from(*by).into()).collect();
    let rows = |page: &GetUsageResponse| page.rows.iter().map(|row| table.row(row)).collect();
    pages::show_table(
        args.page,
        output,
        Some(table.head()),
        rows,
        async |page_size, page_token| {
            let request = GetUsageRequest {
                first_day: args.from.clone().unwrap_or_default(),
                last_day: args.to.clone().unwrap_or_default(),
                group_by: group_by.clone(),
                page_size,
                page_token,
            };
            connection
                .call(request, async |request| connection.replies().get_usage(request).await)
                .await
        },
    )
    .await
}

impl Page for GetUsageResponse {
    const NAME: &'static str = "deskhand.replies.v1.GetUsageResponse";

    fn next_page_token(&self) -> &str {
        &self.next_page_token
    }

    fn rows(&self) -> Vec<String> {
        self.rows.iter().map(|row| Table(Vec::new()).row(row)).collect()
    }
}

/// Columns for these keys, and the figures.
struct Table(Vec<By>);

impl Table {
    fn head(&self) -> String {
        let keys = self.0.iter().map(|by| match by {
            By::Day => "day",
            By::Model => "model",
            By::User => "user",
            By::Outcome => "outcome",
            By::Mode => "mode",
        });
        let figures = ["calls", "estimated", "in", "cached", "out", "reasoning", "USD"];
        self.line(keys.map(str::to_owned), figures.map(str::to_owned))
    }

    fn row(&self, row: &UsageRow) -> String {
        let keys = self.0.iter().map(|by| {
            let key = match by {
                By::Day => visible_line(&row.day),
                By::Model => visible_line(&row.model),
                By::User => visible_line(&row.user_id),
                By::Outcome => words(row.outcome().as_str_name(), "CALL_OUTCOME"),
                By::Mode => words(row.mode().as_str_name(), "REPLY_MODE"),
            };
            // The model of a call that was lost is not known.
            if key.is_empty() { "-".to_owned() } else { key }
        });
        let figures = [
            row.calls,
            row.estimated_calls,
            row.input_tokens,
            row.cached_input_tokens,
            row.output_tokens,
            row.reasoning_tokens,
        ]
        .map(|figure| figure.to_string());
        let [calls, estimated, input, cached, output, reasoning] = figures;
        let cost = dollars(row.cost_micro_usd);
        self.line(keys, [calls, estimated, input, cached, output, reasoning, cost])
    }

    fn line(&self, keys: impl Iterator<Item = String>, figures: [String; 7]) -> String {
        let widths = self.0.iter().map(|by| match by {
            By::Day => 10,
            By::Model => 32,
            By::User => 36,
            By::Outcome => 9,
            By::Mode => 7,
        });
        let keys = keys.zip(widths).map(|(key, width)| format!("{key:<width$}"));
        let figures = figures
            .iter()
            .zip([8, 9, 12, 12, 12, 12, 14])
            .map(|(figure, width)| format!("{figure:>width$}"));
        keys.chain(figures).collect::<Vec<_>>().join("  ")
    }
}

/// Of millionths.
fn dollars(micros: i64) -> String {
    let (sign, micros) = (if micros < 0 { "-" } else { "" }, micros.unsigned_abs());
    format!("{sign}{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

#[cfg(test)]
mod tests {
    use deskhand_proto::replies::v1::{CallOutcome, ReplyMode};

    use super::*;

    #[test]
    fn columns_are_what_was_asked_for() {
        let row = UsageRow {
            day: "2026-01-31".to_owned(),
            outcome: CallOutcome::CutShort.into(),
            mode: ReplyMode::Draft.into(),
            calls: 3,
            estimated_calls: 1,
            input_tokens: 1_234,
            cached_input_tokens: 1_000,
            output_tokens: 56,
            reasoning_tokens: 7,
            cost_micro_usd: 1_000_042,
            ..UsageRow::default()
        };
        let words = |line: String| -> Vec<String> { line.split_whitespace().map(str::to_owned).collect() };
        let table = Table(vec![By::Day, By::Model, By::Outcome, By::Mode]);
        assert_eq!(
            words(table.row(&row)),
            [
                "2026-01-31",
                "-",
                "cut",
                "short",
                "draft",
                "3",
                "1",
                "1234",
                "1000",
                "56",
                "7",
                "1.000042"
            ]
        );
        assert_eq!(table.row(&row).chars().count(), table.head().chars().count());
        let total = Table(Vec::new());
        assert_eq!(words(total.head())[0], "calls");
        assert_eq!(words(total.row(&row))[0], "3");
    }

    #[test]
    fn money_is_exact() {
        for (micros, text) in [
            (0, "0.000000"),
            (1, "0.000001"),
            (12_345_678, "12.345678"),
            (i64::MAX, "9223372036854.775807"),
            (-1_500_000, "-1.500000"),
        ] {
            assert_eq!(dollars(micros), text);
        }
    }
}
