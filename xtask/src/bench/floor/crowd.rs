use super::{dial, listen, prepare};
use crate::bench::messages::Window;
use crate::bench::worker::Running;
use crate::bench::{Result, usage};
use std::io;
use std::time::Instant;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::task::JoinSet;

/// A handshake of Broker takes two round trips with messages of about this size.
const MESSAGE: usize = 64;

/// Connections that say something twice and hear an answer each time.
struct Crowd {
    handle: Handle,
    connections: usize,
    open: Vec<TcpStream>,
    url: Option<String>,
}

/// Without connections of its own it is the side that answers.
pub(in crate::bench) fn crowd(connections: usize, handle: Handle) -> Box<dyn Running> {
    let mut crowd = Crowd { handle, connections, open: Vec::new(), url: None };
    if connections == 0 {
        crowd.url = crowd.answer().ok();
    }
    Box::new(crowd)
}

impl Crowd {
    fn answer(&self) -> io::Result<String> {
        let (listener, url) = self.handle.block_on(listen())?;
        self.handle.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(echo(stream));
            }
        });
        Ok(url)
    }
}

async fn echo(stream: TcpStream) -> io::Result<()> {
    let mut stream = prepare(stream)?;
    let mut message = [0; MESSAGE];
    loop {
        stream.read_exact(&mut message).await?;
        stream.write_all(&message).await?;
    }
}

async fn greet(at: String) -> io::Result<TcpStream> {
    let mut stream = dial(&at).await?;
    let mut message = [0; MESSAGE];
    for _ in 0..2 {
        stream.write_all(&message).await?;
        stream.read_exact(&mut message).await?;
    }
    Ok(stream)
}

impl Running for Crowd {
    fn url(&self) -> Option<String> {
        self.url.clone()
    }

    fn dial(&mut self, url: &str) -> Result<Window> {
        let (began, cpu) = (Instant::now(), usage::cpu_time());
        let mut greetings = JoinSet::new();
        for _ in 0..self.connections {
            greetings.spawn_on(greet(url.to_owned()), &self.handle);
        }
        self.open = self
            .handle
            .block_on(greetings.join_all())
            .into_iter()
            .collect::<io::Result<Vec<TcpStream>>>()?;
        Ok(Window {
            seconds: began.elapsed().as_secs_f64(),
            count: self.open.len() as u64,
            cpu_seconds: (usage::cpu_time() - cpu).as_secs_f64(),
        })
    }
}
