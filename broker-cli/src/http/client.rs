#[cfg(feature = "top")]
use super::WINDOW;
use super::{HttpAddress, OVERLAY, STATUS, Status, TOPICS};
use crate::failure::{Exit, Failure};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::HOST;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(3);

/// How long everything may take.
const TIME: Duration = Duration::from_secs(10);

/// The longest answer, in bytes: four times what a node tells unless it is told otherwise.
const LONGEST: usize = 32 * 1024 * 1024;

/// Asks a node for its status.
pub(crate) async fn status(at: &HttpAddress) -> Result<Status, Failure> {
    ask(at, STATUS).await
}

/// The same, and has the node look at messages for the load by topics from now on.
pub(crate) async fn status_with_topics(at: &HttpAddress) -> Result<Status, Failure> {
    ask(at, &format!("{STATUS}?{TOPICS}")).await
}

/// Asks a node for its status and those of all others that it has heard of.
pub(crate) async fn overlay(at: &HttpAddress) -> Result<Vec<Status>, Failure> {
    #[derive(serde::Deserialize)]
    struct Report {
        nodes: Vec<Status>,
    }
    let report: Report = ask(at, OVERLAY).await?;
    Ok(report.nodes)
}

/// What a node shows of what passes by and has happened.
#[cfg(feature = "top")]
#[derive(Debug, Default, serde::Deserialize)]
pub(crate) struct WindowReport {
    /// Messages that were looked at, and how many more have passed meanwhile.
    pub(crate) passed: u64,
    pub(crate) missed: u64,
    pub(crate) topics: Vec<(String, TopicCount)>,
    pub(crate) happened_last: u64,
    pub(crate) happenings: Vec<Happened>,
}

#[cfg(feature = "top")]
#[derive(Debug, serde::Deserialize)]
pub(crate) struct TopicCount {
    pub(crate) messages: u64,
    /// By how much `messages` may be too high.
    pub(crate) error: u64,
}

#[cfg(feature = "top")]
#[derive(Debug, serde::Deserialize)]
pub(crate) struct Happened {
    pub(crate) ts: String,
    pub(crate) level: String,
    pub(crate) what: String,
    pub(crate) text: String,
}

/// Asks a node for the topics that carry the load, and what has happened after this number. For
/// some seconds the node looks at what passes by.
#[cfg(feature = "top")]
pub(crate) async fn window(at: &HttpAddress, happened: u64) -> Result<WindowReport, Failure> {
    ask(at, &format!("{WINDOW}?after={}&happened={happened}", u64::MAX)).await
}

async fn ask<T: DeserializeOwned>(at: &HttpAddress, path: &str) -> Result<T, Failure> {
    let answer = timeout(TIME, get(at, path)).await.unwrap_or_else(|_| {
        let text = format!("{} did not answer within {} s", at.url(), TIME.as_secs());
        Err(Failure::new(Exit::TimedOut, text))
    })?;
    serde_json::from_slice(&answer).map_err(|error| not_a_node(at, &error))
}

async fn get(at: &HttpAddress, path: &str) -> Result<Bytes, Failure> {
    let stream = connect(at).await?;
    let failed = |error: &dyn std::fmt::Display| not_a_node(at, error);
    let handshake = http1::handshake::<_, Empty<Bytes>>(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|error| failed(&error))?;
    // Its failures are those of the request.
    tokio::spawn(connection);
    let host = at.url().to_string();
    let request = Request::get(path)
        .header(HOST, host.trim_start_matches("http://"))
        .body(Empty::new())
        .map_err(|error| failed(&error))?;
    let answer = sender.send_request(request).await.map_err(|error| failed(&error))?;
    if answer.status() != StatusCode::OK {
        return Err(failed(&format_args!("it answered {}", answer.status())));
    }
    let body = Limited::new(answer.into_body(), LONGEST).collect().await;
    Ok(body.map_err(|error| failed(&error))?.to_bytes())
}

async fn connect(at: &HttpAddress) -> Result<TcpStream, Failure> {
    let failed = |reason: &dyn std::fmt::Display| {
        let text = format!(
            "cannot reach a node at {}: {reason}; is there one with --http {}:{}?",
            at.url(),
            at.host(),
            at.port()
        );
        Failure::new(Exit::CannotConnect, text)
    };
    match timeout(CONNECT, TcpStream::connect((at.host(), at.port()))).await {
        Ok(connected) => connected.map_err(|error| failed(&error)),
        Err(_) => Err(failed(&format_args!("no answer within {} s", CONNECT.as_secs()))),
    }
}

fn not_a_node(at: &HttpAddress, reason: &dyn std::fmt::Display) -> Failure {
    let text = format!("what answers at {} is no node of this version: {reason}", at.url());
    Failure::new(Exit::Refused, text)
}
