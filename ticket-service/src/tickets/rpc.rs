//! `deskhand.tickets.v1.TicketService`: converts, calls, converts.

use std::sync::Arc;

use deskhand_proto::tickets::v1::ticket_service_server::TicketService;
use deskhand_proto::tickets::v1::{
    AssignTicketRequest, AssignTicketResponse, CreateTicketRequest, CreateTicketResponse, GetTicketRequest,
    GetTicketResponse, ListMessagesRequest, ListMessagesResponse, ListTicketEventsRequest, ListTicketEventsResponse,
    ListTicketsRequest, ListTicketsResponse, PostMessageRequest, PostMessageResponse, UpdateTicketRequest,
    UpdateTicketResponse,
};
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::filter::Filter;
use super::request::{Assignment, NewMessage, NewTicket, Update};
use super::service::Service;
use super::wire;
use crate::accounts::authenticate::caller;
use crate::db::idempotency::Key;
use crate::error::Error;
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
        request: Request<UpdateTicketRequest>,
    ) -> Result<Response<UpdateTicketResponse>, Status> {
        let caller = caller(&request)?;
        let asked = request.into_inner();
        let update = Update::parse(&asked)?;
        let key = Key::new(&self.0.secret, &caller, update.request_id, "UpdateTicket", &asked);
        let ticket = self.0.update(&caller, update, key).await?;
        Ok(Response::new(UpdateTicketResponse {
            ticket: Some(ticket.into()),
        }))
    }

    async fn assign_ticket(
        &self,
        request: Request<AssignTicketRequest>,
    ) -> Result<Response<AssignTicketResponse>, Status> {
        let caller = caller(&request)?;
        if !caller.role.is_staff() {
            return Err(Error::RoleNotAllowed("Tickets are for agents and admins to assign.").into());
        }
        let asked = request.into_inner();
        let assignment = Assignment::parse(&asked)?;
        let key = Key::new(&self.0.secret, &caller, assignment.request_id, "AssignTicket", &asked);
        let ticket = self.0.assign(&caller, assignment, key).await?;
        Ok(Response::new(AssignTicketResponse {
            ticket: Some(ticket.into()),
        }))
    }

    async fn list_ticket_events(
        &self,
        request: Request<ListTicketEventsRequest>,
    ) -> Result<Response<ListTicketEventsResponse>, Status> {
        let caller = caller(&request)?;
        let asked = request.into_inner();
        let (ticket_id, size) = ticket_and_size(&asked.ticket_id, asked.page_size)?;
        let page = self.0.list_events(&caller, ticket_id, size, &asked.page_token).await?;
        let events = page.items.into_iter().map(Into::into).collect();
        Ok(Response::new(ListTicketEventsResponse {
            events,
            next_page_token: page.next_page_token,
        }))
    }

    async fn list_messages(
        &self,
        request: Request<ListMessagesRequest>,
    ) -> Result<Response<ListMessagesResponse>, Status> {
        let caller = caller(&request)?;
        let asked = request.into_inner();
        let (ticket_id, size) = ticket_and_size(&asked.ticket_id, asked.page_size)?;
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

/// What every list of something in a ticket is asked with.
fn ticket_and_size(ticket_id: &str, page_size: i32) -> Result<(Uuid, i64), Error> {
    let mut violations = Violations::default();
    let ticket_id = violations.check("ticket_id", violations::id(ticket_id));
    let size = violations.check("page_size", page::size(page_size));
    match (ticket_id, size) {
        (Some(ticket_id), Some(size)) => Ok((ticket_id, size)),
        _ => Err(violations.refused()),
    }
}
