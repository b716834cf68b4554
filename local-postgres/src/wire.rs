//! As much of PostgreSQL's protocol (version 3.0) as it takes to know that a server answers, and to run a statement.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use crate::Error;
use crate::place::PORT;
use crate::url::USER;

const PROTOCOL: i32 = 3 << 16;
/// For one statement. Making a database takes tens of milliseconds; a slow disk may need far longer to flush it.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);
/// No message that this module reads comes near it.
const LONGEST_MESSAGE: usize = 1 << 20;

/// A connection, ready for a statement.
pub(crate) struct Session {
    stream: UnixStream,
}

impl Session {
    pub(crate) fn open(socket_dir: &Path, database: &str) -> Result<Self, Error> {
        let socket = socket_dir.join(format!(".s.PGSQL.{PORT}"));
        let stream = UnixStream::connect(socket).map_err(broken)?;
        stream.set_read_timeout(Some(ANSWER_WITHIN)).map_err(broken)?;
        stream.set_write_timeout(Some(ANSWER_WITHIN)).map_err(broken)?;
        let mut session = Self { stream };
        let mut body = PROTOCOL.to_be_bytes().to_vec();
        for word in ["user", USER, "database", database, ""] {
            body.extend_from_slice(word.as_bytes());
            body.push(0);
        }
        session.send(None, &body)?;
        session.until_ready()?;
        Ok(session)
    }

    /// Runs statements that answer no rows (rows are skipped).
    pub(crate) fn execute(&mut self, sql: &str) -> Result<(), Error> {
        let mut body = sql.as_bytes().to_vec();
        body.push(0);
        self.send(Some(b'Q'), &body)?;
        self.until_ready()
    }

    fn send(&mut self, kind: Option<u8>, body: &[u8]) -> Result<(), Error> {
        let length = i32::try_from(body.len() + 4).map_err(broken)?;
        let mut message: Vec<u8> = kind.into_iter().collect();
        message.extend_from_slice(&length.to_be_bytes());
        message.extend_from_slice(body);
        self.stream.write_all(&message).map_err(broken)
    }

    /// Reads up to `ReadyForQuery`; an error that came on the way is the result.
    fn until_ready(&mut self) -> Result<(), Error> {
        let mut error = None;
        loop {
            let (kind, body) = match self.receive() {
                Ok(message) => message,
                // A server that refuses the connection says why and hangs up.
                Err(broken) => return Err(error.unwrap_or(broken)),
            };
            match kind {
                b'E' => error = Some(server_error(&body)),
                b'R' if body != [0; 4] => return Err(Error::Connection("the server asks for a password".to_owned())),
                b'Z' => return error.map_or(Ok(()), Err),
                _ => {}
            }
        }
    }

    fn receive(&mut self) -> Result<(u8, Vec<u8>), Error> {
        let mut head = [0; 5];
        self.stream.read_exact(&mut head).map_err(broken)?;
        let [kind, length @ ..] = head;
        let length = usize::try_from(i32::from_be_bytes(length)).map_err(broken)?;
        if !(4..=LONGEST_MESSAGE).contains(&length) {
            return Err(broken("a message of impossible length"));
        }
        let mut body = vec![0; length - 4];
        self.stream.read_exact(&mut body).map_err(broken)?;
        Ok((kind, body))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // A polite good-bye keeps the server's log clean; a broken connection needs none.
        let _ = self.send(Some(b'X'), &[]);
    }
}

fn broken(why: impl ToString) -> Error {
    Error::Connection(why.to_string())
}

/// Reads an `ErrorResponse`: fields of one letter and a text each.
fn server_error(body: &[u8]) -> Error {
    let field = |letter: u8| {
        let field = body
            .split(|byte| *byte == 0)
            .find(|field| field.first() == Some(&letter));
        field
            .map(|field| String::from_utf8_lossy(&field[1..]).into_owned())
            .unwrap_or_default()
    };
    Error::Sql {
        code: field(b'C'),
        message: field(b'M'),
    }
}

/// An identifier for use in a statement.
pub(crate) fn quote_identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
