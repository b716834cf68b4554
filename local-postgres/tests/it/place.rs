//! Folders that do not suit.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use crate::support::{execute, folder, query, start};

#[test]
fn long_and_strange_folder_names_work() {
    let folder = folder();
    let strange = folder.path().join("it's 100% \"my\" café, really + more");
    let cluster = start(&strange).unwrap();
    assert!(!query(&cluster.admin_url(), "SELECT version()").is_empty());

    let long = folder.path().join("long".repeat(30));
    let cluster = start(&long).unwrap();
    assert!(!query(&cluster.admin_url(), "SELECT version()").is_empty());
    assert!(cluster.url("x").contains("host=/tmp/"), "{}", cluster.url("x"));
    let socket_dir = query(&cluster.admin_url(), "SHOW unix_socket_directories");
    let socket_dir = PathBuf::from(socket_dir.trim_matches('"'));
    assert!(socket_dir.exists());
    drop(cluster);
    assert!(!socket_dir.exists());
}

/// Root in a folder below its home: PostgreSQL's user cannot pass through.
#[test]
fn root_in_a_closed_folder_gets_another_one() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("NOT CHECKED: needs root");
        return;
    }
    let closed = folder();
    fs::set_permissions(closed.path(), Permissions::from_mode(0o700)).unwrap();
    let dir = closed.path().join("postgres");

    let cluster = start(&dir).unwrap();
    let notice = cluster.notice().unwrap().to_owned();
    let instead = cluster.log().parent().unwrap().to_owned();
    assert!(
        notice.contains("cannot be entered by user") && notice.contains(instead.to_str().unwrap()),
        "{notice}"
    );
    execute(&cluster.admin_url(), "CREATE TABLE note AS SELECT 'kept' AS text");
    assert!(start(&dir).is_err(), "the lock stands in the folder that was asked for");
    drop(cluster);

    let cluster = start(&dir).unwrap();
    assert_eq!(query(&cluster.admin_url(), "SELECT text FROM note"), "kept");
    drop(cluster);
    fs::remove_dir_all(instead).unwrap();
}
