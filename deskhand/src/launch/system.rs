//! The whole: parts started in order, watched, and stopped.

use std::process;
use std::time::{Duration, Instant};

use anyhow::Context;
use secrecy::ExposeSecret;
use tokio::task::JoinHandle;

use super::admin::{ADMIN_EXISTS, ADMIN_MADE, Admin, Candidate, Known};
use super::crew::Crew;
use super::database::Database;
use super::home::Home;
use super::parts::{ASSISTANT_SERVICE, GATEWAY, GROQ_SIM, Parts, TICKET_SERVICE};
use super::run_file::{self, RunFile};
use super::screen::{Screen, quote};
use super::settings::Args;

/// Some migrations of a large database take their time.
const MIGRATED_WITHIN: Duration = Duration::from_secs(600);
const ADMIN_WITHIN: Duration = Duration::from_secs(30);

const SIMULATED: &str = "GROQ_API_KEY is not set: a SIMULATOR answers instead of a model, and its answers are made up.";

/// What runs, and what it was made from.
pub(crate) struct System<'a> {
    args: &'a Args,
    home: &'a Home,
    screen: Screen,
    parts: Parts<'a>,
    crew: Crew,
    /// While the private cluster starts, which cannot be cut short.
    opening: Option<JoinHandle<anyhow::Result<Database>>>,
    database: Option<Database>,
    begin: Instant,
}

impl<'a> System<'a> {
    /// Checks what can be checked before anything starts.
    pub(crate) fn new(args: &'a Args, home: &'a Home, screen: Screen) -> anyhow::Result<Self> {
        run_file::remove(home);
        let parts = Parts::reserve(args, home)?;
        let crew = Crew::new(home.logs()?, args.verbose.then_some(screen))?;
        Ok(Self {
            args,
            home,
            screen,
            parts,
            crew,
            opening: None,
            database: None,
            begin: Instant::now(),
        })
    }

    /// Starts everything and watches it; returns when a part failed.
    pub(crate) async fn run(&mut self) -> anyhow::Error {
        if let Err(failure) = self.start().await {
            return failure;
        }
        let database = &self.database;
        self.crew.first_death(|| database.as_ref()?.death()).await
    }

    async fn start(&mut self) -> anyhow::Result<()> {
        self.screen
            .line(format_args!("Starting Deskhand in {}", self.home.shown().display()));
        if self.parts.groq_sim().is_some() {
            self.screen.warn(SIMULATED);
        }
        let database = match self.args.database_url() {
            Some(url) => Database::given(url),
            None => {
                let opening = self.opening.insert(Database::private(self.home));
                let outcome = opening.await;
                self.opening = None;
                outcome.context("starting PostgreSQL")??
            }
        };
        let database = self.database.insert(database);
        database.describe(self.home, self.screen);

        let known_admin = Known::read(self.home, database)?;
        self.crew
            .run_to_end(self.parts.migrate(database), &[0], MIGRATED_WITHIN)
            .await?;
        self.screen.fact("schema", "up to date");
        for plan in self.parts.services(database) {
            self.crew.start(plan)?;
        }
        let admin = match known_admin {
            Known::Made(admin) => Some(admin),
            Known::Candidate(candidate) => self.create_admin(candidate).await?,
        };
        for (name, sign) in self.parts.signs() {
            self.crew.wait_until_ready(name, sign).await?;
        }
        // Last: it looks for ticket-service and its keys when it starts, and after that only every so often.
        if let Some((plan, sign)) = self.parts.gateway_plan() {
            self.crew.start(plan)?;
            self.crew.wait_until_ready(GATEWAY, sign).await?;
        }
        self.say_ready(admin.as_ref())
    }

    async fn create_admin(&mut self, candidate: Candidate) -> anyhow::Result<Option<Admin>> {
        let Some(database) = &self.database else {
            return Ok(None);
        };
        let plan = self.parts.create_admin(database, candidate.admin());
        let code = self
            .crew
            .run_to_end(plan, &[ADMIN_MADE, ADMIN_EXISTS], ADMIN_WITHIN)
            .await?;
        candidate.settle(self.home, code == ADMIN_MADE)
    }

    fn say_ready(&self, admin: Option<&Admin>) -> anyhow::Result<()> {
        let Some(database) = &self.database else { return Ok(()) };
        let mut pids = self.crew.pids();
        pids.insert("launcher", process::id());
        pids.extend(database.cluster.as_ref().map(|cluster| ("postgres", cluster.pid())));
        let groq_base_url = self.parts.groq_base_url();
        let run_file = RunFile {
            ticket_service: self.parts.ticket_service(),
            ticket_ops: self.parts.ticket_ops(),
            assistant_service: self.parts.assistant_service(),
            groq_sim: self.parts.groq_sim(),
            gateway: self.parts.gateway(),
            groq_base_url: &groq_base_url,
            database_url: database.url.expose_secret(),
            admin,
            pids,
        };
        run_file.write(self.home)?;

        let screen = self.screen;
        screen.ready(self.begin.elapsed());
        screen.fact(
            TICKET_SERVICE,
            format_args!("{}  (gRPC, reflection on)", run_file.ticket_service),
        );
        screen.fact(
            "",
            format_args!("http://{}  (/readyz, /.well-known/jwks.json)", run_file.ticket_ops),
        );
        screen.fact(ASSISTANT_SERVICE, run_file.assistant_service);
        if let Some(address) = run_file.gateway {
            screen.fact(GATEWAY, format_args!("http://{address}  (/try, /docs, /openapi.json)"));
        }
        match run_file.groq_sim {
            Some(address) => screen.fact(GROQ_SIM, format_args!("http://{address}")),
            None => screen.fact("provider", &groq_base_url),
        }
        match admin {
            Some(admin) => screen.fact("admin", format_args!("{}  password {}", admin.email, admin.password)),
            None => screen.fact("admin", "the database has one already; its password is not known here"),
        }
        if database.cluster.is_some() {
            screen.fact("psql", format_args!("psql {}", quote(run_file.database_url)));
        }
        if self.parts.mail_dir().is_some() {
            screen.fact("mail", self.home.shown().join("mail").display());
        }
        screen.fact("logs", self.home.shown().join("logs").display());
        screen.commands(&self.commands());
        Ok(())
    }

    /// To paste into another terminal.
    fn commands(&self) -> [String; 2] {
        let is_usual = self.home.shown() == "./.deskhand" || self.home.shown() == ".deskhand";
        let home = quote(&self.home.path().display().to_string());
        let prefix = if is_usual {
            String::new()
        } else {
            format!("DESKHAND_HOME={home} ")
        };
        let account = r#"{"email":"ada@example.com","password":"correct horse battery","display_name":"Ada"}"#;
        [
            format!("{prefix}cargo run -q -- demo"),
            format!(
                "grpcurl -plaintext -d {} {} deskhand.accounts.v1.AuthService/SignUp",
                quote(account),
                self.parts.ticket_service()
            ),
        ]
    }

    /// Whether there is anything to stop.
    pub(crate) fn has_started(&self) -> bool {
        self.opening.is_some() || self.database.is_some()
    }

    /// Stops the services, then the database; takes a bounded time.
    pub(crate) async fn stop(&mut self) {
        self.crew.stop(self.screen).await;
        if let Some(opening) = self.opening.take() {
            // A failure is no longer of interest.
            self.database = opening.await.ok().and_then(Result::ok);
        }
        if let Some(Database {
            cluster: Some(cluster), ..
        }) = self.database.take()
        {
            let stopped = tokio::task::spawn_blocking(move || cluster.stop()).await;
            if !matches!(stopped, Ok(Ok(()))) {
                self.screen
                    .fact("PostgreSQL", "did not stop; its next start will wait for it");
            }
        }
    }

    /// Ends everything at once.
    pub(crate) fn kill(&mut self) {
        self.crew.kill();
        if let Some(Database {
            cluster: Some(cluster), ..
        }) = &self.database
        {
            cluster.quit();
        }
    }
}
