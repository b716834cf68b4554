//! What an account is.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

use super::email::Email;
use super::password::Password;
use crate::caller::Role;
use crate::error::Result;
use crate::text::Rule;
use crate::violations::Violations;

const DISPLAY_NAME: Rule = Rule {
    characters: 100,
    bytes: 400,
    lines: false,
};

/// An account, without anything secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct User {
    pub(crate) id: Uuid,
    pub(crate) email: String,
    pub(crate) display_name: String,
    pub(crate) role: Role,
    #[serde(with = "time::serde::rfc3339")]
    pub(crate) create_time: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    pub(crate) disable_time: Option<OffsetDateTime>,
}

/// What a new account is made of.
#[derive(Clone, Debug)]
pub(crate) struct Registration {
    pub(super) email: Email,
    pub(super) password: Password,
    pub(super) display_name: String,
}

impl Registration {
    pub(super) fn parse(email: &str, password: &str, display_name: &str) -> Result<Self> {
        let mut violations = Violations::default();
        let email = violations.check("email", Email::parse(email));
        let known = email.as_ref().map_or("", Email::as_str);
        let password = violations.check("password", Password::parse_new(password, known));
        let display_name = violations.check("display_name", DISPLAY_NAME.parse(display_name));
        let (Some(email), Some(password), Some(display_name)) = (email, password, display_name) else {
            return Err(violations.refused());
        };
        Ok(Self {
            email,
            password,
            display_name,
        })
    }
}
