//! What a person sees: the binary on a terminal of its own.

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

use deskhand_proto::accounts::v1::Role;
use deskhand_proto::feed::v1::{TicketEvent, TicketEventKind};
use deskhand_proto::replies::v1::reply_event::{Event, Restarted};
use deskhand_proto::replies::v1::{Rating, Reply};
use deskhand_proto::tickets::v1::Ticket;
use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, tcgetattr};

use crate::client::Client;
use crate::scripted::{
    NEW_PASSWORD, REPLY, RESET_TOKEN, Script, Scripted, Step, TICKET, TOKEN, Told, answer, completed, delta, started,
};

const PATIENCE: Duration = Duration::from_secs(20);

/// A terminal with a command on it.
pub(crate) struct Terminal {
    keyboard: File,
    shown: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
    child: Child,
}

impl Terminal {
    pub(crate) fn start(client: &Client, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let slave = File::from(rustix::fs::open(name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap());

        let mut command = Command::new("setsid");
        client.prepare(&mut command);
        command
            .args(["--ctty", "--wait", env!("CARGO_BIN_EXE_deskhand")])
            .args(arguments);
        command.envs(environment.iter().copied());
        command
            .stdin(slave.try_clone().unwrap())
            .stdout(slave.try_clone().unwrap())
            .stderr(slave);
        let child = command.spawn().unwrap();
        // Its copies of the terminal would keep the reading below from ending.
        drop(command);

        let keyboard = File::from(master);
        let shown = Arc::<Mutex<Vec<u8>>>::default();
        let (mut screen, seen) = (keyboard.try_clone().unwrap(), Arc::clone(&shown));
        let reader = std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            // It ends with an error when the last process on the terminal has.
            while let Ok(count @ 1..) = screen.read(&mut bytes) {
                seen.lock().unwrap().extend_from_slice(&bytes[..count]);
            }
        });
        Self {
            keyboard,
            shown,
            reader,
            child,
        }
    }

    pub(crate) fn shown(&self) -> String {
        String::from_utf8(self.shown.lock().unwrap().clone()).unwrap()
    }

    /// Waits until something is asked for, and typing is no longer shown.
    fn wait_for(&self, question: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.shown().contains(question) || self.echoes() {
            assert!(Instant::now() < deadline, "no {question:?} in {:?}", self.shown());
            sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn wait_until_shown(&self, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.shown().contains(text) {
            assert!(Instant::now() < deadline, "no {text:?} in {:?}", self.shown());
            sleep(Duration::from_millis(5));
        }
    }

    fn echoes(&self) -> bool {
        tcgetattr(&self.keyboard)
            .unwrap()
            .local_modes
            .contains(LocalModes::ECHO)
    }

    pub(crate) fn type_in(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    pub(crate) fn finish(mut self) -> (i32, String) {
        let code = self.child.wait().unwrap().code().unwrap();
        self.reader.join().unwrap();
        let shown = String::from_utf8(self.shown.lock().unwrap().clone()).unwrap();
        (code, shown)
    }
}

fn shown(server: &Scripted, arguments: &[&str], environment: &[(&str, &str)]) -> (i32, String) {
    Terminal::start(&Client::with_token(&server.address, TOKEN), arguments, environment).finish()
}

#[test]
fn what_others_wrote_cannot_steer_the_terminal() {
    let evil = "\u{1b}]0;owned\u{7}\u{9b}31m\u{202e}";
    let tickets = vec![Ticket {
        title: evil.to_owned(),
        ..Ticket::default()
    }];
    let event = TicketEvent {
        message_id: evil.to_owned(),
        kind: TicketEventKind::MessagePosted.into(),
        ..TicketEvent::default()
    };
    let stream = vec![started(), delta(1, 0, evil), completed(evil)];
    let server = Scripted::start(Script {
        tickets,
        stream,
        messages: vec![answer("1", evil)],
        reply: Reply {
            message: Some(answer("1", evil)),
            ratings: vec![Rating {
                comment: evil.to_owned(),
                ..Rating::default()
            }],
            ..Reply::default()
        },
        events: vec![event],
        role: Role::Agent,
        ..Script::default()
    });
    for arguments in [
        &["ticket", "list"] as &[&str],
        &["ticket", "list", "--json"],
        &["ticket", "show", TICKET],
        &["ticket", "show", TICKET, "--json"],
        &["ticket", "events", TICKET],
        &["ticket", "events", TICKET, "--json"],
        &["inbox"],
        &["reply", TICKET],
        &["reply", "list", TICKET],
        &["reply", "show", REPLY],
        &["reply", "show", REPLY, "--json"],
        &["sessions"],
        &["sessions", "--json"],
    ] {
        let (code, shown) = shown(&server, arguments, &[("NO_COLOR", "1")]);
        assert_eq!(code, 0, "{arguments:?}: {shown:?}");
        let named = if arguments[0] == "sessions" { "[2J" } else { "]0;owned" };
        assert!(shown.contains(named), "{arguments:?}: {shown:?}");
        let obeyed = |c: char| c == '\u{202e}' || (c.is_control() && !matches!(c, '\n' | '\r'));
        assert!(!shown.contains(obeyed), "{arguments:?}: {shown:?}");
    }
}

#[test]
fn colour_is_for_those_who_want_it() {
    let server = Scripted::start(Script::default());
    let show = ["ticket", "show", TICKET];
    assert!(shown(&server, &show, &[]).1.contains("\u{1b}[1m"));
    for environment in [("NO_COLOR", "1"), ("TERM", "dumb")] {
        let (code, shown) = shown(&server, &show, &[environment]);
        assert!(code == 0 && !shown.contains('\u{1b}'), "{shown:?}");
    }
}

#[test]
fn a_person_is_told_of_a_new_attempt() {
    let restarted = Step::Send(Event::Restarted(Restarted { attempt: 2 }));
    let steps = vec![
        started(),
        delta(1, 0, "old"),
        restarted,
        delta(2, 0, "new"),
        completed("new"),
    ];
    let (code, shown) = shown(&Scripted::streaming(steps), &["reply", TICKET], &[("NO_COLOR", "1")]);
    assert_eq!(code, 0, "{shown:?}");
    let lines: Vec<&str> = shown.lines().collect();
    assert_eq!(
        lines[1..4],
        ["old", "the assistant began anew; the text above is void", "new"]
    );
}

#[test]
fn passwords_are_asked_for_and_not_shown() {
    let server = Scripted::start(Script::default());
    let client = Client::new(&server.address);
    let mut terminal = Terminal::start(&client, &["signup", "--email", "a@example.com", "--name", "A"], &[]);
    terminal.wait_for("Password: ");
    terminal.type_in("correct horse\r");
    terminal.wait_for("The same again: ");
    terminal.type_in("correct house\r");
    let (code, shown) = terminal.finish();
    assert_eq!(code, 2, "{shown:?}");
    assert!(!shown.contains("correct"), "{shown:?}");
    assert_eq!(server.calls(), []);

    let mut terminal = Terminal::start(&client, &["login", "--email", "a@example.com"], &[]);
    terminal.wait_for("Password: ");
    terminal.type_in("correct horse\r");
    let (code, shown) = terminal.finish();
    assert_eq!(code, 0, "{shown:?}");
    assert!(!shown.contains("correct") && !shown.contains(TOKEN), "{shown:?}");
    assert_eq!(client.expect(&["token"]), TOKEN);
}

#[test]
fn a_new_password_is_asked_for_with_what_allows_it() {
    let server = Scripted::start(Script::default());
    let client = Client::with_token(&server.address, TOKEN);
    for (arguments, first, method) in [
        (&["passwd"] as &[&str], "Current password: ", "ChangePassword"),
        (&["reset-password", "confirm"], "Token: ", "ResetPassword"),
    ] {
        let mut terminal = Terminal::start(&client, arguments, &[]);
        for (question, answer) in [
            (first, RESET_TOKEN),
            ("New password: ", NEW_PASSWORD),
            ("The same again: ", NEW_PASSWORD),
        ] {
            terminal.wait_for(question);
            terminal.type_in(&format!("{answer}\r"));
        }
        let (code, shown) = terminal.finish();
        assert_eq!(code, 0, "{shown:?}");
        assert!(
            !shown.contains(RESET_TOKEN) && !shown.contains(NEW_PASSWORD),
            "{shown:?}"
        );
        assert_eq!(server.methods().last(), Some(&method));
    }
}

#[test]
fn a_prompt_can_be_left() {
    let server = Scripted::start(Script::default());
    let client = Client::new(&server.address);
    let mut terminal = Terminal::start(&client, &["login", "--email", "a@example.com"], &[]);
    terminal.wait_for("Password: ");
    terminal.type_in("\u{3}");
    assert_eq!(terminal.child.wait().unwrap().code(), Some(130));
    assert!(terminal.echoes(), "the terminal is as it was before");
}

#[test]
fn what_is_live_is_left_by_ctrl_c() {
    let feed = || {
        vec![Told::Event(TicketEvent {
            cursor: "the-cursor".to_owned(),
            ..TicketEvent::default()
        })]
    };
    let server = Scripted::start(Script {
        feeds: vec![feed(), feed(), feed()].into(),
        role: Role::Agent,
        ..Script::default()
    });
    let client = Client::with_token(&server.address, TOKEN);
    for (environment, cleared) in [(&[] as &[(&str, &str)], true), (&[("TERM", "dumb")], false)] {
        let mut inbox = Terminal::start(&client, &["inbox", "--watch"], environment);
        inbox.wait_until_shown("nothing waits");
        inbox.type_in("\u{3}");
        let (code, shown) = inbox.finish();
        assert_eq!((code, shown.contains("\u{1b}[2J")), (0, cleared), "{shown:?}");
    }

    let mut watch = Terminal::start(&client, &["ticket", "watch"], &[]);
    watch.wait_until_shown("watching");
    watch.type_in("\u{3}");
    let (code, shown) = watch.finish();
    assert!(code == 0 && shown.contains("--after the-cursor"), "{shown:?}");
}
