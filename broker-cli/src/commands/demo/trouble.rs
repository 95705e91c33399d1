use super::overlay::Hub;
use super::transcript::Transcript;
use crate::failure::Failure;
use broker::{Address, Config, Retry};

/// An address at which nobody listens.
fn nowhere() -> Address {
    if cfg!(feature = "tcp") {
        Address::new("tcp", "127.0.0.1", 1)
    } else {
        Address::new("mem", "nobody", 1)
    }
}

/// A connection that is refused is an error event, and no end.
pub(super) async fn refused_connection(transcript: &mut Transcript) -> Result<(), Failure> {
    transcript.step("A stray peers with an address where nothing listens");
    let mut stray = transcript.start("stray", Config::default())?;
    let refused = stray.endpoint.peer(nowhere(), Retry::never()).await.is_err();
    stray.wait_for(transcript, "error").await?;
    transcript.check(refused, "the connection was refused");
    stray.shut_down(transcript).await
}

/// Ending a peering that does not exist is an error event, and no end.
pub(super) async fn unknown_peer(transcript: &mut Transcript) -> Result<(), Failure> {
    transcript.step("Somebody takes a peering back that does not exist");
    let mut somebody = transcript.start("somebody", Config::default())?;
    let known = somebody.endpoint.unpeer(nowhere());
    somebody.wait_for(transcript, "error").await?;
    transcript.check(!known, "there was no such peering");
    somebody.shut_down(transcript).await
}

/// Another protocol is named in the log of the hub.
#[cfg(feature = "tcp")]
pub(super) async fn wrong_protocol(
    transcript: &mut Transcript,
    hub: &mut Hub,
) -> Result<(), Failure> {
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpStream;
    let Some(url) = hub.urls.iter().find(|url| url.scheme() == "tcp") else { return Ok(()) };
    transcript.step("A browser mistakes the hub for a web server");
    let failed = |error: std::io::Error| Failure::other(format!("connecting to {url}: {error}"));
    let mut browser = TcpStream::connect((url.host(), url.port())).await.map_err(failed)?;
    browser.write_all(b"GET / HTTP/1.1\r\nHost: hub\r\n\r\n").await.map_err(failed)?;
    hub.participant.wait_for(transcript, "internal_log_event").await
}

/// Without TCP nobody else can connect.
#[cfg(not(feature = "tcp"))]
pub(super) async fn wrong_protocol(_: &mut Transcript, _: &mut Hub) -> Result<(), Failure> {
    Ok(())
}
