//! docs/errors.md names every reason that the code can give, and no other.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use deskhand_proto::replies::v1::FailureReason;

/// All text of the .rs files under `folder`.
fn sources(folder: &Path) -> String {
    let mut text = String::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            text += &sources(&path);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let source = fs::read_to_string(path).unwrap();
            text += source.split("#[cfg(test)]").next().unwrap();
        }
    }
    text
}

fn is_reason(word: &str) -> bool {
    word.len() > 4 && word.chars().all(|c| c.is_ascii_uppercase() || c == '_')
}

#[test]
fn every_reason_stands_in_the_table() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let table = fs::read_to_string(root.join("docs/errors.md")).unwrap();
    let documented: BTreeSet<String> = table
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .map(str::to_owned)
        .collect();

    let mut given = BTreeSet::new();
    for file in ["ticket-service/src/error.rs", "assistant-service/src/error.rs"] {
        given.extend(quoted(
            fs::read_to_string(root.join(file))
                .unwrap()
                .split("#[cfg(test)]")
                .next()
                .unwrap(),
        ));
    }
    given.extend(after(
        &sources(&root.join("ticket-service/src/replies")),
        "End::Interrupted",
    ));
    let kit = sources(&root.join("service-kit/src"));
    given.extend(after(&kit, "Refusal::new("));
    given.extend(after(&kit, "Self::new("));
    given.extend(after(
        &sources(&root.join("ticket-service/src/replies")),
        "Interrupted {",
    ));
    for number in 1.. {
        let Ok(reason) = FailureReason::try_from(number) else {
            break;
        };
        given.insert(reason.as_str_name().to_owned());
    }
    let gateway = fs::read_to_string(root.join("gateway/src/local_replies.rs")).unwrap();
    given.extend(after(&gateway, "reason: "));
    given.extend(quoted(
        &fs::read_to_string(root.join("deploy/envoy/strict_json.lua")).unwrap(),
    ));
    let given: BTreeSet<String> = given.into_iter().filter(|word| is_reason(word)).collect();
    assert_eq!(documented, given);
}

/// What stands in quotes.
fn quoted(text: &str) -> Vec<String> {
    text.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The first quoted text after each `marker`.
fn after(text: &str, marker: &str) -> Vec<String> {
    text.split(marker)
        .skip(1)
        .filter_map(|rest| rest.split('"').nth(1))
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_audit_event_stands_in_the_table() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let table = fs::read_to_string(root.join("docs/audit.md")).unwrap();
    let documented: BTreeSet<String> = table
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .map(str::to_owned)
        .collect();
    let source = fs::read_to_string(root.join("ticket-service/src/accounts/audit.rs")).unwrap();
    let given: BTreeSet<String> = after(&source, "#[strum(serialize = ").into_iter().collect();
    assert_eq!(documented, given);
}
