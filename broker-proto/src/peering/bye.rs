use bytes::Bytes;

/// The end of a peering: this side pings with a token, and closes when the pong brings it back.
#[derive(Debug)]
pub(super) struct Bye {
    token: Bytes,
}

impl Bye {
    /// A token that no other peering of this endpoint has.
    pub(super) fn new(number: u64) -> Self {
        Self { token: [&b"BYE"[..], &number.to_ne_bytes()].concat().into() }
    }

    /// The payload of the ping.
    pub(super) fn token(&self) -> &[u8] {
        &self.token
    }

    /// Whether a pong with this payload ends the peering: all of it counts, nothing else does.
    pub(super) fn is_answered_by(&self, pong: &[u8]) -> bool {
        self.token == pong
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_token_ends_a_peering() {
        let bye = Bye::new(7);
        assert_eq!(bye.token().len(), 11);
        assert!(bye.is_answered_by(bye.token()));
        assert!(!bye.is_answered_by(b"BYE"));
        assert!(!bye.is_answered_by(&[bye.token(), b"x"].concat()));
        assert!(!bye.is_answered_by(Bye::new(8).token()));
    }
}
