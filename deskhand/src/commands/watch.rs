//! `ticket watch`: what happens to tickets, as it happens.

use super::events;
use crate::cli;
use crate::connection::Connection;
use crate::failure::Failure;
use crate::feed::{Feed, News};
use crate::interrupt;
use crate::output::Output;

pub(super) async fn run(args: cli::Watch, connection: &Connection, output: &mut Output) -> Result<(), Failure> {
    let left = interrupt::listen()?;
    let ids = args.tickets.iter().map(ToString::to_string).collect();
    let mut feed = Feed::new(connection.clone(), ids, args.after);
    tokio::select! {
        ended = follow(&mut feed, output) => return ended,
        () = left => {}
    }
    if !feed.cursor().is_empty() {
        output.note(&format!("go on from here with: --after {}", feed.cursor()));
    }
    Ok(())
}

async fn follow(feed: &mut Feed, output: &mut Output) -> Result<(), Failure> {
    let mut broken = false;
    let mut begun = false;
    loop {
        match feed.next().await? {
            News::Broken(why) => {
                if !std::mem::replace(&mut broken, true) {
                    output.step(&format!("the feed broke off, and is taken up again: {why}"));
                }
            }
            News::Event(answer) => {
                if !std::mem::replace(&mut begun, true) {
                    output.note("watching; Ctrl-C ends it");
                }
                if std::mem::take(&mut broken) {
                    output.step("the feed goes on; nothing was missed");
                }
                if output.is_json() {
                    output.document("deskhand.feed.v1.WatchTicketsResponse", &answer)?;
                } else if let Some(event) = answer.event.filter(|event| !event.ticket_id.is_empty()) {
                    output.line(&events::row(&event))?;
                }
            }
        }
    }
}
