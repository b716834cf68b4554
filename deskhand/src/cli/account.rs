//! Arguments of what is done with one's own account.

use clap::{Args, Subcommand};

use super::{Paging, parse_id};

#[derive(Args)]
pub(crate) struct SignUp {
    /// The account's e-mail address.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) email: String,
    /// What other people see.
    #[arg(long)]
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) password: Password,
}

#[derive(Args)]
pub(crate) struct LogIn {
    /// The account's e-mail address.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) email: String,
    #[command(flatten)]
    pub(crate) password: Password,
}

#[derive(Args)]
pub(crate) struct LogOut {
    /// Only forget it here: it lives on at the server until it ends by itself.
    #[arg(long)]
    pub(crate) local: bool,
}

#[derive(Args)]
pub(crate) struct ChangePassword {
    /// Read the current and the new password from standard input, a line each.
    ///
    /// Otherwise they are asked for on the terminal.
    #[arg(long = "password-stdin")]
    pub(crate) from_stdin: bool,
}

#[derive(Subcommand)]
pub(crate) enum ResetPassword {
    /// Have a link with a token sent to an e-mail address, if it has an account.
    Request(RequestReset),
    /// Set a new password by the token, or the link with it. All sessions of the account end.
    Confirm(ConfirmReset),
}

#[derive(Args)]
pub(crate) struct RequestReset {
    /// The account's e-mail address.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) email: String,
}

#[derive(Args)]
pub(crate) struct ConfirmReset {
    /// Read the token and the new password from standard input, a line each.
    ///
    /// Otherwise they are asked for on the terminal.
    #[arg(long = "password-stdin")]
    pub(crate) from_stdin: bool,
}

#[derive(Args)]
pub(crate) struct Sessions {
    #[command(flatten)]
    pub(crate) page: Paging,
    #[command(subcommand)]
    pub(crate) command: Option<SessionsCommand>,
}

#[derive(Subcommand)]
pub(crate) enum SessionsCommand {
    /// End one session, all others, or all.
    Revoke(Revoke),
}

#[derive(Args)]
pub(crate) struct Revoke {
    /// A session's id; `others` for all but this one, or `all`.
    #[arg(value_name = "ID|others|all", value_parser = parse_which)]
    pub(crate) which: String,
}

#[derive(Args)]
pub(crate) struct Password {
    /// Read the password from standard input, up to the first line break.
    ///
    /// Otherwise it is DESKHAND_PASSWORD, or asked for on the terminal.
    #[arg(long = "password-stdin")]
    pub(crate) from_stdin: bool,
}

/// What the contract takes for a session.
fn parse_which(text: &str) -> Result<String, String> {
    if matches!(text, "others" | "all") {
        return Ok(text.to_owned());
    }
    match parse_id(text) {
        Ok(id) => Ok(id.to_string()),
        Err(why) => Err(format!("others, all, or an id; {why}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_are_named_by_id_or_word() {
        for which in ["others", "all", "019a2f3e-7c1b-7d40-8a55-0123456789ab"] {
            assert_eq!(parse_which(which).as_deref(), Ok(which));
        }
        for which in ["", "All", "other", "1", "all "] {
            assert!(parse_which(which).unwrap_err().contains("UUID"), "{which}");
        }
    }
}
