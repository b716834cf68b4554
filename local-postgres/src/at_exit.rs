//! Throw-away clusters that are still there when the process exits, because they stand in a `static` and are never
//! dropped: stopped and removed, so that a test binary leaves nothing on the disk.

use std::ffi::c_int;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, Once, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, WaitOptions, waitpid};

use crate::process::{Ask, signal_pid};

const LIMIT: Duration = Duration::from_secs(5);

static REMAINING: Mutex<Vec<(u32, PathBuf)>> = Mutex::new(Vec::new());
static REGISTERED: Once = Once::new();

#[expect(unsafe_code, reason = "the standard library has no hook for the end of a process")]
mod c {
    // SAFETY: the C library's function, with its C signature; the callback does not unwind, for it does not panic.
    unsafe extern "C" {
        pub(super) safe fn atexit(callback: extern "C" fn()) -> std::ffi::c_int;
    }
}

/// Notes a server to stop and a folder to remove at exit.
pub(crate) fn add(pid: u32, dir: &Path) {
    REGISTERED.call_once(|| {
        // If the hook cannot be had, the server still dies with the process, and the folder is swept later.
        let _: c_int = c::atexit(stop_remaining);
    });
    lock().push((pid, dir.to_owned()));
}

/// Forgets a server, before it is waited for (its process id may then be given away).
pub(crate) fn remove(pid: u32) {
    lock().retain(|(remaining, _)| *remaining != pid);
}

fn lock() -> std::sync::MutexGuard<'static, Vec<(u32, PathBuf)>> {
    REMAINING.lock().unwrap_or_else(PoisonError::into_inner)
}

extern "C" fn stop_remaining() {
    let remaining = std::mem::take(&mut *lock());
    for (pid, _) in &remaining {
        let _ = signal_pid(*pid, Ask::Quit);
    }
    let deadline = Instant::now() + LIMIT;
    for (pid, dir) in &remaining {
        let Some(pid) = i32::try_from(*pid).ok().and_then(Pid::from_raw) else {
            continue;
        };
        while matches!(waitpid(Some(pid), WaitOptions::NOHANG), Ok(None)) && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(2));
        }
        let _ = fs::remove_dir_all(dir);
    }
}
