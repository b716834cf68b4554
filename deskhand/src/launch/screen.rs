//! What a person sees. Colour only on a terminal; a reader that went away is no reason to stop.

use std::fmt::Display;
use std::io::Write;
use std::time::Duration;

use clap::builder::styling::{AnsiColor, Style};

const NAME: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const WARNING: Style = AnsiColor::Yellow.on_default().bold().invert();
const READY: Style = AnsiColor::Green.on_default().bold();
/// Of the names in `log_line`, one each.
const LOG_COLOURS: [AnsiColor; 3] = [AnsiColor::Cyan, AnsiColor::Magenta, AnsiColor::Blue];
/// The longest name, and a space.
const NAME_WIDTH: usize = 18;

/// Standard output.
#[derive(Clone, Copy)]
pub(crate) struct Screen;

impl Screen {
    pub(crate) fn new() -> Self {
        Self
    }

    pub(crate) fn line(self, line: impl Display) {
        let _ = writeln!(anstream::stdout().lock(), "{line}");
    }

    /// One thing that is done, or is.
    pub(crate) fn fact(self, name: &str, text: impl Display) {
        self.line(format_args!("  {NAME}{name:NAME_WIDTH$}{NAME:#}{text}"));
    }

    /// A line that cannot be missed.
    pub(crate) fn warn(self, text: &str) {
        self.line(format_args!("\n{WARNING} {text} {WARNING:#}\n"));
    }

    /// A line of a child's log.
    pub(crate) fn log_line(self, name: &str, text: &str) {
        let colour = LOG_COLOURS[name.len() % LOG_COLOURS.len()].on_default();
        self.line(format_args!("{colour}{name:NAME_WIDTH$}|{colour:#} {text}"));
    }

    pub(crate) fn ready(self, after: Duration) {
        self.line(format_args!(
            "\n{READY}Deskhand is ready{READY:#} after {:.1} s.",
            after.as_secs_f64()
        ));
    }

    /// What to try, and how to end it.
    pub(crate) fn commands(self, commands: &[String]) {
        self.line("\nTry it, in another terminal:");
        for command in commands {
            self.line(format_args!("  {command}"));
        }
        self.line(format_args!("\n{DIM}Ctrl-C stops everything.{DIM:#}"));
    }

    pub(crate) fn stopping(self, after_a_failure: bool) {
        let why = if after_a_failure {
            "something failed (see below); "
        } else {
            ""
        };
        self.line(format_args!("\n{why}stopping (Ctrl-C ends it at once) …"));
    }

    pub(crate) fn stopped(self) {
        self.line("stopped; the data are kept for the next start");
    }
}

/// A word for a POSIX shell, to paste.
pub(crate) fn quote(word: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-=:@,+".contains(letter);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_where_a_shell_would_read_them_otherwise() {
        assert_eq!(quote("/tmp/a-b"), "/tmp/a-b");
        assert_eq!(quote("a b"), "'a b'");
        assert_eq!(quote("it's"), r"'it'\''s'");
        assert_eq!(quote(""), "''");
    }
}
