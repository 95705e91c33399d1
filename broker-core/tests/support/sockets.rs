use async_trait::async_trait;
use broker_core::Address;
use broker_core::transport::{
    Connection, Incoming, Link, Listener, ListenerProtection, Protection, StreamReader,
    StreamWriter, Transport, TransportError,
};
use tokio::net::{TcpListener, TcpStream};

/// `mem://` addresses over real sockets of the loopback interface, for tests that count
/// descriptors.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sockets;

fn connection(stream: TcpStream, remote: Address) -> Connection {
    // Only slower without.
    let _ = stream.set_nodelay(true);
    let (reader, writer) = stream.into_split();
    Connection {
        reader: Box::new(StreamReader(reader)),
        writer: Box::new(StreamWriter(writer)),
        link: Link { remote, protection: Protection::Plain },
    }
}

fn error(error: &std::io::Error) -> TransportError {
    TransportError::from_io(error, "using a socket")
}

#[async_trait]
impl Transport for Sockets {
    fn schemes(&self) -> &'static [&'static str] {
        &["mem"]
    }

    async fn listen(&self, at: &Address) -> Result<Box<dyn Listener>, TransportError> {
        let socket = TcpListener::bind(("127.0.0.1", 0)).await.map_err(|e| error(&e))?;
        let port = socket.local_addr().map_err(|e| error(&e))?.port();
        Ok(Box::new(SocketListener { socket, url: at.clone().with_port(port) }))
    }

    async fn connect(&self, to: &Address) -> Result<Connection, TransportError> {
        let stream = TcpStream::connect(("127.0.0.1", to.port())).await.map_err(|e| error(&e))?;
        Ok(connection(stream, to.clone()))
    }
}

struct SocketListener {
    socket: TcpListener,
    url: Address,
}

#[async_trait]
impl Listener for SocketListener {
    fn url(&self) -> &Address {
        &self.url
    }

    fn protection(&self) -> ListenerProtection {
        ListenerProtection::Plain
    }

    async fn accept(&mut self) -> Result<Incoming, TransportError> {
        let (stream, from) = self.socket.accept().await.map_err(|e| error(&e))?;
        Ok(Incoming::ready(connection(stream, Address::new("mem", "client", from.port()))))
    }
}
