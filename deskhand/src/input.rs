//! What is read from standard input and the terminal.

use std::env;
use std::fmt::Display;
use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::path::Path;

use secrecy::{ExposeSecret, SecretString};
use tokio::signal::unix::{SignalKind, signal};

use crate::failure::Failure;

/// Far above what the server accepts: its answer says what the limit is.
pub(crate) const LONGEST_INPUT: u64 = 1 << 20;

/// The text of an argument; `-` stands for what standard input has.
pub(crate) fn text(argument: String) -> Result<String, Failure> {
    if argument == "-" {
        standard_input()
    } else {
        Ok(argument)
    }
}

/// The text of a file; `-` stands for standard input.
pub(crate) fn file(path: &Path) -> Result<String, Failure> {
    if path == Path::new("-") {
        return standard_input();
    }
    let wrong = |why: &dyn Display| Failure::Local(format!("cannot read {}: {why}", path.display()));
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| wrong(&error))?;
    let read = file.take(LONGEST_INPUT + 1).read_to_end(&mut bytes);
    read.map_err(|error| wrong(&error))?;
    if bytes.len() as u64 > LONGEST_INPUT {
        return Err(wrong(&"it is longer than any text may be"));
    }
    String::from_utf8(bytes).map_err(|_| wrong(&"it is not UTF-8"))
}

/// A password, asked for twice where `new`.
pub(crate) fn password(from_stdin: bool, new: bool) -> Result<SecretString, Failure> {
    if from_stdin {
        let input = SecretString::from(standard_input()?);
        return Ok(first_line(input.expose_secret()).into());
    }
    match env::var("DESKHAND_PASSWORD") {
        Ok(password) => return Ok(password.into()),
        Err(env::VarError::NotPresent) => {}
        Err(error) => return Err(Failure::Usage(format!("DESKHAND_PASSWORD: {error}"))),
    }
    if !io::stdin().is_terminal() {
        return Err(Failure::Usage(
            "no password: use --password-stdin, or set DESKHAND_PASSWORD".to_owned(),
        ));
    }
    if new {
        new_password("Password: ")
    } else {
        prompt("Password: ")
    }
}

/// Something secret, called `what`, that allows to set a password, and that password.
pub(crate) fn secret_and_new_password(from_stdin: bool, what: &str) -> Result<(SecretString, SecretString), Failure> {
    if from_stdin {
        let input = SecretString::from(standard_input()?);
        let Some((first, second)) = two_lines(input.expose_secret()) else {
            return Err(Failure::Usage(format!(
                "standard input must have the {what} and the new password, a line each"
            )));
        };
        return Ok((first.into(), second.into()));
    }
    if !io::stdin().is_terminal() {
        return Err(Failure::Usage(format!(
            "no {what}: use --password-stdin for it and the new password"
        )));
    }
    let mut question = format!("{what}: ");
    question[..1].make_ascii_uppercase();
    Ok((prompt(&question)?, new_password("New password: ")?))
}

fn new_password(question: &str) -> Result<SecretString, Failure> {
    let password = prompt(question)?;
    if prompt("The same again: ")?.expose_secret() != password.expose_secret() {
        return Err(Failure::Usage("the two passwords are not the same".to_owned()));
    }
    Ok(password)
}

/// Asks without echo. Ctrl-C gives the terminal back as it was before it ends the command.
fn prompt(question: &str) -> Result<SecretString, Failure> {
    let wrong = |error: io::Error| Failure::Local(format!("cannot ask for the password: {error}"));
    // As long as someone listens, the signal does not end the process: reading ends instead, and tidies up.
    let mut interrupts = signal(SignalKind::interrupt()).map_err(wrong)?;
    let answer = rpassword::prompt_password(question);
    tokio::spawn(async move {
        interrupts.recv().await;
        std::process::exit(Failure::Interrupted.exit_code().into());
    });
    match answer {
        Ok(password) => Ok(password.into()),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(Failure::Interrupted),
        Err(error) => Err(wrong(error)),
    }
}

fn standard_input() -> Result<String, Failure> {
    let mut bytes = Vec::new();
    let read = io::stdin().lock().take(LONGEST_INPUT + 1).read_to_end(&mut bytes);
    read.map_err(|error| Failure::Local(format!("cannot read standard input: {error}")))?;
    if bytes.len() as u64 > LONGEST_INPUT {
        return Err(Failure::Usage(
            "standard input is longer than any text may be".to_owned(),
        ));
    }
    String::from_utf8(bytes).map_err(|_| Failure::Usage("standard input is not UTF-8".to_owned()))
}

/// Whoever writes a line ends it; the end is not part of the password.
fn first_line(text: &str) -> &str {
    let line = text.split_once('\n').map_or(text, |(line, _)| line);
    line.strip_suffix('\r').unwrap_or(line)
}

fn two_lines(text: &str) -> Option<(&str, &str)> {
    let (first, rest) = text.split_once('\n')?;
    let second = first_line(rest);
    (!second.is_empty()).then_some((first_line(first), second))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_secrets_are_two_lines() {
        for text in ["one\ntwo", "one\ntwo\n", "one\r\ntwo\r\n", "one\ntwo\nthree"] {
            assert_eq!(two_lines(text), Some(("one", "two")), "{text:?}");
        }
        for text in ["", "one", "one\n", "one\n\ntwo"] {
            assert_eq!(two_lines(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_password_ends_with_its_line() {
        for text in ["pass word", "pass word\n", "pass word\r\n", "pass word\nsecond"] {
            assert_eq!(first_line(text), "pass word");
        }
        assert_eq!(first_line(" spaces stay \n"), " spaces stay ");
    }
}
