//! The throw-away admin: made on the first start, its password kept beside the data.

use std::fs;

use anyhow::Context;
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::database::Database;
use super::home::Home;

const KEPT: &str = "admin.json";
/// While it is not known whether the admin was made.
const PENDING: &str = "admin.json.new";
const EMAIL: &str = "admin@example.com";

/// What `ticket-service create-admin` exits with when it made one, and when there is one already.
pub(crate) const ADMIN_MADE: i32 = 0;
pub(crate) const ADMIN_EXISTS: i32 = 3;

/// An account that may do everything.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Admin {
    pub(crate) email: String,
    pub(crate) password: String,
}

/// The file's content. An admin belongs to a database.
#[derive(Clone, Serialize, Deserialize)]
struct Kept {
    #[serde(flatten)]
    admin: Admin,
    /// The private cluster's moves with the folder, so it is named by a word.
    database: String,
}

/// What is known before `create-admin` is asked.
pub(crate) enum Known {
    /// Made by an earlier start.
    Made(Admin),
    /// To be made, or to be made sure of.
    Candidate(Candidate),
}

/// An admin that may exist, or not yet.
pub(crate) struct Candidate {
    kept: Kept,
    /// Whether an earlier start may have made it.
    may_exist: bool,
}

impl Known {
    /// Reads what earlier starts left; else makes up a password.
    pub(crate) fn read(home: &Home, database: &Database) -> anyhow::Result<Self> {
        let name = name_of(database);
        if !database.is_new {
            let kept = read(home, KEPT, &name)?;
            if let (Some(kept), true) = (&kept, database.cluster.is_some()) {
                return Ok(Self::Made(kept.admin.clone()));
            }
            // Another's database may have been emptied since.
            if let Some(kept) = kept.or(read(home, PENDING, &name)?) {
                return Ok(Self::Candidate(Candidate { kept, may_exist: true }));
            }
        }
        let password = Uuid::new_v4().simple().to_string();
        let kept = Kept {
            admin: Admin {
                email: EMAIL.to_owned(),
                password,
            },
            database: name,
        };
        home.write_private(PENDING, &serde_json::to_vec_pretty(&kept)?)?;
        Ok(Self::Candidate(Candidate { kept, may_exist: false }))
    }
}

impl Candidate {
    pub(crate) fn admin(&self) -> &Admin {
        &self.kept.admin
    }

    /// Draws the conclusion: whether the admin was `made` now, or there was one; `None`: one that is not ours.
    pub(crate) fn settle(self, home: &Home, made: bool) -> anyhow::Result<Option<Admin>> {
        let ours = made || self.may_exist;
        if ours {
            home.write_private(KEPT, &serde_json::to_vec_pretty(&self.kept)?)?;
        }
        // Gone already where it was settled by an earlier start.
        let _ = fs::remove_file(home.join(PENDING));
        Ok(ours.then_some(self.kept.admin))
    }
}

fn name_of(database: &Database) -> String {
    if database.cluster.is_some() {
        "private".to_owned()
    } else {
        database.url.expose_secret().to_owned()
    }
}

fn read(home: &Home, file: &str, database: &str) -> anyhow::Result<Option<Kept>> {
    let path = home.join(file);
    let Ok(text) = fs::read_to_string(&path) else {
        return Ok(None);
    };
    let kept: Kept = serde_json::from_str(&text)
        .with_context(|| format!("{} cannot be read; remove it to forget that admin", path.display()))?;
    Ok((kept.database == database).then_some(kept))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn foreign(url: &str) -> Database {
        Database {
            url: url.to_owned().into(),
            is_new: false,
            cluster: None,
        }
    }

    fn candidate(home: &Home, url: &str) -> Candidate {
        match Known::read(home, &foreign(url)).unwrap() {
            Known::Candidate(candidate) => candidate,
            Known::Made(_) => panic!("nothing was asked yet"),
        }
    }

    #[test]
    fn the_password_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::take(folder.path()).unwrap();
        let made = candidate(&home, "postgres://a").settle(&home, true).unwrap().unwrap();
        let again = candidate(&home, "postgres://a").settle(&home, false).unwrap().unwrap();
        assert_eq!(made.password, again.password);
        let other = candidate(&home, "postgres://b").settle(&home, true).unwrap().unwrap();
        assert_ne!(made.password, other.password);
    }

    #[test]
    fn an_admin_made_elsewhere_is_not_claimed() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::take(folder.path()).unwrap();
        assert!(candidate(&home, "postgres://a").settle(&home, false).unwrap().is_none());
        assert!(candidate(&home, "postgres://a").settle(&home, false).unwrap().is_none());
    }

    #[test]
    fn a_start_that_was_cut_short_keeps_its_admin() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::take(folder.path()).unwrap();
        let password = candidate(&home, "postgres://a").admin().password.clone();
        // The first start may have made it and ended before it knew.
        let admin = candidate(&home, "postgres://a").settle(&home, false).unwrap().unwrap();
        assert_eq!(admin.password, password);
    }
}
