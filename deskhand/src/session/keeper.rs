//! Renews the session. Commands that run at once take turns, and each keeps a new token before it uses it: a refresh token is
//! good once, and one that is sent again later ends the session.

use std::time::Duration;

use deskhand_proto::accounts::v1::{LogOutRequest, RefreshTokenRequest};
use secrecy::{ExposeSecret, SecretString};
use time::OffsetDateTime;
use tonic::Response;

use super::Session;
use super::store::{Locked, Store};
use crate::failure::Failure;
use crate::line::{Bearer, CALL_TIMEOUT, Limits, Line, Terms};

/// So long before its end an access token counts as ended: a call takes time to arrive, and clocks differ.
const MARGIN: time::Duration = time::Duration::seconds(30);
/// The server gives the same answer again for 10 s. A repeat must arrive within that, also where connecting takes its 5 s.
const REPEAT_WITHIN: Duration = Duration::from_secs(4);
/// A renewal has this long even where a call has less: once its token is used up, giving up would end the session.
const LEAST_TIME: Duration = Duration::from_secs(10);

/// Keeps the session of whoever logged in at a server.
pub(crate) struct Keeper {
    store: Store,
    line: Line,
}

/// What the server did not accept.
#[derive(Clone, Copy)]
pub(super) enum Refused {
    /// The access token; the session may live.
    Token,
    Session,
}

/// How a session was ended.
pub(crate) enum Farewell {
    /// By the server, now.
    Ended,
    /// The server knew nothing of it any more.
    HadEnded,
    /// There was none.
    WasNone,
}

impl Refused {
    pub(super) fn by(failure: &Failure) -> Option<Self> {
        match failure.reason()? {
            "TOKEN_EXPIRED" | "TOKEN_INVALID" => Some(Self::Token),
            "SESSION_ENDED" | "REFRESH_TOKEN_INVALID" => Some(Self::Session),
            _ => None,
        }
    }
}

impl Keeper {
    pub(crate) fn of_user(line: Line) -> Result<Self, Failure> {
        Ok(Self {
            store: Store::of_user(&line.server.address)?,
            line,
        })
    }

    /// Keeps a new session, in place of the one that there was.
    pub(crate) async fn keep(&self, session: &Session) -> Result<(), Failure> {
        self.lock().await?.save(session)
    }

    /// The session, with an access token that holds for a while.
    pub(crate) async fn session(&self) -> Result<Session, Failure> {
        let session = self.store.load()?.ok_or_else(|| self.not_logged_in())?;
        if holds(&session) {
            return Ok(session);
        }
        let locked = self.lock().await?;
        let session = locked.load()?.ok_or_else(|| self.not_logged_in())?;
        self.with_holding_token(session, &locked).await
    }

    /// The session of `email` after the server refused one of its access tokens.
    pub(super) async fn after_refusal(
        &self,
        token: &SecretString,
        email: &str,
        refused: Refused,
    ) -> Result<Session, Failure> {
        let locked = self.lock().await?;
        let session = locked.load()?.ok_or_else(|| self.not_logged_in())?;
        if session.email != email {
            return Err(Failure::NotLoggedIn(format!(
                "the session of {email} at {} has been replaced by one of {}",
                self.line.server.address, session.email
            )));
        }
        // Another command has renewed it, or logged in anew.
        if !session.access.is(token) {
            return Ok(session);
        }
        match refused {
            Refused::Token => self.renew(&session, &locked).await,
            Refused::Session => {
                locked.remove()?;
                Err(self.ended(&session))
            }
        }
    }

    /// Ends the session at the server and forgets it. It is kept where the server does not say that it has ended.
    pub(crate) async fn log_out(&self) -> Result<Farewell, Failure> {
        if self.store.load()?.is_none() {
            return Ok(Farewell::WasNone);
        }
        // Nobody renews it meanwhile.
        let locked = self.lock().await?;
        let Some(session) = locked.load()? else {
            return Ok(Farewell::WasNone);
        };
        let farewell = match self.say_farewell(session, &locked).await {
            Ok(()) => Farewell::Ended,
            Err(failure) if failure.exit_code() == NOT_ACCEPTED => Farewell::HadEnded,
            Err(failure) => return Err(failure),
        };
        locked.remove()?;
        Ok(farewell)
    }

    async fn say_farewell(&self, session: Session, locked: &Locked<'_>) -> Result<(), Failure> {
        let session = self.with_holding_token(session, locked).await?;
        match self.say_farewell_once(&session).await {
            Err(failure) if matches!(Refused::by(&failure), Some(Refused::Token)) => {
                let session = self.renew(&session, locked).await?;
                self.say_farewell_once(&session).await
            }
            answer => answer,
        }
    }

    /// Where it is repeated and was heard the first time, the server says that the session has ended.
    async fn say_farewell_once(&self, session: &Session) -> Result<(), Failure> {
        let limits = Limits {
            time: self.line.time(CALL_TIMEOUT),
            told: true,
            repeat_within: Duration::MAX,
        };
        let terms = Terms {
            limits,
            bearer: Some(Bearer::new(session.access.text.clone())?),
        };
        let method = async |request| self.line.accounts().log_out(request).await;
        self.line.attempt(LogOutRequest {}, terms, method).await?;
        Ok(())
    }

    /// Forgets whatever session is kept, without a word to the server; whether there was one.
    pub(crate) async fn forget_any(&self) -> Result<bool, Failure> {
        if !self.store.exists() {
            return Ok(false);
        }
        self.lock().await?.remove()
    }

    /// Forgets the session, unless its access token is another one by now.
    pub(super) async fn forget(&self, token: &SecretString) -> Result<(), Failure> {
        let locked = self.lock().await?;
        if locked.load()?.is_some_and(|session| session.access.is(token)) {
            locked.remove()?;
        }
        Ok(())
    }

    async fn with_holding_token(&self, session: Session, locked: &Locked<'_>) -> Result<Session, Failure> {
        if holds(&session) {
            Ok(session)
        } else {
            self.renew(&session, locked).await
        }
    }

    async fn renew(&self, session: &Session, locked: &Locked<'_>) -> Result<Session, Failure> {
        let Some(refresh) = &session.refresh else {
            return Err(Failure::NotLoggedIn(format!(
                "the session of {} at {} has expired",
                session.email, self.line.server.address
            )));
        };
        let request = RefreshTokenRequest {
            refresh_token: refresh.text.expose_secret().to_owned(),
        };
        let limits = Limits {
            time: self.line.time(CALL_TIMEOUT).max(LEAST_TIME),
            told: true,
            repeat_within: REPEAT_WITHIN,
        };
        let terms = Terms { limits, bearer: None };
        let method = async |request| {
            self.line
                .accounts()
                .refresh_token(request)
                .await
                .map(Response::into_inner)
        };
        match self.line.attempt(request, terms, method).await {
            Ok((answer, _)) => {
                let renewed = session.renewed(answer)?;
                locked.save(&renewed)?;
                Ok(renewed)
            }
            Err(failure) if matches!(Refused::by(&failure), Some(Refused::Session)) => {
                locked.remove()?;
                Err(self.ended(session))
            }
            Err(failure) => Err(failure),
        }
    }

    async fn lock(&self) -> Result<Locked<'_>, Failure> {
        self.store.lock(self.line.time(CALL_TIMEOUT)).await
    }

    fn not_logged_in(&self) -> Failure {
        Failure::NotLoggedIn(format!("you are not logged in at {}", self.line.server.address))
    }

    fn ended(&self, session: &Session) -> Failure {
        Failure::SessionEnded {
            email: session.email.clone(),
            server: self.line.server.address.clone(),
        }
    }
}

/// The exit code of what was said to someone whom the server does not know.
const NOT_ACCEPTED: u8 = 3;

fn holds(session: &Session) -> bool {
    session.access.expire_time > OffsetDateTime::now_utc() + MARGIN
}
