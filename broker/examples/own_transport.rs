//! A transport of one's own: TCP on which every piece that arrives is late.
//!
//! ```console
//! $ cargo run --example own_transport
//! ```
//!
//! `slow://HOST:PORT?ms=20` behaves like a link of 20 ms, which is handy for trying out how a
//! program copes. A transport opens and accepts connections and moves frames; handshake, filters
//! and events are the endpoint's. Over streams of bytes, as here, the two halves are there already:
//! `StreamReader` and `StreamWriter`.

use async_trait::async_trait;
use broker::core::transport::{
    Connection, FrameReader, Incoming, Link, Listener, ListenerProtection, Protection, ReadBuffer,
    StreamReader, StreamWriter, Transport, TransportError,
};
use broker::{Address, Endpoint, Retry};
use std::error::Error;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::net::tcp::OwnedReadHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

/// Serves the scheme `slow`.
pub struct SlowTransport;

#[async_trait]
impl Transport for SlowTransport {
    fn schemes(&self) -> &'static [&'static str] {
        &["slow"]
    }

    async fn listen(&self, at: &Address) -> Result<Box<dyn Listener>, TransportError> {
        let failed = |error| TransportError::from_io(&error, "listening");
        let listener = TcpListener::bind((at.host(), at.port())).await.map_err(failed)?;
        // Port 0 has become another one.
        let port = listener.local_addr().map_err(failed)?.port();
        Ok(Box::new(SlowListener { listener, url: at.clone().with_port(port) }))
    }

    async fn connect(&self, to: &Address) -> Result<Connection, TransportError> {
        let stream = TcpStream::connect((to.host(), to.port())).await;
        let stream = stream.map_err(|error| TransportError::from_io(&error, "connecting"))?;
        Ok(connection(stream, to.clone(), delay_of(to)))
    }
}

struct SlowListener {
    listener: TcpListener,
    url: Address,
}

#[async_trait]
impl Listener for SlowListener {
    fn url(&self) -> &Address {
        &self.url
    }

    fn protection(&self) -> ListenerProtection {
        ListenerProtection::Plain
    }

    // Cancel safe, because `TcpListener::accept` is and nothing is waited for behind it.
    async fn accept(&mut self) -> Result<Incoming, TransportError> {
        let accepted = self.listener.accept().await;
        let (stream, from): (TcpStream, SocketAddr) =
            accepted.map_err(|error| TransportError::from_io(&error, "accepting"))?;
        let remote = Address::new("slow", &from.ip().to_string(), from.port());
        Ok(Incoming::ready(connection(stream, remote, delay_of(&self.url))))
    }
}

fn delay_of(url: &Address) -> Duration {
    let ms = url.parameters().find(|(name, _)| *name == "ms");
    Duration::from_millis(ms.and_then(|(_, ms)| ms.parse().ok()).unwrap_or(10))
}

fn connection(stream: TcpStream, remote: Address, delay: Duration) -> Connection {
    let (reader, writer) = stream.into_split();
    Connection {
        reader: Box::new(SlowReader { reader: StreamReader(reader), delay }),
        writer: Box::new(StreamWriter(writer)),
        link: Link { remote, protection: Protection::Plain },
    }
}

/// The receiving half, which tells of what has arrived a little later.
struct SlowReader {
    reader: StreamReader<OwnedReadHalf>,
    delay: Duration,
}

#[async_trait]
impl FrameReader for SlowReader {
    // Cancel safe: it waits before it takes anything from the stream.
    async fn recv(&mut self, buffer: &mut ReadBuffer) -> Result<(), TransportError> {
        let arrived = self.reader.0.peek(&mut [0]).await;
        arrived.map_err(|error| TransportError::from_io(&error, "receiving"))?;
        sleep(self.delay).await;
        self.reader.recv(buffer).await
    }
}

/// An endpoint that has this transport and no other.
pub fn endpoint() -> Result<Endpoint, Box<dyn Error>> {
    Ok(Endpoint::builder().transport(SlowTransport).build()?)
}

/// How long it takes to a peer and back.
pub async fn run(ms: u64) -> Result<Duration, Box<dyn Error>> {
    let (near, far) = (endpoint()?, endpoint()?);
    let url = far.listen(format!("slow://127.0.0.1:0?ms={ms}")).await?;
    let id = near.peer(url, Retry::never()).await?;
    let began = Instant::now();
    near.ping(id).await?;
    Ok(began.elapsed())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    println!("there and back in {:?}", run(20).await?);
    Ok(())
}
