//! From the key exchange to the keys of both directions.

use super::record::{Opener, Sealer};
use super::{AnonymousError, refused};
use cbc::cipher::array::Array;
use hmac::{Hmac, KeyInit, Mac};
use ring::agreement::{self, Algorithm, EphemeralPrivateKey, UnparsedPublicKey};
use ring::rand::{SecureRandom, SystemRandom};
use rustls::AlertDescription as Alert;
use sha2::Sha256;
use zeroize::Zeroizing;

/// A curve for the key exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Group {
    P256,
    P384,
    X25519,
}

impl Group {
    /// All of them, those that cost least first; the C++ Broker has P-384 alone.
    pub(super) const ALL: [Self; 3] = [Self::X25519, Self::P256, Self::P384];

    pub(super) fn from_id(id: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|group| group.id() == id)
    }

    pub(super) fn id(self) -> u16 {
        match self {
            Self::P256 => 23,
            Self::P384 => 24,
            Self::X25519 => 29,
        }
    }

    fn algorithm(self) -> &'static Algorithm {
        match self {
            Self::P256 => &agreement::ECDH_P256,
            Self::P384 => &agreement::ECDH_P384,
            Self::X25519 => &agreement::X25519,
        }
    }
}

/// Where random bytes and key pairs come from.
pub(super) enum Entropy {
    System(SystemRandom),
    /// What a recorded handshake had.
    #[cfg(any(test, feature = "fuzzing"))]
    Recorded(Recorded),
}

/// The random choices of one side of a recorded handshake.
#[cfg(any(test, feature = "fuzzing"))]
pub(super) struct Recorded {
    /// Served in order, then over again.
    pub(super) bytes: std::collections::VecDeque<u8>,
    pub(super) public: Vec<u8>,
    pub(super) premaster: Vec<u8>,
}

impl Entropy {
    pub(super) fn system() -> Self {
        Self::System(SystemRandom::new())
    }

    pub(super) fn fill(&mut self, bytes: &mut [u8]) -> Result<(), AnonymousError> {
        match self {
            Self::System(system) => system.fill(bytes).or_else(|_| no_entropy()),
            #[cfg(any(test, feature = "fuzzing"))]
            Self::Recorded(recorded) => {
                for byte in bytes {
                    *byte = recorded.bytes.pop_front().unwrap_or_default();
                    recorded.bytes.push_back(*byte);
                }
                Ok(())
            }
        }
    }

    pub(super) fn share(&mut self, group: Group) -> Result<Share, AnonymousError> {
        match self {
            Self::System(system) => {
                let private = EphemeralPrivateKey::generate(group.algorithm(), system);
                let Ok(private) = private else { return no_entropy() };
                let Ok(public) = private.compute_public_key() else { return no_entropy() };
                Ok(Share { public: public.as_ref().to_vec(), private: Private::Ring(private) })
            }
            #[cfg(any(test, feature = "fuzzing"))]
            Self::Recorded(recorded) => Ok(Share {
                public: recorded.public.clone(),
                private: Private::Recorded(recorded.premaster.clone()),
            }),
        }
    }
}

fn no_entropy<T>() -> Result<T, AnonymousError> {
    refused(Alert::InternalError, "the system has no random numbers")
}

/// One side's key pair of the key exchange.
pub(super) struct Share {
    /// The public key as it is sent.
    pub(super) public: Vec<u8>,
    private: Private,
}

enum Private {
    Ring(EphemeralPrivateKey),
    #[cfg(any(test, feature = "fuzzing"))]
    Recorded(Vec<u8>),
}

impl Share {
    /// The premaster secret with the owner of `peer`, which is checked to be a point of the curve.
    pub(super) fn agree(self, peer: &[u8]) -> Result<Zeroizing<Vec<u8>>, AnonymousError> {
        match self.private {
            Private::Ring(private) => agree(private, peer),
            #[cfg(any(test, feature = "fuzzing"))]
            Private::Recorded(premaster) => Ok(Zeroizing::new(premaster)),
        }
    }
}

fn agree(private: EphemeralPrivateKey, peer: &[u8]) -> Result<Zeroizing<Vec<u8>>, AnonymousError> {
    let peer = UnparsedPublicKey::new(private.algorithm(), peer);
    let keep = |secret: &[u8]| Zeroizing::new(secret.to_vec());
    agreement::agree_ephemeral(private, &peer, keep).or_else(|_| {
        refused(
            Alert::IllegalParameter,
            "the public key of the other side is no point of the curve",
        )
    })
}

/// A key as HMAC pads it to a block of its hash; those of this mode have 48 bytes at most.
pub(super) fn padded(key: &[u8]) -> Zeroizing<[u8; 64]> {
    let mut block = Zeroizing::new([0; 64]);
    debug_assert!(key.len() <= block.len());
    block.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
    block
}

/// The PRF of TLS 1.2 with SHA-256 (RFC 5246, section 5).
fn prf(secret: &[u8], label: &[u8], seed: &[&[u8]], out: &mut [u8]) {
    let keyed = <Hmac<Sha256> as KeyInit>::new(Array::cast_from_core(&padded(secret)));
    let with_seed = |mac: Hmac<Sha256>| seed.iter().fold(mac, |mac, part| mac.chain_update(part));
    let mut a = with_seed(keyed.clone().chain_update(label)).finalize().into_bytes();
    for chunk in out.chunks_mut(a.len()) {
        let block = with_seed(keyed.clone().chain_update(a).chain_update(label)).finalize();
        chunk.iter_mut().zip(block.into_bytes()).for_each(|(to, from)| *to = from);
        a = keyed.clone().chain_update(a).finalize().into_bytes();
    }
}

/// The bytes of a Finished message.
pub(super) type VerifyData = [u8; 12];

/// The master secret of a connection.
pub(super) struct Master(Zeroizing<[u8; 48]>);

impl Master {
    /// The extended master secret; `transcript` is the hash of the messages up to and including
    /// ClientKeyExchange.
    pub(super) fn new(premaster: &[u8], transcript: &[u8]) -> Self {
        let mut master = Zeroizing::new([0; 48]);
        prf(premaster, b"extended master secret", &[transcript], &mut *master);
        Self(master)
    }

    #[cfg(test)]
    pub(super) fn bytes(&self) -> &[u8] {
        &*self.0
    }

    /// The keys of the client's direction and of the server's.
    pub(super) fn keys(&self, client_random: &[u8], server_random: &[u8]) -> [DirectionKeys; 2] {
        let mut block = Zeroizing::new([0; 104]);
        prf(&*self.0, b"key expansion", &[server_random, client_random], &mut *block);
        let (macs, ciphers) = block.split_at(40);
        let mut sides = [DirectionKeys::default(), DirectionKeys::default()];
        let parts = macs.chunks_exact(20).zip(ciphers.chunks_exact(32));
        for (side, (mac, cipher)) in sides.iter_mut().zip(parts) {
            side.mac.copy_from_slice(mac);
            side.cipher.copy_from_slice(cipher);
        }
        sides
    }

    /// What the Finished message of a side says; `transcript` is the hash of the messages before
    /// it.
    pub(super) fn finished(&self, client: bool, transcript: &[u8]) -> VerifyData {
        let label: &[u8] = if client { b"client finished" } else { b"server finished" };
        let mut data = [0; 12];
        prf(&*self.0, label, &[transcript], &mut data);
        data
    }
}

/// The keys of one direction.
#[derive(Default)]
pub(super) struct DirectionKeys {
    pub(super) mac: Zeroizing<[u8; 20]>,
    pub(super) cipher: Zeroizing<[u8; 32]>,
}

/// Both directions as one side has them.
pub(super) fn directions(client: bool, keys: &[DirectionKeys; 2]) -> (Sealer, Opener) {
    let [of_client, of_server] = keys;
    if client {
        (Sealer::new(of_client), Opener::new(of_server))
    } else {
        (Sealer::new(of_server), Opener::new(of_client))
    }
}
