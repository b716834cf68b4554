//! Everything that the assistant can be asked for, for tests that ask for all of it.

use deskhand_proto::replies::v1::reply_service_client::ReplyServiceClient;
use deskhand_proto::replies::v1::{RewriteTextRequest, SummarizeTicketRequest, Tone, TriageTicketRequest};
use tonic::Status;
use tonic::transport::Channel;

use crate::harness::User;

/// What goes where a ticket's title stands in other prompts, of all texts that are written anew.
pub(crate) const NO_TITLE: &str = "rewrites-all-";

/// What comes in one piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whole {
    Summary,
    Triage,
    Rewrite,
}

pub(crate) const WHOLES: [Whole; 3] = [Whole::Summary, Whole::Triage, Whole::Rewrite];

impl Whole {
    /// Asks for it, and waits for the end. `scenario` is what the provider does about a text, which no ticket tells it.
    pub(crate) async fn ask(
        self,
        replies: &mut ReplyServiceClient<Channel>,
        agent: &User,
        ticket_id: &str,
        request_id: &str,
        scenario: &str,
    ) -> Result<(), Status> {
        let (ticket_id, request_id) = (ticket_id.to_owned(), request_id.to_owned());
        match self {
            Self::Summary => {
                let request = SummarizeTicketRequest { ticket_id, request_id };
                replies.summarize_ticket(agent.asks(request)).await.map(drop)
            }
            Self::Triage => {
                let request = TriageTicketRequest { ticket_id, request_id };
                replies.triage_ticket(agent.asks(request)).await.map(drop)
            }
            Self::Rewrite => {
                let request = RewriteTextRequest {
                    text: format!("Title: {NO_TITLE} {scenario} No way."),
                    tone: Tone::Formal.into(),
                    request_id,
                };
                replies.rewrite_text(agent.asks(request)).await.map(drop)
            }
        }
    }
}
