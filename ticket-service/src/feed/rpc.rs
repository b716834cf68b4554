//! `deskhand.feed.v1.FeedService`: converts, calls, converts.

use std::sync::Arc;

use deskhand_proto::feed::v1::feed_service_server::FeedService;
use deskhand_proto::feed::v1::ticket_event::Interrupted;
use deskhand_proto::feed::v1::{TicketEvent, WatchTicketsRequest, WatchTicketsResponse};
use futures_util::stream::{BoxStream, StreamExt as _};
use service_kit::deadline::Deadline;
use tonic::{Request, Response, Status};

use super::cursor::Cursors;
use super::event::Scope;
use super::service::Service;
use super::watch::Told;
use crate::accounts::authenticate::{caller, while_allowed};
use crate::accounts::revocations::Revocations;
use crate::error::Result;
use crate::violations::{self, Violations};

/// How many tickets can be named.
const MAX_TICKETS: usize = 100;

/// The service as gRPC sees it.
pub(crate) struct Rpc {
    pub(crate) feed: Arc<Service>,
    pub(crate) revocations: Arc<Revocations>,
}

#[tonic::async_trait]
impl FeedService for Rpc {
    type WatchTicketsStream = BoxStream<'static, Result<WatchTicketsResponse, Status>>;

    async fn watch_tickets(
        &self,
        request: Request<WatchTicketsRequest>,
    ) -> Result<Response<Self::WatchTicketsStream>, Status> {
        let caller = caller(&request)?;
        let deadline = request.extensions().get::<Deadline>().copied();
        let asked = request.into_inner();
        let cursors = Cursors::new(self.feed.secret.clone(), &caller);
        let mut violations = Violations::default();
        let after = violations.check("after_cursor", cursors.open(&asked.after_cursor));
        let tickets = tickets(&mut violations, &asked.ticket_ids);
        let Some(after) = after else {
            return Err(violations.refused().into());
        };
        violations.finish()?;
        let scope = Scope {
            sees_only: caller.sees_only(),
            tickets,
        };
        let told = self.feed.watch(scope, after, deadline).await?;
        let told = told.map(move |told| Ok(response(event(told?, &cursors)?)));
        let ended = response(interrupted("SESSION_ENDED", String::new()));
        let told = while_allowed(told, self.revocations.clone(), caller, ended);
        Ok(Response::new(told.boxed()))
    }
}

/// Each ticket once, in order.
fn tickets(violations: &mut Violations, asked: &[String]) -> Vec<uuid::Uuid> {
    if asked.len() > MAX_TICKETS {
        violations.note("ticket_ids", format!("must be at most {MAX_TICKETS}"));
        return Vec::new();
    }
    let mut tickets = Vec::with_capacity(asked.len());
    for (at, id) in asked.iter().enumerate() {
        match violations::id(id) {
            Ok(id) => tickets.push(id),
            Err(wrong) => violations.note(format!("ticket_ids[{at}]"), wrong),
        }
    }
    tickets.sort_unstable();
    tickets.dedup();
    tickets
}

fn event(told: Told, cursors: &Cursors) -> Result<TicketEvent> {
    Ok(match told {
        Told::Bookmark(position) => TicketEvent {
            cursor: cursors.seal(position)?,
            ..Default::default()
        },
        Told::Event(position, event) => TicketEvent {
            cursor: cursors.seal(position)?,
            ..event.into()
        },
        Told::Interrupted(position, reason) => interrupted(reason, cursors.seal(position)?),
    })
}

fn interrupted(reason: &str, cursor: String) -> TicketEvent {
    TicketEvent {
        cursor,
        interrupted: Some(Interrupted { reason: reason.into() }),
        ..Default::default()
    }
}

fn response(event: TicketEvent) -> WatchTicketsResponse {
    WatchTicketsResponse { event: Some(event) }
}
