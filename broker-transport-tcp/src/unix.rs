use async_trait::async_trait;
use broker_core::transport::{
    Connection, Incoming, Link, Listener, ListenerProtection, Protection, StreamReader,
    StreamWriter, Transport, TransportError,
};
use broker_core::{Address, Reason};
use socket2::{Domain, SockAddr, Socket, Type};
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use tokio::net::{UnixListener, UnixStream};

/// Connections that the kernel completes ahead of `accept`; the system may allow fewer.
const BACKLOG: i32 = 4096;

/// Who may connect unless the address says otherwise: programs of the same user.
const MODE: u32 = 0o600;

/// The transport for the scheme `unix`: stream sockets between processes of one machine.
///
/// `unix:///run/broker.sock` names the socket by its absolute path. Only programs of the same user
/// may connect; a listener lets others in with `?mode=`, the permissions of the socket as an octal
/// number, as in `unix:///run/broker.sock?mode=660`. Who is at the other side, by user and process,
/// comes from the system and is part of what protects the link.
///
/// A socket that a process has left behind when it ended is replaced; one at which somebody
/// listens, or anything else at that path, is not. A listener that ends takes its socket away,
/// unless the process has [inherited](crate::inherited) it.
#[derive(Debug, Clone, Copy, Default)]
pub struct UnixTransport;

#[async_trait]
impl Transport for UnixTransport {
    fn schemes(&self) -> &'static [&'static str] {
        &["unix"]
    }

    async fn listen(&self, at: &Address) -> Result<Box<dyn Listener>, TransportError> {
        let path = path_of(at, "listening on")?;
        let mode = mode_of(at)?;
        let error = |error| TransportError::from_io(&error, &format!("listening on {at}"));
        let address = SockAddr::unix(&path).map_err(error)?;
        if let Some(socket) = crate::inherited::take(&address, Type::STREAM) {
            let socket = UnixListener::from_std(socket.into()).map_err(error)?;
            return Ok(Box::new(SocketListener { url: at.clone(), socket, own: None }));
        }
        let listener = bind(&path, mode).or_else(|error| {
            // Without anybody behind it, it can only be what an earlier process has left.
            if error.kind() == io::ErrorKind::AddrInUse && is_abandoned(&path) {
                fs::remove_file(&path)?;
                return bind(&path, mode);
            }
            Err(error)
        });
        let socket = listener.map_err(error)?;
        let file = identity(&path).map_err(error)?;
        Ok(Box::new(SocketListener { url: at.clone(), socket, own: Some((path, file)) }))
    }

    async fn connect(&self, to: &Address) -> Result<Connection, TransportError> {
        let path = path_of(to, "connecting to")?;
        let stream = UnixStream::connect(&path).await;
        let stream = stream
            .map_err(|error| TransportError::from_io(&error, &format!("connecting to {to}")))?;
        Ok(connection(stream, to.clone()))
    }
}

/// The path of the socket.
fn path_of(url: &Address, doing: &str) -> Result<PathBuf, TransportError> {
    if url.host().is_empty() && url.port() == 0 && !url.path().is_empty() {
        return Ok(PathBuf::from(url.path()));
    }
    let detail =
        format!("{doing} {url}: a unix:// address is an absolute path, as in unix:///run/x");
    Err(TransportError::new(Reason::InvalidAddress, detail))
}

/// The permissions of the socket.
fn mode_of(url: &Address) -> Result<u32, TransportError> {
    let mut mode = MODE;
    for (name, value) in url.parameters() {
        let number = u32::from_str_radix(value, 8).ok().filter(|mode| *mode <= 0o777);
        mode = number.filter(|_| name == "mode").ok_or_else(|| {
            let detail = format!(
                "listening on {url}: a unix:// address has no parameter but mode, permissions as \
                 an octal number such as 660"
            );
            TransportError::new(Reason::InvalidAddress, detail)
        })?;
    }
    Ok(mode)
}

/// Permissions are set before anybody can connect.
fn bind(path: &Path, mode: u32) -> io::Result<UnixListener> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.bind(&SockAddr::unix(path)?)?;
    fs::set_permissions(path, Permissions::from_mode(mode))?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    UnixListener::from_std(socket.into())
}

fn is_abandoned(path: &Path) -> bool {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket());
    is_socket
        && std::os::unix::net::UnixStream::connect(path)
            .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

/// What tells a file from another one at the same path.
fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let file = fs::symlink_metadata(path)?;
    Ok((file.dev(), file.ino()))
}

fn connection(stream: UnixStream, remote: Address) -> Connection {
    let protection = match stream.peer_cred() {
        Ok(peer) => Protection::SameHost { user: peer.uid(), process: peer.pid() },
        Err(_) => Protection::Plain,
    };
    let (reader, writer) = stream.into_split();
    Connection {
        reader: Box::new(StreamReader(reader)),
        writer: Box::new(StreamWriter(writer)),
        link: Link { remote, protection },
    }
}

struct SocketListener {
    url: Address,
    socket: UnixListener,
    /// The file that it has made.
    own: Option<(PathBuf, (u64, u64))>,
}

#[async_trait]
impl Listener for SocketListener {
    fn url(&self) -> &Address {
        &self.url
    }

    fn protection(&self) -> ListenerProtection {
        ListenerProtection::SameHost
    }

    async fn accept(&mut self) -> Result<Incoming, TransportError> {
        let accepted = self.socket.accept().await;
        let (stream, _) = accepted.map_err(|error| {
            TransportError::from_io(&error, &format!("accepting at {}", self.url))
        })?;
        let remote = self.url.clone().with_query("");
        Ok(Incoming::ready(connection(stream, remote)))
    }
}

impl Drop for SocketListener {
    fn drop(&mut self) {
        // Another listener may have taken the path over.
        if let Some((path, made)) = &self.own
            && identity(path).is_ok_and(|file| file == *made)
        {
            let _ = fs::remove_file(path);
        }
    }
}
