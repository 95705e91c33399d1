use crate::access::{AccessOptions, AccessRule};
use crate::http::{
    HEAD_MAX, HeadError, parse_request, parse_response, read_head, validate_upgrade,
};
use broker_core::transport::Protection;
use broker_proto::fuzzing::Input;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use tokio::io::AsyncReadExt;

/// A head ends where it ends, however the reads are cut; whatever a request is, the answer is one
/// that a client can read.
pub(super) fn requests(mut input: Input<'_>) {
    let cut = usize::from(input.u16());
    let bytes = input.rest();
    let head = head(bytes, bytes.len());
    assert_eq!(self::head(bytes, cut.min(bytes.len())), head);
    let Ok(head) = head else { return };
    assert!(head.len() <= HEAD_MAX && bytes.starts_with(&head));
    let Ok(request) = parse_request(&head) else { return };
    let answer = match validate_upgrade(&request) {
        Ok(upgrade) => upgrade.encode(request.fields.get("Sec-WebSocket-Protocol").map(|_| "p")),
        Err(answer) => answer.encode(false),
    };
    is_response(&answer);
    let rule = AccessRule { token: Some("secret".to_owned()), ..AccessRule::default() };
    let access = AccessOptions { rules: vec![rule], origins: vec!["https://a".to_owned()] };
    match access.admit(&request, &Protection::Plain) {
        Ok(_) => assert!(String::from_utf8_lossy(&head).contains(['s', '%'])),
        Err(answer) => is_response(&answer.encode(false)),
    }
}

/// The head at the front, read in two pieces, or the kind of error.
fn head(bytes: &[u8], cut: usize) -> Result<Vec<u8>, &'static str> {
    let (before, after) = bytes.split_at(cut);
    let mut stream = before.chain(after);
    let reading = pin!(read_head(&mut stream));
    let Poll::Ready(read) = reading.poll(&mut Context::from_waker(Waker::noop())) else {
        unreachable!("bytes in memory are always there")
    };
    read.map(|(head, _)| head).map_err(|error| match error {
        HeadError::Ended(_) => "ended",
        HeadError::TooLong => "too long",
        HeadError::NotHttp(_) => "not HTTP",
        HeadError::Io(_) => "an error of a socket",
    })
}

fn is_response(answer: &[u8]) {
    let response = parse_response(answer);
    assert!(response.is_ok(), "{response:?}: {}", String::from_utf8_lossy(answer));
    let heads = String::from_utf8_lossy(answer).matches("\r\n\r\n").count();
    assert_eq!(heads, 1, "{}", String::from_utf8_lossy(answer));
}

/// What a server answers is read or refused.
pub(super) fn responses(bytes: &[u8]) {
    match parse_response(bytes) {
        Ok(response) => {
            response.fields.lists("Connection", "upgrade");
            assert!(response.status < 1000);
        }
        Err(reason) => assert!(!reason.is_empty()),
    }
}
