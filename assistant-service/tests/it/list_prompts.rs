//! The prompts that there are.

use deskhand_proto::assistant::v1 as proto;
use deskhand_proto::tickets::v1::TicketCategory;

use crate::harness::Desk;

#[tokio::test]
async fn one_for_each_task_and_category_by_id() {
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
    let categories = [
        ("account", TicketCategory::Account),
        ("billing", TicketCategory::Billing),
        ("general", TicketCategory::General),
        ("technical", TicketCategory::Technical),
    ];
    let mut expected = Vec::new();
    for (name, task) in [
        ("draft", proto::Task::Draft),
        ("reply", proto::Task::Reply),
        ("summary", proto::Task::Summary),
        ("triage", proto::Task::Triage),
    ] {
        expected.extend(categories.map(|(category, value)| (format!("{name}/{category}"), value, task)));
    }
    expected.push(("rewrite".to_owned(), TicketCategory::Unspecified, proto::Task::Rewrite));
    expected.sort_by(|one, other| one.0.cmp(&other.0));
    let expected: Vec<_> = expected
        .iter()
        .map(|(id, category, task)| (id.as_str(), *category, *task))
        .collect();
    assert_eq!(ids, expected);
    assert!(
        prompts
            .iter()
            .all(|prompt| prompt.version.len() == 12 && !prompt.overridden)
    );
}
