//! A whole system, as `deskhand run` starts it, for tests of what talks to it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::panicking;

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::launch_support::{Launcher, command, folder, home};
use crate::people::PASSWORD;

/// A running system. It ends when the last test that holds it does.
pub(crate) struct System {
    launcher: Launcher,
    run_file: Value,
    folder: TempDir,
}

impl System {
    /// The system that the tests of this process have in common.
    pub(crate) fn shared() -> Arc<Self> {
        static SHARED: Mutex<Weak<System>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = shared.upgrade() {
            return running;
        }
        let folder = folder();
        let mut command = command(Path::new(env!("CARGO_BIN_EXE_deskhand")), folder.path());
        // All tests call from one address, and some guess wrong on purpose.
        command.env("LOGIN_FAILURES_PER_ADDRESS", "0");
        command.env("RUST_LOG", "debug");
        command.env_remove("MAILER").env_remove("MAIL_DIR");
        let mut launcher = Launcher::spawn(command, folder.path());
        let run_file = launcher.ready();
        let started = Arc::new(Self {
            launcher,
            run_file,
            folder,
        });
        *shared = Arc::downgrade(&started);
        started
    }

    /// Its folder, as `DESKHAND_HOME` names it.
    pub(crate) fn home(&self) -> PathBuf {
        home(self.folder.path())
    }

    /// E-mail address and password of the throw-away admin.
    pub(crate) fn admin(&self) -> (&str, &str) {
        let admin = &self.run_file["admin"];
        (admin["email"].as_str().unwrap(), admin["password"].as_str().unwrap())
    }

    /// The mails to an address so far, as their files have them.
    pub(crate) fn mails_to(&self, email: &str) -> Vec<String> {
        let files = fs::read_dir(self.home().join("mail")).unwrap();
        let mails = files.map(|file| fs::read_to_string(file.unwrap().path()).unwrap_or_default());
        mails.filter(|mail| mail.contains(&format!("<{email}>"))).collect()
    }

    /// `host:port` of ticket-service.
    pub(crate) fn ticket_service(&self) -> &str {
        self.run_file["ticket_service"].as_str().unwrap()
    }
}

impl Drop for System {
    fn drop(&mut self) {
        // After a failed test the launcher is just killed, when it is dropped.
        if !panicking() {
            self.launcher.signal(Signal::TERM);
            self.launcher.ended();
            for secret in [PASSWORD, self.admin().1] {
                listening::hear_of(secret);
            }
            listening::check_logs(&self.home().join("logs"));
        }
    }
}
