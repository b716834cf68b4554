//! The child processes: started one after the other, watched, and stopped in the opposite order.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::signal::unix::Signal;
use tokio::time::{Instant, sleep};

use super::health::Sign;
use super::screen::Screen;
use super::service::{Plan, Service, child_ended};

const READY_WITHIN: Duration = Duration::from_secs(30);
const READY_POLL: Duration = Duration::from_millis(20);
/// The services drain for 10 s at most.
const STOPPED_WITHIN: Duration = Duration::from_secs(15);

/// The children that run.
pub(crate) struct Crew {
    /// In the order of their start.
    services: Vec<Service>,
    logs: PathBuf,
    /// Shows what they log.
    verbose: Option<Screen>,
    child_ended: Signal,
}

impl Crew {
    pub(crate) fn new(logs: PathBuf, verbose: Option<Screen>) -> anyhow::Result<Self> {
        Ok(Self {
            services: Vec::new(),
            logs,
            verbose,
            child_ended: child_ended()?,
        })
    }

    pub(crate) fn start(&mut self, plan: Plan) -> anyhow::Result<()> {
        self.services.push(Service::start(plan, &self.logs, self.verbose)?);
        Ok(())
    }

    /// Runs a program that ends by itself, and with one of the expected exit codes, which is returned.
    pub(crate) async fn run_to_end(&mut self, plan: Plan, expected: &[i32], limit: Duration) -> anyhow::Result<i32> {
        // It stands among the others meanwhile, so that whoever stops them stops it too.
        self.start(plan)?;
        let service = self.services.last_mut().context("nothing was started")?;
        let Some(status) = service.wait_until(Instant::now() + limit).await else {
            return Err(service
                .obituary(&format!("did not end within {} s", limit.as_secs()))
                .await);
        };
        match status.code() {
            Some(code) if expected.contains(&code) => {
                self.services.pop();
                Ok(code)
            }
            _ => Err(service.obituary(&format!("failed ({status})")).await),
        }
    }

    /// Waits for a service's sign, for a bounded time, or for its end.
    pub(crate) async fn wait_until_ready(&mut self, name: &str, sign: Sign) -> anyhow::Result<()> {
        let Some(service) = self.services.iter_mut().find(|service| service.name() == name) else {
            bail!("{name} was not started");
        };
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            let given = sign.is_given().await;
            // Another program may answer on the address of a service that could not have it.
            if let Some(status) = service.exit_status() {
                return Err(service.obituary(&format!("ended while starting ({status})")).await);
            }
            let Err(why) = given else { return Ok(()) };
            if Instant::now() >= deadline {
                let seconds = READY_WITHIN.as_secs();
                return Err(service
                    .obituary(&format!("is not ready after {seconds} s ({why})"))
                    .await);
            }
            sleep(READY_POLL).await;
        }
    }

    /// Waits until a service, or whatever `also` looks at, has ended.
    pub(crate) async fn first_death(&mut self, also: impl Fn() -> Option<anyhow::Error>) -> anyhow::Error {
        loop {
            if let Some(death) = also() {
                return death;
            }
            for service in &mut self.services {
                if let Some(status) = service.exit_status() {
                    return service.obituary(&format!("ended unexpectedly ({status})")).await;
                }
            }
            self.child_ended.recv().await;
        }
    }

    /// Process ids by name.
    pub(crate) fn pids(&self) -> BTreeMap<&'static str, u32> {
        self.services
            .iter()
            .map(|service| (service.name(), service.pid()))
            .collect()
    }

    /// Stops everything, the last one started first; takes a bounded time.
    pub(crate) async fn stop(&mut self, screen: Screen) {
        for service in self.services.iter_mut().rev() {
            if !service.stop(STOPPED_WITHIN).await {
                screen.fact(
                    service.name(),
                    format_args!("killed: it did not end in {} s", STOPPED_WITHIN.as_secs()),
                );
            }
        }
    }

    /// Ends everything at once.
    pub(crate) fn kill(&mut self) {
        for service in &mut self.services {
            service.kill();
        }
    }
}
