//! Lists, page by page.

use crate::cli;
use crate::failure::Failure;
use crate::output::Output;

/// As many as the server gives at once.
pub(super) const LARGEST_PAGE: i32 = 100;

/// An answer that is one page of a list.
pub(crate) trait Page: prost::Message {
    /// Its name in the contracts.
    const NAME: &'static str;

    /// What asks for the next page; empty on the last one.
    fn next_page_token(&self) -> &str;

    /// A line for each thing on it.
    fn rows(&self) -> Vec<String>;
}

/// Shows the page that was asked for, and the ones after it where more are wanted. `ask` takes size and token.
pub(crate) async fn show<P: Page>(
    args: cli::Paging,
    output: &mut Output,
    ask: impl AsyncFn(i32, String) -> Result<P, Failure>,
) -> Result<(), Failure> {
    show_table(args, output, None, P::rows, ask).await
}

/// The same with a line above, and with lines that depend on what was asked for.
pub(super) async fn show_table<P: Page>(
    args: cli::Paging,
    output: &mut Output,
    mut head: Option<String>,
    rows: impl Fn(&P) -> Vec<String>,
    ask: impl AsyncFn(i32, String) -> Result<P, Failure>,
) -> Result<(), Failure> {
    let mut page_token = args.page_token;
    let mut wanted = args.limit.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX));
    loop {
        let page = ask(wanted.map_or(args.page_size, page_size), page_token).await?;
        let rows = rows(&page);
        if output.is_json() {
            output.document(P::NAME, &page)?;
        } else {
            if let Some(head) = head.take() {
                output.heading(&head)?;
            }
            for row in &rows {
                output.line(row)?;
            }
        }
        let next = page.next_page_token();
        if next.is_empty() {
            return Ok(());
        }
        wanted = wanted.map(|wanted| wanted.saturating_sub(rows.len()));
        if wanted.map_or(!args.all, |wanted| wanted == 0) {
            output.note(&format!("more with: --page-token {next}"));
            return Ok(());
        }
        page_token = next.to_owned();
    }
}

/// Where so many are still wanted.
fn page_size(wanted: usize) -> i32 {
    i32::try_from(wanted).unwrap_or(LARGEST_PAGE).min(LARGEST_PAGE)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use deskhand_proto::tickets::v1::{ListTicketsResponse, Ticket};

    use super::*;

    /// The sizes and tokens that are asked for, of a list with `total` things.
    async fn asked(args: cli::Paging, total: usize) -> Vec<(i32, String)> {
        let asked = RefCell::new(Vec::new());
        let ask = async |size: i32, token: String| {
            asked.borrow_mut().push((size, token.clone()));
            let begin: usize = token.parse().unwrap_or(0);
            let size = if size == 0 { 20 } else { usize::try_from(size).unwrap() };
            let end = total.min(begin + size);
            Ok(ListTicketsResponse {
                tickets: vec![Ticket::default(); end - begin],
                next_page_token: if end < total { end.to_string() } else { String::new() },
            })
        };
        show(args, &mut Output::nowhere(false), ask).await.unwrap();
        asked.into_inner()
    }

    #[tokio::test]
    async fn as_many_pages_as_are_wanted() {
        let args = cli::Paging::default;
        let limit = |limit| cli::Paging {
            limit: Some(limit),
            ..args()
        };
        let all = cli::Paging { all: true, ..args() };
        for (args, total, expected) in [
            (args(), 50, &[(0, "")] as &[_]),
            (all, 50, &[(0, ""), (0, "20"), (0, "40")]),
            (limit(3), 50, &[(3, "")]),
            (limit(250), 900, &[(100, ""), (100, "100"), (50, "200")]),
            (limit(250), 150, &[(100, ""), (100, "100")]),
            (limit(u32::MAX), 0, &[(100, "")]),
        ] {
            let expected: Vec<_> = expected
                .iter()
                .map(|(size, token)| (*size, (*token).to_owned()))
                .collect();
            assert_eq!(asked(args, total).await, expected);
        }
    }
}
