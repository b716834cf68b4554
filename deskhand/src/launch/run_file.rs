//! `run.json`: what a running system says of itself to scripts and to the client.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;

use anyhow::Context;
use serde::Serialize;

use super::admin::Admin;
use super::home::Home;

const NAME: &str = "run.json";

/// The file's content.
#[derive(Serialize)]
pub(crate) struct RunFile<'a> {
    pub(crate) ticket_service: SocketAddr,
    /// Of its listener for machines.
    pub(crate) ticket_ops: SocketAddr,
    pub(crate) assistant_service: SocketAddr,
    /// `null` when a real provider answers.
    pub(crate) groq_sim: Option<SocketAddr>,
    /// `null` when it was not asked for.
    pub(crate) gateway: Option<SocketAddr>,
    pub(crate) groq_base_url: &'a str,
    pub(crate) database_url: &'a str,
    /// `null` when the database has an admin that was not made here.
    pub(crate) admin: Option<&'a Admin>,
    /// By the name of the part.
    pub(crate) pids: BTreeMap<&'static str, u32>,
}

impl RunFile<'_> {
    pub(crate) fn write(&self, home: &Home) -> anyhow::Result<()> {
        let mut text = serde_json::to_string_pretty(self).context(NAME)?;
        text.push('\n');
        home.write_private(NAME, text.as_bytes())
    }
}

/// Removes the file, if there is one: a launcher that was killed leaves it.
pub(crate) fn remove(home: &Home) {
    let _ = fs::remove_file(home.join(NAME));
}
