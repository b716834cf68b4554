//! What a line of a chat means.

use crate::failure::Failure;

pub(super) const HELP: &str = "\
a line is a message; the assistant answers it
  /ask         have the assistant answer what stands there, without a message
  /accept      post the draft as it is
  /edit TEXT   post this text instead of the draft; without TEXT, your editor opens with the draft
  /discard     put the draft away
  //TEXT       a message that begins with a slash
  /quit        leave, as Ctrl-D does
Ctrl-C stops an answer; once more, it leaves";

#[derive(Debug, PartialEq)]
pub(super) enum Said {
    Message(String),
    Ask,
    Accept,
    /// With the new text, where it was given.
    Edit(Option<String>),
    Discard,
    Help,
    Quit,
    Nothing,
}

impl Said {
    pub(super) fn of(line: &str) -> Result<Self, Failure> {
        let text = line.trim();
        let Some(command) = text.strip_prefix('/') else {
            return Ok(match text {
                "" => Self::Nothing,
                text => Self::Message(text.to_owned()),
            });
        };
        if command.starts_with('/') {
            return Ok(Self::Message(command.to_owned()));
        }
        let (word, rest) = command.split_once(char::is_whitespace).unwrap_or((command, ""));
        let rest = rest.trim();
        match (word, rest) {
            ("edit", "") => Ok(Self::Edit(None)),
            ("edit", text) => Ok(Self::Edit(Some(text.to_owned()))),
            ("ask", "") => Ok(Self::Ask),
            ("accept", "") => Ok(Self::Accept),
            ("discard", "") => Ok(Self::Discard),
            ("help", "") => Ok(Self::Help),
            ("quit", "") => Ok(Self::Quit),
            // A slip must not become a message that a customer reads.
            _ => Err(Failure::Usage(format!(
                "{text:?} is no command; /help lists them, and a message that begins with a slash begins with two"
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_message_unless_it_begins_with_a_slash() {
        let message = |text: &str| Said::Message(text.to_owned());
        for (line, said) in [
            ("hello there", message("hello there")),
            ("  and/or ", message("and/or")),
            ("//etc/passwd", message("/etc/passwd")),
            ("", Said::Nothing),
            ("  ", Said::Nothing),
            ("/ask", Said::Ask),
            ("/accept ", Said::Accept),
            ("/edit", Said::Edit(None)),
            ("/edit  Dear Ada, ", Said::Edit(Some("Dear Ada,".to_owned()))),
            ("/discard", Said::Discard),
            ("/help", Said::Help),
            ("/quit", Said::Quit),
        ] {
            assert_eq!(Said::of(line).unwrap(), said, "{line:?}");
        }
    }

    #[test]
    fn a_slip_is_not_a_message() {
        for line in ["/", "/acept", "/accept it", "/Ask", "/editor"] {
            assert!(matches!(Said::of(line), Err(Failure::Usage(_))), "{line:?}");
        }
    }
}
