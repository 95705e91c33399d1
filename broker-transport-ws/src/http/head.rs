use super::HEAD_MAX;
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt};

/// Why there is no head to parse.
#[derive(Debug)]
pub(crate) enum HeadError {
    /// The connection ended before the head did, of which this had arrived.
    Ended(Vec<u8>),
    /// The head is longer than [`HEAD_MAX`].
    TooLong,
    /// The first bytes are not those of HTTP; here they are.
    NotHttp(Vec<u8>),
    Io(io::Error),
}

/// Reads up to the empty line, and returns the head with that line, and what came behind it.
///
/// Lines may end with CR LF or with LF alone.
pub(crate) async fn read_head(
    stream: &mut (impl AsyncRead + Unpin),
) -> Result<(Vec<u8>, Vec<u8>), HeadError> {
    let mut received = Vec::<u8>::new();
    let mut seen = 0;
    loop {
        // Before anything else, so that it does not matter how much has come at once.
        if received.first().is_some_and(|byte| !byte.is_ascii_alphabetic()) {
            return Err(HeadError::NotHttp(received));
        }
        if let Some(end) = end_of_head(&received, seen) {
            if end > HEAD_MAX {
                return Err(HeadError::TooLong);
            }
            let rest = received.split_off(end);
            return Ok((received, rest));
        }
        if received.len() > HEAD_MAX {
            return Err(HeadError::TooLong);
        }
        seen = received.len().saturating_sub(3);
        match stream.read_buf(&mut received).await {
            Ok(0) => return Err(HeadError::Ended(received)),
            Ok(_) => {}
            Err(error) => return Err(HeadError::Io(error)),
        }
    }
}

/// Where the head ends, if it does at or after `from`.
fn end_of_head(bytes: &[u8], from: usize) -> Option<usize> {
    let rest = bytes.get(from..)?;
    rest.iter().enumerate().filter(|(_, byte)| **byte == b'\n').find_map(|(at, _)| {
        match rest.get(at + 1..)? {
            [b'\n', ..] => Some(from + at + 2),
            [b'\r', b'\n', ..] => Some(from + at + 3),
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn heads_end_with_an_empty_line_wherever_the_reads_end() {
        for text in ["GET / HTTP/1.1\r\nHost: a\r\n\r\nrest", "GET / HTTP/1.1\nHost: a\n\nrest"] {
            for cut in 0..text.len() - 4 {
                let (before, after) = text.split_at(cut);
                let mut stream = before.as_bytes().chain(after.as_bytes());
                let (head, _) = read_head(&mut stream).await.unwrap();
                assert_eq!(head, &text.as_bytes()[..text.len() - 4], "cut at {cut}");
            }
        }
    }

    #[tokio::test]
    async fn heads_that_are_none_are_refused() {
        let long = [b'A'; HEAD_MAX + 1];
        assert!(matches!(read_head(&mut &long[..]).await, Err(HeadError::TooLong)));
        for other in [&b"\x16\x03\x01"[..], b"3\n\n", b"\n\nGET / HTTP/1.1\n\n"] {
            assert!(matches!(read_head(&mut &other[..]).await, Err(HeadError::NotHttp(_))));
        }
        assert!(matches!(read_head(&mut &b"GET /"[..]).await, Err(HeadError::Ended(_))));
    }
}
