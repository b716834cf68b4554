//! `deskhand.tickets.v1.TicketService`: converts, calls, converts.

use std::sync::Arc;

use deskhand_proto::tickets::v1::ticket_service_server::TicketService;
use deskhand_proto::tickets::v1::{
    CreateTicketRequest, CreateTicketResponse, GetTicketRequest, GetTicketResponse, ListMessagesRequest,
    ListMessagesResponse, ListTicketsRequest, ListTicketsResponse, PostMessageRequest, PostMessageResponse,
};
use tonic::{Request, Response, Status};

use super::filter::Filter;
use super::request::{NewMessage, NewTicket};
use super::service::Service;
use super::wire;
use crate::accounts::authenticate::caller;
use crate::db::idempotency::Key;
use crate::page;
use crate::violations::{self, Violations};

/// The service as gRPC sees it.
pub(crate) struct Rpc(pub(crate) Arc<Service>);

#[tonic::async_trait]
impl TicketService for Rpc {
    async fn create_ticket(
        &self,
        request: Request<CreateTicketRequest>,
    ) -> Result<Response<CreateTicketResponse>, Status> {
        let caller = caller(&request)?;
        let asked = request.into_inner();
        let new = NewTicket::parse(
            &asked.title,
            &asked.description,
            wire::priority(asked.priority),
            wire::category(asked.category),
            &asked.tags,
            &asked.request_id,
        )?;
        let key = Key::new(&self.0.secret, &caller, new.request_id, "CreateTicket", &asked);
        let ticket = self.0.create(&caller, new, key).await?;
        Ok(Response::new(CreateTicketResponse {
            ticket: Some(ticket.into()),
        }))
    }

    async fn get_ticket(&self, request: Request<GetTicketRequest>) -> Result<Response<GetTicketResponse>, Status> {
        let caller = caller(&request)?;
        let ticket_id = violations::only("ticket_id", violations::id(&request.into_inner().ticket_id))?;
        let (ticket, messages) = self.0.get(&caller, ticket_id).await?;
        let messages = messages.into_iter().map(Into::into).collect();
        Ok(Response::new(GetTicketResponse {
            ticket: Some(ticket.into()),
            messages,
        }))
    }

    async fn list_tickets(
        &self,
        request: Request<ListTicketsRequest>,
    ) -> Result<Response<ListTicketsResponse>, Status> {
        let caller = caller(&request)?;
        let asked = request.into_inner();
        let filter = Filter::parse(&asked)?;
        let page = self.0.list(&caller, &filter, &asked.page_token).await?;
        let tickets = page.items.into_iter().map(|found| found.ticket.into()).collect();
        Ok(Response::new(ListTicketsResponse {
            tickets,
            next_page_token: page.next_page_token,
        }))
    }

    async fn post_message(
        &self,
        request: Request<PostMessageRequest>,
    ) -> Result<Response<PostMessageResponse>, Status> {
        let caller = caller(&request)?;
        let asked = request.into_inner();
        let new = NewMessage::parse(
            &asked.ticket_id,
            &asked.body,
            wire::visibility(asked.visibility),
            &asked.request_id,
        )?;
        let key = Key::new(&self.0.secret, &caller, new.request_id, "PostMessage", &asked);
        let message = self.0.post(&caller, new, key).await?;
        Ok(Response::new(PostMessageResponse {
            message: Some(message.into()),
        }))
    }

    async fn update_ticket(
        &self,
        _: Request<deskhand_proto::tickets::v1::UpdateTicketRequest>,
    ) -> Result<Response<deskhand_proto::tickets::v1::UpdateTicketResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn assign_ticket(
        &self,
        _: Request<deskhand_proto::tickets::v1::AssignTicketRequest>,
    ) -> Result<Response<deskhand_proto::tickets::v1::AssignTicketResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn list_ticket_events(
        &self,
        _: Request<deskhand_proto::tickets::v1::ListTicketEventsRequest>,
    ) -> Result<Response<deskhand_proto::tickets::v1::ListTicketEventsResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn list_messages(
        &self,
        request: Request<ListMessagesRequest>,
    ) -> Result<Response<ListMessagesResponse>, Status> {
        let caller = caller(&request)?;
        let asked = request.into_inner();
        let mut violations = Violations::default();
        let ticket_id = violations.check("ticket_id", violations::id(&asked.ticket_id));
        let size = violations.check("page_size", page::size(asked.page_size));
        let (Some(ticket_id), Some(size)) = (ticket_id, size) else {
            return Err(violations.refused().into());
        };
        let page = self
            .0
            .list_messages(&caller, ticket_id, size, &asked.page_token)
            .await?;
        let messages = page.items.into_iter().map(Into::into).collect();
        Ok(Response::new(ListMessagesResponse {
            messages,
            next_page_token: page.next_page_token,
        }))
    }
}
