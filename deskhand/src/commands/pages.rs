//! Lists, page by page.

use crate::cli;
use crate::failure::Failure;
use crate::output::Output;

/// An answer that is one page of a list.
pub(crate) trait Page: prost::Message {
    /// Its name in the contracts.
    const NAME: &'static str;

    /// What asks for the next page; empty on the last one.
    fn next_page_token(&self) -> &str;

    /// A line for each thing on it.
    fn rows(&self) -> Vec<String>;
}

/// Shows the page that was asked for, and the ones after it where all are wanted. `ask` takes size and token.
pub(crate) async fn show<P: Page>(
    args: cli::Paging,
    output: &mut Output,
    ask: impl AsyncFn(i32, String) -> Result<P, Failure>,
) -> Result<(), Failure> {
    let mut page_token = args.page_token;
    loop {
        let page = ask(args.page_size, page_token).await?;
        if output.is_json() {
            output.document(P::NAME, &page)?;
        } else {
            for row in page.rows() {
                output.line(&row)?;
            }
        }
        let next = page.next_page_token();
        if next.is_empty() {
            return Ok(());
        }
        if !args.all {
            output.note(&format!("more with: --page-token {next}"));
            return Ok(());
        }
        page_token = next.to_owned();
    }
}
