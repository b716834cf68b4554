//! Tickets, as the scripted server has them: each is the same one.

use deskhand_proto::tickets::v1::ticket_service_server::TicketService;
use deskhand_proto::tickets::v1::{
    AssignTicketRequest, AssignTicketResponse, CreateTicketRequest, CreateTicketResponse, GetTicketRequest,
    GetTicketResponse, ListMessagesRequest, ListMessagesResponse, ListTicketEventsRequest, ListTicketEventsResponse,
    ListTicketsRequest, ListTicketsResponse, Message, PostMessageRequest, PostMessageResponse, Ticket,
    UpdateTicketRequest, UpdateTicketResponse,
};
use tonic::{Request, Response, Status};

use super::State;

#[tonic::async_trait]
impl TicketService for State {
    async fn create_ticket(
        &self,
        request: Request<CreateTicketRequest>,
    ) -> Result<Response<CreateTicketResponse>, Status> {
        self.admit("CreateTicket", &request, &request.get_ref().request_id)?;
        Ok(Response::new(CreateTicketResponse {
            ticket: Some(Self::ticket()),
        }))
    }

    async fn get_ticket(&self, request: Request<GetTicketRequest>) -> Result<Response<GetTicketResponse>, Status> {
        self.admit("GetTicket", &request, "")?;
        let messages = self.script.lock().unwrap().messages.clone();
        Ok(Response::new(GetTicketResponse {
            ticket: Some(Self::ticket()),
            messages,
        }))
    }

    async fn list_tickets(
        &self,
        request: Request<ListTicketsRequest>,
    ) -> Result<Response<ListTicketsResponse>, Status> {
        self.admit("ListTickets", &request, "")?;
        self.asked.lock().unwrap().lists.push(request.into_inner());
        let tickets = self.script.lock().unwrap().tickets.clone();
        Ok(Response::new(ListTicketsResponse {
            tickets,
            next_page_token: String::new(),
        }))
    }

    async fn post_message(
        &self,
        request: Request<PostMessageRequest>,
    ) -> Result<Response<PostMessageResponse>, Status> {
        self.admit("PostMessage", &request, &request.get_ref().request_id)?;
        self.asked.lock().unwrap().posts.push(request.into_inner());
        let message = Message {
            id: "message".to_owned(),
            ..Message::default()
        };
        Ok(Response::new(PostMessageResponse { message: Some(message) }))
    }

    async fn update_ticket(
        &self,
        request: Request<UpdateTicketRequest>,
    ) -> Result<Response<UpdateTicketResponse>, Status> {
        self.admit("UpdateTicket", &request, &request.get_ref().request_id)?;
        self.asked.lock().unwrap().updates.push(request.into_inner());
        Ok(Response::new(UpdateTicketResponse {
            ticket: Some(Self::ticket()),
        }))
    }

    async fn assign_ticket(
        &self,
        request: Request<AssignTicketRequest>,
    ) -> Result<Response<AssignTicketResponse>, Status> {
        self.admit("AssignTicket", &request, &request.get_ref().request_id)?;
        let request = request.into_inner();
        let ticket = Ticket {
            assignee_id: request.assignee_id.clone(),
            ..Self::ticket()
        };
        self.asked.lock().unwrap().assignments.push(request);
        Ok(Response::new(AssignTicketResponse { ticket: Some(ticket) }))
    }

    async fn list_ticket_events(
        &self,
        request: Request<ListTicketEventsRequest>,
    ) -> Result<Response<ListTicketEventsResponse>, Status> {
        self.admit("ListTicketEvents", &request, "")?;
        let events = self.script.lock().unwrap().events.clone();
        Ok(Response::new(ListTicketEventsResponse {
            events,
            next_page_token: String::new(),
        }))
    }

    async fn list_messages(
        &self,
        request: Request<ListMessagesRequest>,
    ) -> Result<Response<ListMessagesResponse>, Status> {
        self.admit("ListMessages", &request, "")?;
        let messages = self.script.lock().unwrap().messages.clone();
        Ok(Response::new(ListMessagesResponse {
            messages,
            next_page_token: String::new(),
        }))
    }
}
