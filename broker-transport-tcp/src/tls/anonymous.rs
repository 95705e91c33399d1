//! The handshakes of the anonymous mode, which are those of OpenSSL.

use super::handshake::close;
use super::prefix_capture::PrefixCapture;
use openssl::ssl::{Error, Ssl};
use std::io;
use std::pin::Pin;
use tokio_openssl::SslStream;

/// Dials; an error comes with the first bytes of the other side.
pub(super) async fn connect(
    session: Ssl,
    socket: PrefixCapture,
) -> Result<SslStream<PrefixCapture>, (io::Error, Vec<u8>)> {
    let mut stream = SslStream::new(session, socket).map_err(|error| (error.into(), Vec::new()))?;
    match Pin::new(&mut stream).connect().await {
        Ok(()) => Ok(stream),
        Err(error) => Err((io_error(error), stream.get_mut().prefix().to_vec())),
    }
}

/// Accepts; the connection of a refused peer is closed in an orderly way.
pub(super) async fn accept(
    session: Ssl,
    socket: PrefixCapture,
) -> io::Result<SslStream<PrefixCapture>> {
    let mut stream = SslStream::new(session, socket)?;
    match Pin::new(&mut stream).accept().await {
        Ok(()) => Ok(stream),
        Err(error) => {
            close(stream.get_mut()).await;
            Err(io_error(error))
        }
    }
}

fn io_error(error: Error) -> io::Error {
    error.into_io_error().unwrap_or_else(io::Error::other)
}
