use crate::foreign::{Speaker, speaker};
use async_trait::async_trait;
use broker_core::Url;
use broker_core::transport::{
    Connection, FrameReader, Link, Protection, ReadBuffer, StreamReader, StreamWriter,
    TransportError, TransportErrorKind,
};
use std::future::poll_fn;
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;

/// A connection that is nothing but the socket.
pub(crate) fn connection(stream: TcpStream, remote: Url) -> Connection {
    let (reader, writer) = stream.into_split();
    Connection {
        reader: Box::new(TcpReader { socket: StreamReader(reader), began: false }),
        writer: Box::new(StreamWriter(writer)),
        link: Link { remote, protection: Protection::Plain },
    }
}

/// Reads from a socket without holding memory while there is nothing to read.
struct TcpReader {
    socket: StreamReader<OwnedReadHalf>,
    /// Whether the first octets have been looked at.
    began: bool,
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
        self.socket.recv(buffer).await?;
        // Nobody consumes less than a length, so the first octets are all there.
        if !self.began && buffer.pending().len() >= LENGTH {
            self.began = true;
            refuse_foreign(buffer.pending())?;
        }
        Ok(())
    }
}

/// The length in front of each frame.
const LENGTH: usize = 4;

/// Everything foreign that is recognised would announce a frame of hundreds of megabytes.
fn refuse_foreign(head: &[u8]) -> Result<(), TransportError> {
    let detail = match speaker(head) {
        None | Some(Speaker::Broker) => return Ok(()),
        Some(Speaker::Tls) => {
            "the other side speaks TLS, and this is an address without encryption: use tls:// here, \
             or switch encryption off there"
                .to_owned()
        }
        Some(other) => format!("the other side speaks {}, not Broker", other.name()),
    };
    Err(TransportError::new(TransportErrorKind::WrongProtocol, detail))
}
