//! Sockets that a process gets from whoever has started it, bound and listening already: systemd
//! (`LISTEN_FDS`), or the process that it takes over from.
//!
//! They belong to the process, so they are found in one place whatever opens a listener: a listener
//! at the address of such a socket takes it and binds none of its own.

use socket2::{SockAddr, Socket, Type};
use std::fmt::{self, Display};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::sync::{Mutex, MutexGuard, PoisonError};

static GIVEN: Mutex<Vec<Given>> = Mutex::new(Vec::new());

struct Given {
    socket: Socket,
    at: SockAddr,
    kind: Type,
}

fn given() -> MutexGuard<'static, Vec<Given>> {
    GIVEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps a socket for the listener at its address. One that listens at all addresses of the
/// machine is that of a listener for all of them, of whichever IP version.
///
/// # Errors
///
/// It has no address that one could listen at.
pub fn give(socket: OwnedFd) -> io::Result<()> {
    let socket = Socket::from(socket);
    let (at, kind) = (socket.local_addr()?, socket.r#type()?);
    let is_named = at.as_pathname().is_some() || at.as_socket().is_some_and(|at| at.port() != 0);
    if !is_named {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is bound to no address"));
    }
    socket.set_nonblocking(true)?;
    given().push(Given { socket, at, kind });
    Ok(())
}

/// The socket that was given for this address, if nobody has taken it yet.
#[must_use]
pub fn take(at: &SockAddr, kind: Type) -> Option<Socket> {
    let mut given = given();
    let place = given.iter().position(|given| given.kind == kind && are_same(&given.at, at))?;
    Some(given.swap_remove(place).socket)
}

/// As [`take`], for a listener of TCP.
#[must_use]
pub fn take_tcp(at: SocketAddr) -> Option<TcpListener> {
    take(&at.into(), Type::STREAM).map(TcpListener::from)
}

/// The addresses of sockets that nobody has taken.
#[must_use]
pub fn left() -> Vec<String> {
    given().iter().map(ToString::to_string).collect()
}

fn are_same(one: &SockAddr, other: &SockAddr) -> bool {
    let place = |at: SocketAddr| {
        let ip = at.ip().to_canonical();
        ((!ip.is_unspecified()).then_some(ip), at.port())
    };
    match (one.as_socket(), other.as_socket()) {
        (Some(one), Some(other)) => place(one) == place(other),
        _ => one.as_pathname().is_some() && one.as_pathname() == other.as_pathname(),
    }
}

impl Display for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.at.as_socket(), self.at.as_pathname()) {
            (Some(at), _) if self.kind == Type::DGRAM => write!(f, "{at}/udp"),
            (Some(at), _) => write!(f, "{at}/tcp"),
            (None, path) => write!(f, "{}", path.unwrap_or_else(|| "?".as_ref()).display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_addresses_are_the_same_for_every_version_and_others_are_not() {
        let same = |one: &str, other: &str| {
            let at = |text: &str| SockAddr::from(text.parse::<SocketAddr>().unwrap());
            are_same(&at(one), &at(other))
        };
        assert!(same("[::]:9", "0.0.0.0:9") && same("127.0.0.1:9", "127.0.0.1:9"));
        assert!(same("[::ffff:127.0.0.1]:9", "127.0.0.1:9"));
        assert!(!same("[::]:9", "0.0.0.0:8") && !same("0.0.0.0:9", "127.0.0.1:9"));
        let path = |text: &str| SockAddr::unix(text).unwrap();
        assert!(are_same(&path("/a"), &path("/a")) && !are_same(&path("/a"), &path("/b")));
    }
}
