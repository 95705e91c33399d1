//! The limit for this design on this machine: a plain tokio program that moves the same, already
//! encoded frames through TCP sockets in writes of 64 KiB and splits them at the other end.

mod crowd;
mod latency;
mod stream;

pub(super) use crowd::crowd;
pub(super) use latency::{ping, pong};
pub(super) use stream::{relay, send, split};

use broker::core::wire::frame::PREFIX;
use std::io;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// How much is written, and read, at once.
const BLOCK: usize = 64 * 1024;

/// As many as the endpoint's own transport lets wait to be accepted.
const BACKLOG: u32 = 4096;

async fn listen() -> io::Result<(TcpListener, String)> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(([127, 0, 0, 1], 0).into())?;
    let listener = socket.listen(BACKLOG)?;
    let at = listener.local_addr()?.to_string();
    Ok((listener, at))
}

async fn dial(at: &str) -> io::Result<TcpStream> {
    prepare(TcpStream::connect(at).await?)
}

fn prepare(stream: TcpStream) -> io::Result<TcpStream> {
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Writes blocks of whole frames in pieces of at most [`BLOCK`].
async fn write(stream: &mut (impl AsyncWriteExt + Unpin), frames: &[u8]) -> io::Result<()> {
    for piece in frames.chunks(BLOCK) {
        stream.write_all(piece).await?;
    }
    Ok(())
}

/// Splits what is received into frames.
#[derive(Default)]
struct Splitter {
    bytes: Vec<u8>,
    start: usize,
}

impl Splitter {
    /// Receives something, or returns false at the end of the stream.
    async fn fill(&mut self, stream: &mut (impl AsyncReadExt + Unpin)) -> io::Result<bool> {
        self.bytes.drain(..self.start);
        self.start = 0;
        self.bytes.reserve(BLOCK);
        Ok(stream.read_buf(&mut self.bytes).await? > 0)
    }

    /// The next whole frame, prefix included.
    fn next(&mut self) -> Option<&[u8]> {
        let rest = self.bytes.get(self.start..)?;
        let prefix = rest.first_chunk::<PREFIX>()?;
        let frame = rest.get(..PREFIX + u32::from_be_bytes(*prefix) as usize)?;
        self.start += frame.len();
        Some(frame)
    }
}
