//! Child processes that end when this process does, however it ends.
//!
//! Linux can send a child a signal when its parent dies (`PR_SET_PDEATHSIG`). "Parent" means the *thread* that made the
//! child, so children are made by one thread that lives as long as the process. Other systems have no such thing: there
//! a child survives `kill -9` of its parent.

use std::io;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

const POLL: Duration = Duration::from_millis(2);

/// What a child gets when this process dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnParentDeath {
    /// SIGKILL: it ends at once.
    Kill,
    /// SIGQUIT: PostgreSQL's immediate shutdown, which takes its own children along.
    Quit,
}

/// What to ask of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// SIGTERM: finish and end.
    Terminate,
    /// SIGINT: to PostgreSQL, a fast shutdown.
    Interrupt,
    /// SIGQUIT: to PostgreSQL, an immediate shutdown.
    Quit,
    /// SIGKILL.
    Kill,
}

struct Order {
    command: Command,
    on_parent_death: OnParentDeath,
    reply: mpsc::SyncSender<io::Result<Child>>,
}

/// Holding a sender for ever keeps the spawning thread alive for ever.
static SPAWNER: Mutex<Option<mpsc::Sender<Order>>> = Mutex::new(None);

/// Starts a child which gets a signal when this process dies.
///
/// A terminal's Ctrl-C reaches it too, unless it has a process group of its own: `command.process_group(0)`.
///
/// # Errors
///
/// Those of [`Command::spawn`].
pub fn spawn_tied(command: Command, on_parent_death: OnParentDeath) -> io::Result<Child> {
    let (reply, answer) = mpsc::sync_channel(1);
    let gone = |_| io::Error::other("the spawning thread is gone");
    spawner()?
        .send(Order {
            command,
            on_parent_death,
            reply,
        })
        .map_err(|_| gone(mpsc::RecvError))?;
    answer.recv().map_err(gone)?
}

fn spawner() -> io::Result<mpsc::Sender<Order>> {
    let mut slot = SPAWNER.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(sender) = &*slot {
        return Ok(sender.clone());
    }
    let (sender, orders) = mpsc::channel::<Order>();
    thread::Builder::new().name("spawner".to_owned()).spawn(move || {
        for mut order in orders {
            tie(&mut order.command, order.on_parent_death);
            // Nobody waits for the answer only if the caller's thread is gone; the child then dies with the process.
            let _ = order.reply.send(order.command.spawn());
        }
    })?;
    *slot = Some(sender.clone());
    Ok(sender)
}

#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "what runs between fork and exec has no safe interface")]
fn tie(command: &mut Command, on_parent_death: OnParentDeath) {
    use std::os::unix::process::CommandExt;

    let parent = rustix::process::getpid();
    let signal = match on_parent_death {
        OnParentDeath::Kill => Signal::KILL,
        OnParentDeath::Quit => Signal::QUIT,
    };
    let tie = move || {
        rustix::process::set_parent_process_death_signal(Some(signal))?;
        // The parent may have died before the line above; then nothing would ever signal this child.
        if rustix::process::getppid() == Some(parent) {
            Ok(())
        } else {
            Err(rustix::io::Errno::SRCH.into())
        }
    };
    // SAFETY: the closure makes two system calls, allocates nothing and takes no lock, so it may run in a child forked
    // from a process with threads. It runs after the change of user, which would undo the setting.
    unsafe {
        command.pre_exec(tie);
    }
}

#[cfg(not(target_os = "linux"))]
fn tie(_command: &mut Command, _on_parent_death: OnParentDeath) {}

/// Sends a signal to a child that has not been waited for.
///
/// # Errors
///
/// Those of `kill`; a child that has ended already is none.
pub fn signal(child: &Child, ask: Ask) -> io::Result<()> {
    signal_pid(child.id(), ask)
}

pub(crate) fn signal_pid(pid: u32, ask: Ask) -> io::Result<()> {
    let signal = match ask {
        Ask::Terminate => Signal::TERM,
        Ask::Interrupt => Signal::INT,
        Ask::Quit => Signal::QUIT,
        Ask::Kill => Signal::KILL,
    };
    let Some(pid) = to_pid(pid) else { return Ok(()) };
    match rustix::process::kill_process(pid, signal) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Whether a process of this id exists, whoever owns it.
#[must_use]
pub fn exists(pid: u32) -> bool {
    to_pid(pid).is_some_and(|pid| !matches!(rustix::process::test_kill_process(pid), Err(rustix::io::Errno::SRCH)))
}

fn to_pid(pid: u32) -> Option<Pid> {
    i32::try_from(pid).ok().and_then(Pid::from_raw)
}

/// Waits for a child for at most `limit`; `None` when it still runs then.
///
/// # Errors
///
/// Those of [`Child::try_wait`].
pub fn wait_at_most(child: &mut Child, limit: Duration) -> io::Result<Option<ExitStatus>> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= deadline {
            return Ok(None);
        }
        thread::sleep(POLL);
    }
}
