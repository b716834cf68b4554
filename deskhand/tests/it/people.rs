//! Those who use a real system.

use uuid::Uuid;

use crate::client::Client;
use crate::system::System;

/// Every customer's.
pub(crate) const PASSWORD: &str = "correct horse battery";

pub(crate) fn new_email() -> String {
    format!("{}@example.com", Uuid::new_v4().simple())
}

/// Someone new, logged in.
pub(crate) fn customer(system: &System) -> Client {
    customer_of(system, &new_email())
}

/// The same, of this address.
pub(crate) fn customer_of(system: &System, email: &str) -> Client {
    new_customer(system.ticket_service(), email)
}

/// Someone new at a server, logged in.
pub(crate) fn customer_at(server: &str) -> Client {
    new_customer(server, &new_email())
}

fn new_customer(server: &str, email: &str) -> Client {
    let client = Client::new(server);
    let mut sign_up = client.command(&["signup", "--email", email, "--name", "Ada"]);
    let done = sign_up.env("DESKHAND_PASSWORD", PASSWORD).output().unwrap();
    assert!(done.status.success(), "{done:?}");
    client.log_in(email, PASSWORD);
    client
}

/// Someone who has an account, logged in elsewhere too.
pub(crate) fn again(system: &System, email: &str) -> Client {
    let client = Client::new(system.ticket_service());
    client.log_in(email, PASSWORD);
    client
}

/// The admin, logged in.
pub(crate) fn admin(system: &System) -> Client {
    let client = Client::new(system.ticket_service());
    let (email, password) = system.admin();
    client.log_in(email, password);
    client
}
