//! Whether a gateway answers.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, ensure};

const WITHIN: Duration = Duration::from_secs(2);

/// Asks the gateway that listens there.
///
/// # Errors
/// Where it does not answer 200 within 2 s.
pub fn lives(mut address: SocketAddr) -> anyhow::Result<()> {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    let answer = ask(address).with_context(|| format!("{address} does not answer"))?;
    ensure!(answer.starts_with("HTTP/1.1 200 "), "{address} answers: {answer}");
    Ok(())
}

fn ask(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, WITHIN)?;
    stream.set_read_timeout(Some(WITHIN))?;
    stream.set_write_timeout(Some(WITHIN))?;
    write!(
        stream,
        "GET /livez HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\n\r\n"
    )?;
    let mut head = [0; 64];
    let mut filled = 0;
    while let Some(rest) = head.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match stream.read(rest)? {
            0 => break,
            read => filled += read,
        }
    }
    Ok(String::from_utf8_lossy(head.get(..filled).unwrap_or_default()).into_owned())
}
