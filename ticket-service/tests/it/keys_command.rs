//! `ticket-service keys …` as people and scripts call it.

use std::fs::{self, File};
use std::process::{Child, Command, Output};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::harness::{PATIENCE, database};

struct Folder(TempDir);

impl Folder {
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ticket-service"));
        command
            .args(arguments)
            .env_clear()
            .env("SIGNING_KEYS_DIR", self.0.path().join("keys"));
        command
    }

    fn keys(&self, arguments: &[&str]) -> Output {
        self.command(&[&["keys"], arguments].concat()).output().unwrap()
    }

    /// What it answers where it succeeds.
    fn answer(&self, arguments: &[&str]) -> String {
        let output = self.keys(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", wrong(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    fn states(&self) -> Vec<(String, String)> {
        let listed: Vec<Value> = serde_json::from_str(&self.answer(&["list", "--json"])).unwrap();
        let text = |row: &Value, name: &str| row[name].as_str().unwrap().to_owned();
        listed
            .iter()
            .map(|row| (text(row, "kid"), text(row, "state")))
            .collect()
    }
}

fn wrong(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn pair(kid: &str, state: &str) -> (String, String) {
    (kid.to_owned(), state.to_owned())
}

#[test]
fn keys_are_made_listed_and_retired_without_a_database() {
    let folder = Folder(tempfile::tempdir().unwrap());
    let first = folder.answer(&["generate"]).trim_end().to_owned();
    assert_eq!(first.len(), 43);
    assert_eq!(folder.states(), [pair(&first, "signing")]);
    let second = folder.answer(&["generate"]).trim_end().to_owned();
    assert_eq!(folder.states(), [pair(&first, "signing"), pair(&second, "next")]);
    let table = folder.answer(&["list"]);
    assert_eq!(table.lines().count(), 3);
    assert!(
        table.starts_with("KID ") && table.lines().nth(2).unwrap().ends_with("  next"),
        "{table}"
    );

    let refused = folder.keys(&["retire", &first]);
    assert_eq!(refused.status.code(), Some(3), "{}", wrong(&refused));
    assert!(wrong(&refused).contains("this key signs now"), "{}", wrong(&refused));
    assert_eq!(folder.states().len(), 2);

    folder.answer(&["retire", "--force", &first]);
    assert_eq!(folder.states(), [pair(&second, "signing")]);
    folder.answer(&["retire", &second, "--force"]);
    let [(third, state)] = folder.states().try_into().unwrap();
    assert!(third != second && state == "signing");
}

#[test]
fn what_cannot_be_done_is_said() {
    let folder = Folder(tempfile::tempdir().unwrap());
    let nowhere = folder.keys(&["list"]);
    assert_eq!(nowhere.status.code(), Some(1));
    assert!(wrong(&nowhere).contains("SIGNING_KEYS_DIR"), "{}", wrong(&nowhere));
    assert!(!folder.0.path().join("keys").exists());
    folder.answer(&["generate"]);
    let unknown = folder.keys(&["retire", "unknown-key"]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(
        wrong(&unknown).contains("there is no key unknown-key"),
        "{}",
        wrong(&unknown)
    );
    for usage in [&["retire"][..], &["retire", "--force"], &["rotate"], &[]] {
        assert_eq!(folder.keys(usage).status.code(), Some(2), "{usage:?}");
    }
    fs::write(folder.0.path().join("keys/20200101T000000Z-x.pem"), "SECRET nonsense").unwrap();
    let broken = folder.keys(&["list"]);
    assert_eq!(broken.status.code(), Some(1));
    let said = wrong(&broken);
    assert!(
        said.contains("20200101T000000Z-x.pem") && said.contains("SIGNING_KEYS_DIR"),
        "{said}"
    );
    assert!(!said.contains("SECRET"), "{said}");
}

/// A server's process, killed when dropped.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn a_server_says_once_which_file_is_broken_and_nothing_of_its_content() {
    let folder = Folder(tempfile::tempdir().unwrap());
    folder.answer(&["generate"]);
    let log = folder.0.path().join("log");
    let _server = Server(
        folder
            .command(&["serve", "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0"])
            .env("DATABASE_URL", database().await)
            .env("DESKHAND_SECRET_FILE", folder.0.path().join("secret"))
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap(),
    );
    let until_logged = async |text: &str, count: usize| {
        let began = Instant::now();
        loop {
            let logged = fs::read_to_string(&log).unwrap();
            if logged.matches(text).count() == count {
                return logged;
            }
            assert!(began.elapsed() < PATIENCE, "{text:?} {count} times in {logged}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    until_logged("ticket-service is listening", 1).await;
    fs::write(folder.0.path().join("keys/0001.pem"), "SECRET nonsense").unwrap();
    until_logged("signing keys cannot be read", 1).await;
    // The folder is read twice more.
    for count in 1..=2 {
        folder.answer(&["generate"]);
        until_logged("a signing key is new", count).await;
    }
    let logged = until_logged("signing keys cannot be read", 1).await;
    assert!(
        logged.contains("keys/0001.pem") && !logged.contains("SECRET"),
        "{logged}"
    );
    let files = fs::read_dir(folder.0.path().join("keys")).unwrap();
    for file in files
        .map(|file| file.unwrap().path())
        .filter(|file| file.extension().is_some())
    {
        let content = fs::read_to_string(&file).unwrap();
        let secret = content.lines().nth(1).unwrap_or(&content);
        assert!(!logged.contains(secret), "{}", file.display());
    }
}
