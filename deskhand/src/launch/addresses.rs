//! Where the parts listen: checked, and chosen where any port will do, before anything starts.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};

use anyhow::{Context, bail};

/// An address that was free a moment ago, and is kept so until it is handed to its service.
pub(crate) struct Reserved {
    address: SocketAddr,
    /// Keeps the port from being given to anyone else.
    listener: Option<TcpListener>,
}

impl Reserved {
    /// Finds out whether `wanted` is free; `variable` is what changes it.
    pub(crate) fn take(wanted: SocketAddr, variable: &str) -> anyhow::Result<Self> {
        match TcpListener::bind(wanted) {
            Ok(listener) => {
                let address = listener.local_addr().context("the address of a socket")?;
                Ok(Self {
                    address,
                    listener: Some(listener),
                })
            }
            Err(error) if error.kind() == ErrorKind::AddrInUse => bail!(
                "{wanted} is in use by another program; stop that, or set {variable} to another address (port 0 takes \
                 a free one)"
            ),
            Err(error) => bail!("cannot listen on {wanted} ({variable}): {error}"),
        }
    }

    /// What the service is told.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where a client on this machine finds it.
    pub(crate) fn dial(&self) -> SocketAddr {
        let ip = match self.address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        SocketAddr::new(ip, self.address.port())
    }

    /// Lets go of the port, for the service to take.
    pub(crate) fn release(&mut self) {
        self.listener = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_0_takes_a_free_one_and_keeps_it() {
        let any = "127.0.0.1:0".parse().unwrap();
        let mut first = Reserved::take(any, "X").unwrap();
        let second = Reserved::take(any, "X").unwrap();
        assert!(first.address().port() != 0 && first.address() != second.address());

        let error = Reserved::take(first.address(), "SOME_ADDR")
            .map(|_| ())
            .unwrap_err()
            .to_string();
        assert!(
            error.contains(&first.address().to_string()) && error.contains("SOME_ADDR"),
            "{error}"
        );
        first.release();
        assert!(Reserved::take(first.address(), "X").is_ok());
    }

    #[test]
    fn every_address_is_dialled_by_loopback() {
        let reserved = Reserved::take("0.0.0.0:0".parse().unwrap(), "X").unwrap();
        assert_eq!(reserved.dial().ip().to_string(), "127.0.0.1");
    }
}
