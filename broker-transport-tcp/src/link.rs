use crate::persistent::PersistentWriter;
use async_trait::async_trait;
use broker_core::Url;
use broker_core::transport::{
    Connection, FrameReader, Link, Protection, ReadBuffer, StreamReader, StreamWriter,
    TransportError,
};
use std::future::poll_fn;
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;

/// A connection that is nothing but the socket.
pub(crate) fn connection(stream: TcpStream, remote: Url) -> Connection {
    let (reader, writer) = stream.into_split();
    Connection {
        reader: Box::new(TcpReader { socket: StreamReader(reader) }),
        writer: Box::new(StreamWriter(PersistentWriter(writer))),
        link: Link { remote, protection: Protection::Plain },
    }
}

/// Reads from a socket without holding memory while there is nothing to read.
struct TcpReader {
    socket: StreamReader<OwnedReadHalf>,
}

#[async_trait]
impl FrameReader for TcpReader {
    async fn recv(&mut self, buffer: &mut ReadBuffer) -> Result<(), TransportError> {
        let socket: &TcpStream = self.socket.0.as_ref();
        poll_fn(|cx| {
            let ready = socket.poll_read_ready(cx);
            if ready.is_pending() {
                buffer.release();
            }
            ready
        })
        .await
        .map_err(|error| TransportError::from_io(&error, "receiving"))?;
        self.socket.recv(buffer).await
    }
}
