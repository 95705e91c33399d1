use crate::demultiplexer::{self, Demultiplexer};
use crate::errors::CLOSED;
use crate::link::Link;
use crate::multiplexer::Multiplexer;
use crate::outgoing::Outgoing;
use crate::pump::Pump;
use crate::reader::QuicReader;
use crate::wire::{STREAMS, TOTAL_ORDER};
use crate::writer::QuicWriter;
use crate::{Order, QuicOptions, config};
use broker_core::transport::{self, Connection, TransportError};
use broker_core::{Address, Reason};
use broker_tls::HandshakeReport;
use quinn::{ConnectionError, ReadExactError, RecvStream, SendStream};
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

/// Makes the two halves of a connection whose handshake of QUIC is done here.
///
/// That it is done at the other side too, and with success, shows in the first byte from there.
pub(crate) async fn establish(
    connection: quinn::Connection,
    report: HandshakeReport,
    remote: Address,
    options: &QuicOptions,
    doing: &str,
) -> Result<Connection, TransportError> {
    let link = Arc::new(Link { connection, report });
    let mut streams = open_streams(&link, doing).await?;
    let (theirs, control) = exchange_flags(&link, &mut streams, options, doing).await?;
    let total_order = options.order == Order::Total || theirs & TOTAL_ORDER != 0;
    let outgoing = Arc::new(Outgoing::new());
    let pump =
        Pump { link: link.clone(), streams, outgoing: outgoing.clone(), linger: options.linger };
    tokio::spawn(pump.run());
    let limits = demultiplexer::Limits {
        frame: options.frame,
        handshake_frame: options.handshake_frame,
        assembly: options.assembly.get(),
    };
    let window = config::full_window(options);
    let protection = link.report.protection();
    let multiplexer = Multiplexer::new(total_order);
    Ok(Connection {
        reader: Box::new(QuicReader::new(
            link.clone(),
            control,
            Demultiplexer::new(limits),
            window,
        )),
        writer: Box::new(QuicWriter::new(multiplexer, outgoing, options.backlog.get(), link)),
        link: transport::Link { remote, protection },
    })
}

/// Opens all streams of this direction. The other side sees one when something is on it.
async fn open_streams(link: &Link, doing: &str) -> Result<Vec<SendStream>, TransportError> {
    let mut streams = Vec::with_capacity(STREAMS);
    for _ in 0..STREAMS {
        let mut open = pin!(link.connection.open_uni());
        // It would wait forever at a side that allows fewer.
        let stream = poll_fn(|cx| match open.as_mut().poll(cx) {
            Poll::Pending => Poll::Ready(None),
            Poll::Ready(stream) => Poll::Ready(Some(stream)),
        });
        match stream.await {
            Some(Ok(stream)) => streams.push(stream),
            Some(Err(error)) => return Err(link.explain(&error, doing)),
            None => {
                let detail = format!("{doing}: the other side does not allow {STREAMS} streams");
                return Err(TransportError::new(Reason::NotBroker, detail));
            }
        }
    }
    if let Some(control) = streams.first() {
        // It can only fail if the stream has ended, which the first write tells too.
        let _ = control.set_priority(1);
    }
    Ok(streams)
}

/// Sends the flags of this side, and waits for those of the other one.
async fn exchange_flags(
    link: &Link,
    streams: &mut [SendStream],
    options: &QuicOptions,
    doing: &str,
) -> Result<(u8, RecvStream), TransportError> {
    let ours = if options.order == Order::Total { TOTAL_ORDER } else { 0 };
    if let Some(control) = streams.first_mut() {
        // If it fails, reading says why.
        let _ = control.write_all(&[ours]).await;
    }
    let mut theirs = [0];
    let received = async {
        let mut control = link.connection.accept_uni().await?;
        match control.read_exact(&mut theirs).await {
            Ok(()) => Ok(control),
            Err(ReadExactError::ReadError(quinn::ReadError::ConnectionLost(error))) => Err(error),
            Err(_) => Err(ConnectionError::LocallyClosed),
        }
    };
    match received.await {
        Ok(control) => Ok((theirs[0], control)),
        Err(ConnectionError::LocallyClosed) => Err(link.misbehaved("a stream that breaks off")),
        Err(error) => Err(link.explain(&error, doing)),
    }
}

/// Checks that both sides have agreed on the protocol above QUIC.
///
/// TLS refuses two lists without a common name, but not a side without a list.
pub(crate) fn check_protocol(
    connection: &quinn::Connection,
    doing: &str,
) -> Result<(), TransportError> {
    let data = connection.handshake_data();
    let data = data.and_then(|data| data.downcast::<quinn::crypto::rustls::HandshakeData>().ok());
    if data.is_some_and(|data| data.protocol.as_deref() == Some(crate::ALPN)) {
        return Ok(());
    }
    connection.close(CLOSED, b"no application protocol");
    Err(crate::errors::not_broker(doing))
}
