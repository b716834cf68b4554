//! The prompts that there are.

use deskhand_proto::assistant::v1 as proto;
use deskhand_proto::tickets::v1::TicketCategory;

use crate::harness::Desk;

#[tokio::test]
async fn one_for_each_category_by_id() {
    let (desk, _sim) = Desk::simulated(&[]).await;
    let prompts = desk
        .client
        .clone()
        .list_prompts(proto::ListPromptsRequest {})
        .await
        .unwrap()
        .into_inner()
        .prompts;
    let ids: Vec<_> = prompts
        .iter()
        .map(|prompt| (prompt.id.as_str(), prompt.category(), prompt.task()))
        .collect();
    let reply = proto::Task::Reply;
    assert_eq!(
        ids,
        [
            ("reply/account", TicketCategory::Account, reply),
            ("reply/billing", TicketCategory::Billing, reply),
            ("reply/general", TicketCategory::General, reply),
            ("reply/technical", TicketCategory::Technical, reply),
        ]
    );
    assert!(prompts.iter().all(|prompt| prompt.version.len() == 12));
}
