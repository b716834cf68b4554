//! What a child writes: kept in a file, its last lines in memory, and shown as it comes if asked for.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, PipeReader, PipeWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::sync::watch;

use super::screen::Screen;

/// As many lines go into the report of a failure.
const TAIL_LINES: usize = 40;
/// After a child's end, for its last lines to arrive.
const LAST_LINES_WITHIN: Duration = Duration::from_secs(1);

/// One child's output.
pub(crate) struct Log {
    path: PathBuf,
    tail: Arc<Mutex<VecDeque<String>>>,
    ended: watch::Receiver<bool>,
}

impl Log {
    /// Begins a new log for `name`, keeping the one before it, and returns where the child is to write.
    pub(crate) fn begin(folder: &Path, name: &'static str, screen: Option<Screen>) -> io::Result<(Self, PipeWriter)> {
        let path = folder.join(format!("{}.log", name.replace(' ', "-")));
        // There may be none before it.
        let _ = fs::rename(&path, path.with_extension("log.old"));
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(&path)?;
        let (reader, writer) = io::pipe()?;
        let tail = Arc::new(Mutex::new(VecDeque::with_capacity(TAIL_LINES)));
        let (finished, ended) = watch::channel(false);
        let kept = Arc::clone(&tail);
        thread::Builder::new().name(format!("log of {name}")).spawn(move || {
            copy_lines(reader, file, &kept, |line| {
                if let Some(screen) = &screen {
                    screen.log_line(name, line);
                }
            });
            finished.send_replace(true);
        })?;
        Ok((Self { path, tail, ended }, writer))
    }

    /// The file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The last lines of a child that has ended.
    pub(crate) async fn last_lines(&self) -> Vec<String> {
        let mut ended = self.ended.clone();
        // Something else may hold the pipe open: then what has come is all there is to show.
        let _ = tokio::time::timeout(LAST_LINES_WITHIN, ended.wait_for(|ended| *ended)).await;
        self.tail
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .cloned()
            .collect()
    }
}

fn copy_lines(reader: PipeReader, mut file: File, tail: &Mutex<VecDeque<String>>, show: impl Fn(&str)) {
    let mut reader = BufReader::new(reader);
    let mut line = Vec::new();
    while matches!(reader.read_until(b'\n', &mut line), Ok(1..)) {
        // A full disk must not stop the child, which it would if nobody read on.
        let _ = file.write_all(&line);
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        show(&text);
        let mut tail = tail.lock().unwrap_or_else(PoisonError::into_inner);
        if tail.len() == TAIL_LINES {
            tail.pop_front();
        }
        tail.push_back(text);
        line.clear();
    }
}
