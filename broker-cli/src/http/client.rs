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
