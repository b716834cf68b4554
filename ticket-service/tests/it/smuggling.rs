//! What a request has no field for has no effect, however it is sent along.

use bytes::Bytes;
use deskhand_proto::accounts::v1::SignUpRequest;
use deskhand_proto::replies::v1::StreamReplyRequest;
use deskhand_proto::tickets::v1::{CreateTicketRequest, PostMessageRequest};
use tonic::Request;

use crate::harness::{Desk, PASSWORD};
use crate::raw;

/// The request, and after it every field number up to 60 that it does not have itself: as a number that would be an admin, a
/// closed status, an agent, and as an id.
fn with_everything(request: &impl prost::Message, own_fields: u32, id: &str) -> Bytes {
    let mut bytes = request.encode_to_vec();
    for number in own_fields + 1..60 {
        prost::encoding::int32::encode(number, &3, &mut bytes);
        prost::encoding::string::encode(number, &id.to_owned(), &mut bytes);
    }
    bytes.into()
}

#[tokio::test]
async fn a_role_in_a_sign_up() {
    let desk = Desk::open().await;
    let request = SignUpRequest {
        email: "eve@example.com".into(),
        password: PASSWORD.into(),
        display_name: "Eve".into(),
    };
    let bytes = with_everything(&request, 3, "ROLE_ADMIN");
    raw::call(
        &desk.channel,
        "/deskhand.accounts.v1.AuthService/SignUp",
        Request::new(bytes),
    )
    .await
    .unwrap();
    assert_eq!(
        desk.count("SELECT count(*) FROM users WHERE role = 'CUSTOMER'").await,
        1
    );
    assert_eq!(
        desk.count("SELECT count(*) FROM users WHERE role <> 'CUSTOMER'").await,
        0
    );
}

#[tokio::test]
async fn an_author_a_requester_a_state() {
    let desk = Desk::open().await;
    let (user, other) = (desk.customer().await, desk.customer().await);
    let ticket = CreateTicketRequest {
        title: "t".into(),
        description: "d".into(),
        ..Default::default()
    };
    let bytes = with_everything(&ticket, 6, &other.id);
    raw::call(
        &desk.channel,
        "/deskhand.tickets.v1.TicketService/CreateTicket",
        user.asks(bytes),
    )
    .await
    .unwrap();
    let plain = "SELECT count(*) FROM tickets t JOIN users u ON u.id = t.requester_id
        WHERE status = 'OPEN' AND priority = 'NORMAL' AND handler = 'ASSISTANT' AND assignee_id IS NULL";
    assert_eq!(desk.count(plain).await, 1);
    let theirs = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM tickets WHERE requester_id::text = $1");
    assert_eq!(theirs.bind(&other.id).fetch_one(&desk.pool).await.unwrap(), 0);

    let ticket_id = desk.ticket(&user).await;
    let message = PostMessageRequest {
        ticket_id: ticket_id.clone(),
        body: "b".into(),
        ..Default::default()
    };
    let bytes = with_everything(&message, 4, &other.id);
    raw::call(
        &desk.channel,
        "/deskhand.tickets.v1.TicketService/PostMessage",
        user.asks(bytes),
    )
    .await
    .unwrap();
    let own = "SELECT count(*) FROM messages m JOIN tickets t ON t.id = m.ticket_id
        WHERE m.author_kind = 'CUSTOMER' AND m.author_id = t.requester_id AND m.visibility = 'PUBLIC'";
    assert_eq!(desk.count(own).await, 1);

    let stream = StreamReplyRequest {
        ticket_id,
        ..Default::default()
    };
    let bytes = with_everything(&stream, 3, &other.id);
    raw::call(
        &desk.channel,
        "/deskhand.replies.v1.ReplyService/StreamReply",
        user.asks(bytes),
    )
    .await
    .unwrap();
    desk.until_count(
        "SELECT count(*) FROM replies WHERE mode = 'POST' AND state = 'COMPLETED'",
        1,
    )
    .await;
}
