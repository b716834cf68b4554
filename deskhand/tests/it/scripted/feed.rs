//! The feed, as the scripted server has it: cursors are numbers, and what was told is not told again.

use std::sync::mpsc::Receiver;

use deskhand_proto::feed::v1::feed_service_server::FeedService;
use deskhand_proto::feed::v1::{TicketEvent, WatchTicketsRequest, WatchTicketsResponse};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::State;

/// One thing that a stream of the feed does.
pub(crate) enum Told {
    Event(TicketEvent),
    /// Waits until the test says go on.
    Wait(Receiver<()>),
    Fail(Status),
    /// Ends without a word.
    End,
}

#[tonic::async_trait]
impl FeedService for State {
    type WatchTicketsStream = ReceiverStream<Result<WatchTicketsResponse, Status>>;

    async fn watch_tickets(
        &self,
        request: Request<WatchTicketsRequest>,
    ) -> Result<Response<Self::WatchTicketsStream>, Status> {
        self.admit("WatchTickets", &request, "")?;
        let request = request.into_inner();
        let bookmark = TicketEvent {
            cursor: request.after_cursor.clone(),
            ..TicketEvent::default()
        };
        self.asked.lock().unwrap().feeds.push(request);
        let steps = self.script.lock().unwrap().feeds.pop_front();
        let (send, receive) = mpsc::channel(1);
        tokio::spawn(async move {
            let steps = steps.unwrap_or_else(|| vec![Told::Event(bookmark)]);
            for step in steps {
                let sent = match step {
                    Told::Event(event) => send.send(Ok(WatchTicketsResponse { event: Some(event) })).await,
                    Told::Wait(gate) => {
                        // A test that is gone wants nothing more.
                        let _ = tokio::task::spawn_blocking(move || gate.recv()).await;
                        Ok(())
                    }
                    Told::Fail(status) => send.send(Err(status)).await,
                    Told::End => return,
                };
                if sent.is_err() {
                    return;
                }
            }
            send.closed().await;
        });
        Ok(Response::new(ReceiverStream::new(receive)))
    }
}
