//! Lines to a server that break.

use std::io::{Read, copy};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// Takes connections at an address of its own, for as long as the test process runs.
pub(crate) struct Wire {
    pub(crate) address: String,
    ends: Arc<Mutex<Vec<TcpStream>>>,
}

impl Wire {
    pub(crate) fn to(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let server = server.to_owned();
        let ends = Arc::<Mutex<Vec<TcpStream>>>::default();
        let all = Arc::clone(&ends);
        thread::spawn(move || {
            for near in listener.incoming().map(Result::unwrap) {
                let Ok(far) = TcpStream::connect(&server) else {
                    continue;
                };
                all.lock()
                    .unwrap()
                    .extend([near.try_clone().unwrap(), far.try_clone().unwrap()]);
                let (from_near, to_far) = (near.try_clone().unwrap(), far.try_clone().unwrap());
                thread::spawn(move || pass(from_near, to_far));
                thread::spawn(move || pass(far, near));
            }
        });
        Self { address, ends }
    }

    /// Breaks every connection that there is; later ones hold.
    pub(crate) fn cut(&self) {
        for end in self.ends.lock().unwrap().drain(..) {
            let _ = end.shutdown(Shutdown::Both);
        }
    }
}

fn pass(mut from: TcpStream, to: TcpStream) {
    let _ = copy(&mut from, &mut &to);
    let _ = to.shutdown(Shutdown::Both);
}

/// A way to `server` whose first connection breaks when so many bytes have come back; later ones hold.
pub(crate) fn line_that_breaks(server: &str, after: u64) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server = server.to_owned();
    thread::spawn(move || {
        let limits = std::iter::once(after).chain(std::iter::repeat(u64::MAX));
        for (near, limit) in listener.incoming().map(Result::unwrap).zip(limits) {
            let far = TcpStream::connect(&server).unwrap();
            let (mut from_near, mut to_far) = (near.try_clone().unwrap(), far.try_clone().unwrap());
            thread::spawn(move || copy(&mut from_near, &mut to_far));
            thread::spawn(move || {
                let _ = copy(&mut far.take(limit), &mut &near);
                let _ = near.shutdown(Shutdown::Both);
            });
        }
    });
    address
}
