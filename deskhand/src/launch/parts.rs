//! The parts of a system: where they listen, and what each is told. A part gets the secrets that it needs, no others.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::addresses::Reserved;
use super::admin::Admin;
use super::database::Database;
use super::health::Sign;
use super::home::Home;
use super::service::{Environment, Plan};
use super::settings::Args;

pub(crate) const TICKET_SERVICE: &str = "ticket-service";
pub(crate) const ASSISTANT_SERVICE: &str = "assistant-service";
pub(crate) const GROQ_SIM: &str = "groq-sim";
pub(crate) const GATEWAY: &str = "gateway";
const MIGRATE: &str = "ticket-service migrate";
const CREATE_ADMIN: &str = "ticket-service create-admin";

/// Addresses that are ours, until their services take them, and what to tell the services.
pub(crate) struct Parts<'a> {
    args: &'a Args,
    home: &'a Home,
    ticket_service: Reserved,
    ticket_ops: Reserved,
    assistant_service: Reserved,
    /// `None`: a real provider answers.
    groq_sim: Option<Reserved>,
    /// `None`: it was not asked for.
    gateway: Option<Reserved>,
}

impl<'a> Parts<'a> {
    /// Finds out whether the addresses are free.
    pub(crate) fn reserve(args: &'a Args, home: &'a Home) -> anyhow::Result<Self> {
        let groq_sim = match args.provider() {
            Some(_) => None,
            None => Some(Reserved::take(args.groq_sim_addr, "GROQ_SIM_ADDR")?),
        };
        let gateway = match args.gateway {
            true => Some(Reserved::take(args.gateway_addr, "GATEWAY_ADDR")?),
            false => None,
        };
        Ok(Self {
            args,
            home,
            ticket_service: Reserved::take(args.ticket_service_addr, "TICKET_SERVICE_ADDR")?,
            ticket_ops: Reserved::take(args.ticket_ops_addr, "TICKET_OPS_ADDR")?,
            assistant_service: Reserved::take(args.assistant_service_addr, "ASSISTANT_SERVICE_ADDR")?,
            groq_sim,
            gateway,
        })
    }

    /// Where clients find each; the simulator's is `None` where a real provider answers, the gateway's where there is none.
    pub(crate) fn ticket_service(&self) -> SocketAddr {
        self.ticket_service.dial()
    }

    pub(crate) fn ticket_ops(&self) -> SocketAddr {
        self.ticket_ops.dial()
    }

    pub(crate) fn assistant_service(&self) -> SocketAddr {
        self.assistant_service.dial()
    }

    pub(crate) fn groq_sim(&self) -> Option<SocketAddr> {
        self.groq_sim.as_ref().map(Reserved::dial)
    }

    pub(crate) fn gateway(&self) -> Option<SocketAddr> {
        self.gateway.as_ref().map(Reserved::dial)
    }

    /// Whom assistant-service asks.
    pub(crate) fn groq_base_url(&self) -> String {
        match self.groq_sim() {
            Some(address) => format!("http://{address}"),
            None => self.args.provider().unwrap_or_default().to_owned(),
        }
    }

    /// How each service shows that it is ready.
    pub(crate) fn signs(&self) -> Vec<(&'static str, Sign)> {
        let mut signs = vec![
            (ASSISTANT_SERVICE, Sign::Serves(self.assistant_service())),
            (TICKET_SERVICE, Sign::Serves(self.ticket_service())),
        ];
        signs.extend(self.groq_sim().map(|address| (GROQ_SIM, Sign::Accepts(address))));
        signs
    }

    pub(crate) fn migrate(&self, database: &Database) -> Plan {
        plan(MIGRATE, &["migrate"], self.ticket_service_environment(database))
    }

    pub(crate) fn create_admin(&self, database: &Database, admin: &Admin) -> Plan {
        let arguments = ["create-admin", "--email", &admin.email, "--password-stdin"];
        let plan = plan(CREATE_ADMIN, &arguments, self.ticket_service_environment(database));
        Plan {
            input: Some(format!("{}\n", admin.password)),
            ..plan
        }
    }

    /// The services, in the order of their start; their addresses are let go of.
    pub(crate) fn services(&mut self, database: &Database) -> Vec<Plan> {
        let mut plans = Vec::new();
        if let Some(groq_sim) = &mut self.groq_sim {
            groq_sim.release();
            let environment = vec![
                ("GROQ_SIM_ADDR", Some(groq_sim.address().to_string())),
                ("GROQ_API_KEY", None),
                ("DATABASE_URL", None),
            ];
            plans.push(plan(GROQ_SIM, &[], environment));
        }
        self.assistant_service.release();
        self.ticket_service.release();
        self.ticket_ops.release();
        let mut assistant_service = vec![
            (
                "ASSISTANT_SERVICE_ADDR",
                Some(self.assistant_service.address().to_string()),
            ),
            ("GROQ_BASE_URL", Some(self.groq_base_url())),
            ("DATABASE_URL", None),
        ];
        if self.groq_sim.is_some() {
            // The simulator wants a key as Groq does, and takes any.
            assistant_service.push(("GROQ_API_KEY", Some("simulated".to_owned())));
        }
        plans.push(plan(ASSISTANT_SERVICE, &[], assistant_service));
        plans.push(plan(
            TICKET_SERVICE,
            &["serve"],
            self.ticket_service_environment(database),
        ));
        plans
    }

    /// The gateway, if it is asked for, and how it shows that it is ready; its address is let go of. The program becomes
    /// Envoy, which ENVOY_BIN names.
    pub(crate) fn gateway_plan(&mut self) -> Option<(Plan, Sign)> {
        let gateway = self.gateway.as_mut()?;
        gateway.release();
        let (listen, sign) = (gateway.address(), Sign::Passes(gateway.dial()));
        let environment = vec![
            ("GATEWAY_ADDR", Some(listen.to_string())),
            ("TICKET_SERVICE_UPSTREAM", Some(self.ticket_service().to_string())),
            ("TICKET_OPS_UPSTREAM", Some(self.ticket_ops().to_string())),
            ("GATEWAY_DIR", Some(self.home.join("gateway").display().to_string())),
            ("GROQ_API_KEY", None),
            ("DATABASE_URL", None),
        ];
        Some((plan(GATEWAY, &["run"], environment), sign))
    }

    /// Where mail is written; `None` where its folder, or another mailer, was set.
    pub(crate) fn mail_dir(&self) -> Option<PathBuf> {
        let is_set = |variable| std::env::var_os(variable).is_some_and(|value| !value.is_empty());
        let is_file = std::env::var_os("MAILER").is_none_or(|mailer| mailer.is_empty() || mailer == "file");
        (is_file && !is_set("MAIL_DIR")).then(|| self.home.join("mail"))
    }

    fn ticket_service_environment(&self, database: &Database) -> Environment {
        let mut environment = database.environment();
        environment.extend([
            ("TICKET_SERVICE_ADDR", Some(self.ticket_service.address().to_string())),
            ("TICKET_OPS_ADDR", Some(self.ticket_ops.address().to_string())),
            ("ASSISTANT_URL", Some(format!("http://{}", self.assistant_service()))),
            (
                "DESKHAND_SECRET_FILE",
                Some(self.home.join("secret").display().to_string()),
            ),
            ("SIGNING_KEYS_DIR", Some(self.home.join("keys").display().to_string())),
            ("GROQ_API_KEY", None),
        ]);
        // Mail is for reading here, unless it was said what becomes of it.
        if std::env::var_os("MAILER").is_none_or(|mailer| mailer.is_empty()) {
            environment.push(("MAILER", Some("file".to_owned())));
        }
        // The gateway says whose computer calls.
        let trusts = std::env::var_os("TRUSTED_PROXIES").is_some_and(|proxies| !proxies.is_empty());
        if self.gateway.is_some() && !trusts {
            environment.push(("TRUSTED_PROXIES", Some("127.0.0.1,::1".to_owned())));
        }
        if let Some(gateway) = self.gateway()
            && std::env::var_os("PUBLIC_URL").is_none_or(|url| url.is_empty())
        {
            environment.push(("PUBLIC_URL", Some(format!("http://{gateway}"))));
        }
        if let Some(folder) = self.mail_dir() {
            environment.push(("MAIL_DIR", Some(folder.display().to_string())));
        }
        environment
    }
}

fn plan(name: &'static str, arguments: &[&str], mut environment: Environment) -> Plan {
    // The logs are files that people read.
    environment.push(("NO_COLOR", Some("1".to_owned())));
    if std::env::var_os("LOG_FORMAT").is_none_or(|format| format.is_empty()) {
        environment.push(("LOG_FORMAT", Some("text".to_owned())));
    }
    let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
    Plan {
        name,
        arguments,
        input: None,
        environment,
    }
}
