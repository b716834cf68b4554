//! The README's lines do what it says.

use std::path::Path;
use std::process::Command;

use crate::system::System;

const MARK: &str = "<!-- A test runs these lines as they stand. -->\n```sh\n";

/// The marked lines.
fn lines() -> String {
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md")).unwrap();
    let (_, rest) = readme.split_once(MARK).unwrap();
    rest.split_once("\n```").unwrap().0.to_owned()
}

#[test]
fn grpcurl_lines_of_the_readme_work() {
    let system = System::shared();
    let script = lines().replace("127.0.0.1:50051", system.ticket_service());
    assert!(script.matches("grpcurl ").count() >= 8, "{script}");
    let done = Command::new("sh").args(["-euxc", &script]).output().unwrap();
    let (said, wrong) = (
        String::from_utf8(done.stdout).unwrap(),
        String::from_utf8(done.stderr).unwrap(),
    );
    assert!(done.status.success(), "{said}\n{wrong}");

    for expected in [
        "deskhand.replies.v1.ReplyService",
        "\"status\": \"SERVING\"",
        "\"email\": \"bob@example.com\"",
        "\"title\": \"Printer\"",
        "\"started\"",
        "\"delta\"",
        "\"completed\"",
    ] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
    let posted = said.matches("\"authorKind\": \"AUTHOR_KIND_ASSISTANT\"").count();
    assert_eq!(posted, 2, "once in `completed`, once in the ticket: {said}");
}
