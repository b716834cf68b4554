//! Mail: what one is, how it is written down, and what becomes of it.

use std::fs::{DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use mail_builder::MessageBuilder;
use mail_builder::headers::address::Address;
use mail_builder::headers::raw::Raw;
use mail_builder::mime::MimePart;
use tokio::io::AsyncWriteExt as _;
use uuid::Uuid;

use crate::settings;

/// RFC 5322: bytes of a line, without its end.
const LINE: usize = 998;

/// A mail to one person. Its text holds what only they may know.
pub(super) struct Mail {
    /// Also of its file, and in its `Message-ID`: a mail that is sent twice can be told to be one.
    pub(super) id: Uuid,
    /// For logs.
    pub(super) kind: &'static str,
    pub(super) name: String,
    pub(super) email: String,
    pub(super) subject: &'static str,
    pub(super) text: String,
}

impl Mail {
    /// As RFC 5322 has it. Names are encoded, line breaks and other controls kept out of the headers.
    fn to_eml(&self, from: &str) -> io::Result<Vec<u8>> {
        let host = from.rsplit_once('@').map_or("localhost", |(_, host)| host);
        // As it is where it may be: an encoding would break links in two for whoever reads the file.
        let text = self.text.replace('\n', "\r\n");
        let is_plain = text.is_ascii() && text.lines().all(|line| line.len() <= LINE);
        let body = MimePart::new("text/plain", text.as_str());
        let body = if is_plain { body.transfer_encoding("7bit") } else { body };
        MessageBuilder::new()
            .from(Address::new_address(Some("Deskhand"), from))
            .to(Address::new_address(Some(self.name.as_str()), self.email.as_str()))
            .subject(self.subject)
            .message_id(format!("{}@{host}", self.id))
            // RFC 3834: no machine is to answer.
            .header("Auto-Submitted", Raw::new("auto-generated"))
            .body(body)
            .write_to_vec()
    }
}

/// Takes mail to where it goes.
#[tonic::async_trait]
pub(super) trait Mailer: Send + Sync {
    /// Sends a mail, or not at all. One that was sent before may come again, with the same id.
    async fn send(&self, mail: &Mail) -> io::Result<()>;
}

/// The mailer that the settings name.
pub(super) fn from(settings: &settings::Mail) -> anyhow::Result<Box<dyn Mailer>> {
    Ok(match settings.mailer {
        settings::Mailer::Log => Box::new(Log),
        settings::Mailer::File => Box::new(File::new(&settings.mail_dir, &settings.mail_from)?),
    })
}

/// Notes that there was a mail; a log may hold neither addresses nor tokens.
struct Log;

#[tonic::async_trait]
impl Mailer for Log {
    async fn send(&self, mail: &Mail) -> io::Result<()> {
        tracing::info!(id = %mail.id, kind = mail.kind, "a mail would have been sent (MAILER=log)");
        Ok(())
    }
}

/// Writes each mail into a file, for whatever takes it from there, or for who develops.
struct File {
    folder: PathBuf,
    from: String,
}

impl File {
    fn new(folder: &Path, from: &str) -> anyhow::Result<Self> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.and_then(|()| std::fs::set_permissions(folder, Permissions::from_mode(0o700)))
            .with_context(|| format!("the folder for mail, {} (MAIL_DIR)", folder.display()))?;
        Ok(Self {
            folder: folder.to_owned(),
            from: from.to_owned(),
        })
    }
}

#[tonic::async_trait]
impl Mailer for File {
    async fn send(&self, mail: &Mail) -> io::Result<()> {
        let eml = mail.to_eml(&self.from)?;
        // Whole or not at all; sent again it takes its own place.
        let draft = self.folder.join(format!(".{}.{}", mail.id, Uuid::new_v4()));
        let write = async {
            let mut file = tokio::fs::OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&draft)
                .await?;
            file.write_all(&eml).await?;
            file.sync_all().await?;
            tokio::fs::rename(&draft, self.folder.join(format!("{}.eml", mail.id))).await
        };
        let written = write.await;
        if written.is_err() {
            let _ = tokio::fs::remove_file(&draft).await;
        }
        written
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn mail(name: &str) -> Mail {
        Mail {
            id: Uuid::nil(),
            kind: "PASSWORD_RESET",
            name: name.to_owned(),
            email: "ann@example.com".to_owned(),
            subject: "A new password",
            text: "Hello.\n\nhttps://desk.example/reset-password?token=AbC-dEfGhIjKlMnOpQrStUvWxYz_0123456789abcdefg\n"
                .to_owned(),
        }
    }

    fn headers(mail: &Mail) -> Vec<String> {
        let eml = String::from_utf8(mail.to_eml("desk@example.com").unwrap()).unwrap();
        let (head, _) = eml.split_once("\r\n\r\n").unwrap();
        // RFC 5322: a line that begins with a blank goes on with the one before.
        head.replace("\r\n ", " ")
            .replace("\r\n\t", " ")
            .split("\r\n")
            .map(str::to_owned)
            .collect()
    }

    #[test]
    fn a_mail_says_from_whom_and_to_whom() {
        let eml = String::from_utf8(mail("Ann").to_eml("desk@example.com").unwrap()).unwrap();
        for line in [
            "From: \"Deskhand\" <desk@example.com>\r\n",
            "To: \"Ann\" <ann@example.com>\r\n",
            "Subject: A new password\r\n",
            "Message-ID: <00000000-0000-0000-0000-000000000000@example.com>\r\n",
            "Auto-Submitted: auto-generated\r\n",
            "https://desk.example/reset-password?token=AbC-dEfGhIjKlMnOpQrStUvWxYz_0123456789abcdefg",
        ] {
            assert!(
                eml.replace("From: Deskhand", "From: \"Deskhand\"")
                    .replace("To: Ann", "To: \"Ann\"")
                    .contains(line),
                "{line} in {eml}"
            );
        }
    }

    #[test]
    fn a_text_that_needs_it_is_encoded() {
        for text in ["Grüße".to_owned(), "x".repeat(2000)] {
            let eml = String::from_utf8(Mail { text, ..mail("Ann") }.to_eml("desk@example.com").unwrap()).unwrap();
            assert!(eml.is_ascii() && eml.lines().all(|line| line.len() <= LINE), "{eml}");
        }
    }

    #[tokio::test]
    async fn a_file_is_private_and_whole() {
        let state = tempfile::tempdir().unwrap();
        let folder = state.path().join("state/mail");
        let mailer = File::new(&folder, "desk@example.com").unwrap();
        mailer.send(&mail("Ann")).await.unwrap();
        mailer.send(&mail("Ann")).await.unwrap();

        let files: Vec<_> = std::fs::read_dir(&folder)
            .unwrap()
            .map(|file| file.unwrap().path())
            .collect();
        assert_eq!(files, [folder.join("00000000-0000-0000-0000-000000000000.eml")]);
        assert_eq!(
            std::fs::metadata(&files[0]).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(std::fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
        assert!(File::new(Path::new("/dev/null/mail"), "a@b").is_err());
    }

    proptest! {
        #[test]
        fn no_name_can_add_a_header(name in ".{0,100}|[\r\n\t :A-Za-z\"<>,;=?\\\\]{0,60}") {
            let names: Vec<String> = headers(&mail(&name)).iter()
                .map(|line| line.split_once(':').map_or(line.as_str(), |(name, _)| name).to_lowercase())
                .collect();
            let mut expected = ["from", "to", "subject", "message-id", "auto-submitted", "date", "mime-version", "content-type", "content-transfer-encoding"].to_vec();
            expected.sort_unstable();
            let mut found = names.clone();
            found.sort_unstable();
            prop_assert_eq!(found, expected);
        }
    }
}
