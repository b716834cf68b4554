//! The database: the one that was asked for, or one in a private cluster.

use anyhow::{Context, anyhow};
use local_postgres::{Cluster, Durability, Options};
use secrecy::{ExposeSecret, SecretString};
use tokio::task::JoinHandle;

use super::home::Home;
use super::screen::Screen;
use super::service::Environment;

const NAME: &str = "deskhand";

/// A database that answers.
pub(crate) struct Database {
    pub(crate) url: SecretString,
    /// Whether it was made just now, and so is empty for sure.
    pub(crate) is_new: bool,
    /// `None`: somebody else's server.
    pub(crate) cluster: Option<Cluster>,
}

impl Database {
    /// The database that was asked for. That it answers will show.
    pub(crate) fn given(url: &SecretString) -> Self {
        Self {
            url: url.clone(),
            is_new: false,
            cluster: None,
        }
    }

    /// Starts the private cluster, and makes it and the database if need be. Once begun, this goes on to its end.
    pub(crate) fn private(home: &Home) -> JoinHandle<anyhow::Result<Self>> {
        let options = Options {
            dir: home.join("postgres"),
            durability: Durability::Durable,
        };
        tokio::task::spawn_blocking(move || {
            let cluster = Cluster::start(&options).context("cannot start PostgreSQL")?;
            let is_new = cluster.create_database(NAME).context("cannot make the database")?;
            Ok(Self {
                url: cluster.url(NAME).into(),
                is_new,
                cluster: Some(cluster),
            })
        })
    }

    /// Says which it is.
    pub(crate) fn describe(&self, home: &Home, screen: Screen) {
        let Some(cluster) = &self.cluster else {
            screen.fact("database", "the one that DATABASE_URL names");
            return;
        };
        let (major, folder) = (cluster.binaries().major, home.shown().join("postgres"));
        let made = if self.is_new { ", made just now" } else { "" };
        screen.fact(
            "database",
            format_args!("PostgreSQL {major} in {}{made}", folder.display()),
        );
        if let Some(notice) = cluster.notice() {
            screen.fact("", notice);
        }
    }

    /// What there is to say if the private server has ended by itself.
    pub(crate) fn death(&self) -> Option<anyhow::Error> {
        let cluster = self.cluster.as_ref()?;
        let status = cluster.exit_status()?;
        let log = cluster.log();
        let log = log.display();
        Some(anyhow!(
            "PostgreSQL ended unexpectedly ({status}); the end of {log}:\n{}",
            cluster.log_tail()
        ))
    }

    /// The variables that a service needs to find it.
    pub(crate) fn environment(&self) -> Environment {
        let mut environment = vec![("DATABASE_URL", Some(self.url.expose_secret().to_owned()))];
        if self.cluster.is_some() {
            // The caller's, for another server; the URL says everything else.
            environment.push(("PGOPTIONS", None));
        }
        environment
    }
}
