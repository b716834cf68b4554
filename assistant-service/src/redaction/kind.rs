//! The kinds of things that do not leave, and which of them are set.

use std::fmt;
use std::str::FromStr;

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An e-mail address.
    Email,
    /// A telephone number in its international form.
    Phone,
    /// The number of a payment card.
    Card,
    /// The number of a bank account.
    Iban,
    /// An IP address, version 4 or 6.
    Ip,
    /// A key, a token, a password that stands in a URL, or the like.
    Secret,
}

impl Kind {
    const ALL: [Self; 6] = [Self::Email, Self::Phone, Self::Card, Self::Iban, Self::Ip, Self::Secret];

    /// As a setting names it.
    fn name(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Phone => "phone",
            Self::Card => "card",
            Self::Iban => "iban",
            Self::Ip => "ip",
            Self::Secret => "secret",
        }
    }

    /// As a placeholder names it.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Email => "EMAIL",
            Self::Phone => "PHONE",
            Self::Card => "CARD",
            Self::Iban => "IBAN",
            Self::Ip => "IP",
            Self::Secret => "SECRET",
        }
    }
}

/// Some kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kinds([bool; Kind::ALL.len()]);

impl Kinds {
    /// All of them.
    pub const ALL: Self = Self([true; Kind::ALL.len()]);

    /// Whether `kind` is one of them.
    pub fn contains(self, kind: Kind) -> bool {
        Kind::ALL.into_iter().zip(self.0).any(|(one, set)| set && one == kind)
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == [false; Kind::ALL.len()]
    }
}

impl FromStr for Kinds {
    type Err = String;

    /// Names with commas between; `all`; `none`, or nothing.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut kinds = Self([false; Kind::ALL.len()]);
        match text.trim() {
            "all" => return Ok(Self::ALL),
            "none" | "" => return Ok(kinds),
            _ => {}
        }
        for name in text.split(',').map(str::trim) {
            let known = Kind::ALL
                .into_iter()
                .zip(&mut kinds.0)
                .find(|(kind, _)| kind.name() == name);
            let Some((_, set)) = known else {
                let names = Kind::ALL.map(Kind::name).join(", ");
                return Err(format!("'{name}' is none of {names}, all, none"));
            };
            *set = true;
        }
        Ok(kinds)
    }
}

impl fmt::Display for Kinds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::ALL {
            return f.write_str("all");
        }
        if self.is_empty() {
            return f.write_str("none");
        }
        let names: Vec<_> = Kind::ALL
            .into_iter()
            .filter(|kind| self.contains(*kind))
            .map(Kind::name)
            .collect();
        f.write_str(&names.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_names_kinds_and_nothing_else() {
        let some: Kinds = "card, email".parse().unwrap();
        assert!(some.contains(Kind::Card) && some.contains(Kind::Email) && !some.contains(Kind::Phone));
        assert_eq!(some.to_string(), "email,card");
        for none in ["", " ", "none"] {
            assert!(none.parse::<Kinds>().unwrap().is_empty());
        }
        assert_eq!("all".parse(), Ok(Kinds::ALL));
        assert_eq!(Kinds::ALL.to_string().parse(), Ok(Kinds::ALL));
        for wrong in ["emails", "email,", "email;phone", "EMAIL", "all,email"] {
            let error = wrong.parse::<Kinds>().unwrap_err();
            assert!(error.contains("email, phone, card, iban, ip, secret"), "{error}");
        }
    }
}
