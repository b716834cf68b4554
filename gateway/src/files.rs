//! The files that Envoy reads, written into one folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;
use deskhand_proto::FILE_DESCRIPTOR_SET;

use crate::settings::Run;
use crate::{pages, render, shapes};

/// The contracts.
pub(crate) const DESCRIPTORS: &str = "deskhand.fds";
/// The check of JSON.
pub(crate) const STRICT_JSON: &str = "strict_json.lua";
const CONFIGURATION: &str = "envoy.yaml";
/// Envoy writes it: where its administration listens.
const ADMIN: &str = "admin";

/// A folder with all of them.
pub struct Files {
    dir: PathBuf,
}

/// Writes the files of a gateway.
///
/// # Errors
/// Where a setting cannot be used, or a file not be written.
pub fn write(settings: &Run) -> anyhow::Result<Files> {
    let dir = &settings.dir;
    let written = || -> anyhow::Result<PathBuf> {
        fs::create_dir_all(dir)?;
        Ok(fs::canonicalize(dir)?)
    };
    let dir = written().with_context(|| format!("cannot make {} (GATEWAY_DIR)", dir.display()))?;
    put(&dir, DESCRIPTORS, FILE_DESCRIPTOR_SET)?;
    put(&dir, STRICT_JSON, shapes::lua()?.as_bytes())?;
    for page in pages::PAGES {
        put(&dir, page.file, page.content)?;
    }
    put(&dir, CONFIGURATION, render::configuration(settings, &dir)?.as_bytes())?;
    Ok(Files { dir })
}

fn put(dir: &Path, name: &str, content: &[u8]) -> anyhow::Result<()> {
    let path = dir.join(name);
    fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))
}

impl Files {
    /// What starts Envoy on them.
    pub fn envoy(&self, settings: &Run) -> Command {
        let mut command = Command::new(&settings.envoy_bin);
        command
            .arg("--config-path")
            .arg(self.dir.join(CONFIGURATION))
            .arg("--admin-address-path")
            .arg(self.dir.join(ADMIN))
            .args(["--log-level", "warn", "--disable-hot-restart"])
            // Of the log of requests.
            .args(["--file-flush-interval-msec", "500"]);
        if let Some(threads) = settings.threads {
            command.arg("--concurrency").arg(threads.to_string());
        }
        command
    }

    /// Says where they are.
    #[expect(clippy::print_stdout, reason = "it is what the command is for")]
    pub fn say(&self) {
        println!("envoy --config-path {}", self.dir.join(CONFIGURATION).display());
    }
}
