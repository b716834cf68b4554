//! A server that outlived its owner: after `kill -9` it needs a moment to end, and must be gone before another starts.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::Error;

const POLL: Duration = Duration::from_millis(10);

/// Waits until no process works in `dir` or below. The caller holds the folder's lock, so no live owner is disturbed.
pub(crate) fn wait_until_gone(dir: &Path, limit: Duration) -> Result<(), Error> {
    let deadline = Instant::now() + limit;
    #[cfg(not(target_os = "linux"))]
    for pid in at_work_in(dir) {
        // Nothing told it that its owner is gone.
        let _ = crate::process::signal_pid(pid, crate::process::Ask::Interrupt);
    }
    loop {
        let Some(pid) = at_work_in(dir).into_iter().next() else {
            return Ok(());
        };
        if Instant::now() >= deadline {
            return Err(Error::StillRunning {
                dir: dir.to_owned(),
                pid,
            });
        }
        thread::sleep(POLL);
    }
}

/// Removes the pid file of a server that is gone, when its id names some other process by now (after a reboot, say):
/// PostgreSQL would refuse to start. Where the id names nobody, PostgreSQL does this itself, with more checks.
pub(crate) fn forget_reused_pid(data_dir: &Path) {
    let pid_file = data_dir.join("postmaster.pid");
    if cfg!(target_os = "linux")
        && let Some(pid) = recorded_pid(data_dir)
        && crate::process::exists(pid)
        && at_work_in(data_dir).is_empty()
    {
        let _ = fs::remove_file(pid_file);
    }
}

/// The first line of `postmaster.pid`.
fn recorded_pid(data_dir: &Path) -> Option<u32> {
    fs::read_to_string(data_dir.join("postmaster.pid"))
        .ok()?
        .lines()
        .next()?
        .trim()
        .parse()
        .ok()
}

/// Every process of a server (not only the first) has the data folder as its working directory; so may a shell have.
#[cfg(target_os = "linux")]
fn at_work_in(dir: &Path) -> Vec<u32> {
    let Ok(processes) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    processes
        .flatten()
        .filter_map(|process| {
            let pid = process.file_name().to_str()?.parse().ok()?;
            let inside = fs::read_link(process.path().join("cwd")).ok()?.starts_with(dir);
            let name = fs::read_to_string(process.path().join("comm")).ok()?;
            (inside && matches!(name.trim_end(), "postgres" | "postmaster")).then_some(pid)
        })
        .collect()
}

/// Without /proc: the process that the pid file names, if it is a `postgres`.
#[cfg(not(target_os = "linux"))]
fn at_work_in(dir: &Path) -> Vec<u32> {
    let is_postgres = |pid: &u32| {
        let output = std::process::Command::new("ps")
            .args(["-o", "comm=", "-p", &pid.to_string()])
            .output();
        output.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("postgres"))
    };
    [dir.to_owned(), dir.join("data")]
        .iter()
        .filter_map(|dir| recorded_pid(dir))
        .filter(is_postgres)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pid_of_another_process_is_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let pid_file = dir.path().join("postmaster.pid");
        fs::write(&pid_file, format!("{}\n", std::process::id())).unwrap();
        forget_reused_pid(dir.path());
        assert_eq!(pid_file.exists(), !cfg!(target_os = "linux"));
    }
}
