//! The keys of CURVE, and the text that ZeroMQ writes them in (Z85).

use std::fmt;
use std::str::FromStr;
use zeroize::{Zeroize, Zeroizing};

/// Bytes of a key.
pub const KEY_LEN: usize = 32;

/// Characters of a key as text.
const TEXT_LEN: usize = 40;

/// The digits of Z85 in their order.
const DIGITS: &[u8; 85] =
    b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#";

/// Why a text is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a key is {TEXT_LEN} characters of Z85, as `zmq_curve_keypair` makes them")]
pub struct InvalidKey;

/// A public key. Its text is Z85, 40 characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PublicKey(pub [u8; KEY_LEN]);

/// A secret key, which is not shown and is overwritten when it is dropped.
#[derive(Clone)]
pub struct SecretKey(Zeroizing<[u8; KEY_LEN]>);

/// What a client of CURVE has: its own keys, and the public one of the server.
#[derive(Debug, Clone)]
pub struct ClientKeys {
    /// The key that the server has to have.
    pub server: PublicKey,
    /// The own public key.
    pub public: PublicKey,
    /// The own secret key.
    pub secret: SecretKey,
}

/// What a server of CURVE has: its own secret key, and the public one of its clients.
#[derive(Debug, Clone)]
pub struct ServerKeys {
    /// The own secret key.
    pub secret: SecretKey,
    /// The only key that clients may have.
    pub client: PublicKey,
}

impl SecretKey {
    /// A secret key from its bytes.
    #[must_use]
    pub fn new(bytes: [u8; KEY_LEN]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The public key that belongs to it.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(*self.for_box().public_key().as_bytes())
    }

    pub(crate) fn for_box(&self) -> crypto_box::SecretKey {
        crypto_box::SecretKey::from_bytes(*self.0)
    }

    /// The key as text.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        Zeroizing::new(encode(&self.0))
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(***)")
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&encode(&self.0))
    }
}

impl FromStr for PublicKey {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        decode(text).map(Self)
    }
}

impl FromStr for SecretKey {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        let mut bytes = decode(text)?;
        let key = Self::new(bytes);
        bytes.zeroize();
        Ok(key)
    }
}

fn encode(key: &[u8; KEY_LEN]) -> String {
    let mut text = String::with_capacity(TEXT_LEN);
    for group in key.as_chunks::<4>().0 {
        let number = u32::from_be_bytes(*group);
        for power in [85_u32.pow(4), 85_u32.pow(3), 85_u32.pow(2), 85, 1] {
            let digit = DIGITS.get((number / power % 85) as usize);
            text.extend(digit.map(|digit| *digit as char));
        }
    }
    text
}

fn decode(text: &str) -> Result<[u8; KEY_LEN], InvalidKey> {
    let mut key = [0; KEY_LEN];
    if text.len() != TEXT_LEN {
        return Err(InvalidKey);
    }
    let (groups, _) = text.as_bytes().as_chunks::<5>();
    for (place, group) in key.as_chunks_mut::<4>().0.iter_mut().zip(groups) {
        let number = group.iter().try_fold(0_u32, |number, byte| {
            let digit = DIGITS.iter().position(|digit| digit == byte)?;
            number.checked_mul(85)?.checked_add(digit as u32)
        });
        *place = number.ok_or(InvalidKey)?.to_be_bytes();
    }
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The keys of the test in the CURVE specification of ZeroMQ, RFC 26.
    const SERVER_PUBLIC: &str = "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7";
    const SERVER_SECRET: &str = "JTKVSB%%)wK0E.X)V>+}o?pNmC{O&4W4b!Ni{Lh6";

    #[test]
    fn keys_are_read_and_written_as_text() {
        let public: PublicKey = SERVER_PUBLIC.parse().unwrap();
        let secret: SecretKey = SERVER_SECRET.parse().unwrap();
        assert_eq!(public.to_string(), SERVER_PUBLIC);
        assert_eq!(secret.to_text().as_str(), SERVER_SECRET);
        assert_eq!(secret.public(), public);
        assert!(!format!("{secret:?}").contains("JTK"));
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let too_large = "#".repeat(TEXT_LEN);
        let foreign = SERVER_PUBLIC.replace('r', "~");
        let wide = "ä".repeat(TEXT_LEN / 2);
        for text in ["", "abc", &too_large, &foreign, &wide, &SERVER_PUBLIC[1..]] {
            assert_eq!(text.parse::<PublicKey>(), Err(InvalidKey), "{text}");
        }
    }
}
