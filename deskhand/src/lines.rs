//! Lines of standard input, one at a time and when they are asked for: what is typed ahead stays with the terminal.

use std::io::{self, BufRead, IsTerminal, Read};
use std::thread;

use tokio::sync::mpsc;

use crate::failure::Failure;
use crate::input::LONGEST_INPUT;

/// Read by a thread of its own, which nobody waits for when the process ends.
pub(crate) struct Lines {
    ask: std::sync::mpsc::Sender<()>,
    read: mpsc::Receiver<io::Result<Vec<u8>>>,
    asked: bool,
}

impl Lines {
    pub(crate) fn of_standard_input() -> Self {
        let (ask, asked) = std::sync::mpsc::channel();
        let (tell, read) = mpsc::channel(1);
        thread::spawn(move || {
            for () in asked {
                let mut line = Vec::new();
                let outcome = io::stdin()
                    .lock()
                    .take(LONGEST_INPUT + 1)
                    .read_until(b'\n', &mut line)
                    .map(|_| line);
                if tell.blocking_send(outcome).is_err() {
                    return;
                }
            }
        });
        Self {
            ask,
            read,
            asked: false,
        }
    }

    pub(crate) fn are_typed() -> bool {
        io::stdin().is_terminal()
    }

    /// The next line without its end; `None` after the last one. Dropped and called again, it goes on waiting for the same line.
    pub(crate) async fn next(&mut self) -> Result<Option<String>, Failure> {
        if !std::mem::replace(&mut self.asked, true) {
            // The thread ends with this value.
            let _ = self.ask.send(());
        }
        let read = self.read.recv().await;
        self.asked = false;
        let line = match read {
            Some(Ok(line)) => line,
            Some(Err(error)) => return Err(Failure::Local(format!("cannot read standard input: {error}"))),
            None => return Ok(None),
        };
        parse(line)
    }
}

fn parse(line: Vec<u8>) -> Result<Option<String>, Failure> {
    if line.is_empty() {
        return Ok(None);
    }
    if line.len() as u64 > LONGEST_INPUT {
        return Err(Failure::Usage("a line is longer than any text may be".to_owned()));
    }
    let mut line = String::from_utf8(line).map_err(|_| Failure::Usage("standard input is not UTF-8".to_owned()))?;
    let kept = line.trim_end_matches(['\n', '\r']).len();
    line.truncate(kept);
    Ok(Some(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_told_without_its_end() {
        for (bytes, line) in [
            (&b"hello\n"[..], Some("hello")),
            (b"hello\r\n", Some("hello")),
            (b"hello", Some("hello")),
            (b"\n", Some("")),
            (b"", None),
        ] {
            assert_eq!(parse(bytes.to_vec()).unwrap().as_deref(), line);
        }
        assert!(matches!(parse(vec![0xff, b'\n']), Err(Failure::Usage(_))));
        let long = vec![b'x'; usize::try_from(LONGEST_INPUT).unwrap() + 1];
        assert!(matches!(parse(long), Err(Failure::Usage(_))));
    }
}
