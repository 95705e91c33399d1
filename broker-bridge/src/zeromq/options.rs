use broker_zmtp::{ClientKeys, InvalidKey, PublicKey, SecretKey, ServerKeys};
use serde::{Deserialize, Serialize};
use std::fmt;
use zeroize::Zeroizing;

/// Where Zeek's nodes find their keys, without the last word.
const VARIABLES: &str = "ZEEK_CLUSTER_BACKEND_ZEROMQ_CURVE_";

/// What connections to ZeroMQ clusters need to know besides the address: the keys of CURVE, which
/// one cluster shares. Each is text of 40 characters, as `zmq_curve_keypair` makes them. Secret
/// keys are read from a file, and never written to one.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct ZeroMqOptions {
    /// The public key of the cluster's servers: of the proxy, and of loggers.
    pub curve_server_publickey: Option<String>,
    /// The secret key of the cluster's servers, which only accepting log batches needs.
    #[serde(skip_serializing)]
    pub curve_server_secretkey: Option<Zeroizing<String>>,
    /// The public key that all nodes share.
    pub curve_client_publickey: Option<String>,
    /// The secret key that all nodes share.
    #[serde(skip_serializing)]
    pub curve_client_secretkey: Option<Zeroizing<String>>,
}

/// The keys that are given cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidKeys {
    /// One of them is no key.
    #[error("curve-{0}: {1}")]
    Key(&'static str, InvalidKey),
    /// Some are missing.
    #[error(
        "for encryption as in the cluster curve-server-publickey, curve-client-publickey and \
         curve-client-secretkey are needed, or none of them"
    )]
    Incomplete,
    /// The public key does not belong to the secret one.
    #[error("curve-client-publickey does not belong to curve-client-secretkey")]
    Pair,
    /// Keys are given in two places.
    #[error("keys are given in the configuration and in the variables {VARIABLES}...; use one")]
    Twice,
}

impl fmt::Debug for ZeroMqOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ZeroMqOptions")
            .field("curve_server_publickey", &self.curve_server_publickey)
            .field("curve_client_publickey", &self.curve_client_publickey)
            .finish_non_exhaustive()
    }
}

/// The keys in use.
#[derive(Debug, Clone, Default)]
pub(super) struct Keys {
    pub(super) client: Option<ClientKeys>,
    pub(super) server: Option<ServerKeys>,
}

impl ZeroMqOptions {
    /// Adds the keys that Zeek's own nodes would take from their environment,
    /// `ZEEK_CLUSTER_BACKEND_ZEROMQ_CURVE_{SERVER,CLIENT}_{PUBLICKEY,SECRETKEY}`.
    ///
    /// # Errors
    ///
    /// Keys are given here and there.
    pub fn with_environment(self) -> Result<Self, InvalidKeys> {
        let variable = |name: &str| std::env::var(format!("{VARIABLES}{name}")).ok();
        let found = Self {
            curve_server_publickey: variable("SERVER_PUBLICKEY"),
            curve_server_secretkey: variable("SERVER_SECRETKEY").map(Zeroizing::new),
            curve_client_publickey: variable("CLIENT_PUBLICKEY"),
            curve_client_secretkey: variable("CLIENT_SECRETKEY").map(Zeroizing::new),
        };
        match (self == Self::default(), found == Self::default()) {
            (_, true) => Ok(self),
            (true, false) => Ok(found),
            (false, false) => Err(InvalidKeys::Twice),
        }
    }

    pub(super) fn keys(&self) -> Result<Keys, InvalidKeys> {
        let public = |name, text: &Option<String>| {
            let key = text.as_deref().map(str::parse::<PublicKey>).transpose();
            key.map_err(|error| InvalidKeys::Key(name, error))
        };
        let secret = |name, text: &Option<Zeroizing<String>>| {
            let key = text.as_ref().map(|text| text.parse::<SecretKey>()).transpose();
            key.map_err(|error| InvalidKeys::Key(name, error))
        };
        let server_public = public("server-publickey", &self.curve_server_publickey)?;
        let server_secret = secret("server-secretkey", &self.curve_server_secretkey)?;
        let client_public = public("client-publickey", &self.curve_client_publickey)?;
        let client_secret = secret("client-secretkey", &self.curve_client_secretkey)?;
        let client = match (server_public, client_public, client_secret) {
            (Some(server), Some(public), Some(secret)) if secret.public() == public => {
                Some(ClientKeys { server, public, secret })
            }
            (Some(_), Some(_), Some(_)) => return Err(InvalidKeys::Pair),
            (None, None, None) if server_secret.is_none() => None,
            _ => return Err(InvalidKeys::Incomplete),
        };
        let server =
            server_secret.zip(client_public).map(|(secret, client)| ServerKeys { secret, client });
        Ok(Keys { client, server })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_there_together_or_not_at_all() {
        let secret = SecretKey::new([7; 32]);
        let (public, secret) = (secret.public().to_string(), secret.to_text());
        let whole = ZeroMqOptions {
            curve_server_publickey: Some(public.clone()),
            curve_server_secretkey: None,
            curve_client_publickey: Some(public.clone()),
            curve_client_secretkey: Some(secret.clone()),
        };
        assert!(whole.keys().unwrap().client.is_some());
        assert!(ZeroMqOptions::default().keys().unwrap().client.is_none());
        let serving = ZeroMqOptions { curve_server_secretkey: Some(secret), ..whole.clone() };
        assert!(serving.keys().unwrap().server.is_some());
        let half = ZeroMqOptions { curve_client_secretkey: None, ..whole.clone() };
        assert_eq!(half.keys().unwrap_err(), InvalidKeys::Incomplete);
        let other = SecretKey::new([8; 32]).public().to_string();
        let mixed = ZeroMqOptions { curve_client_publickey: Some(other), ..whole.clone() };
        assert_eq!(mixed.keys().unwrap_err(), InvalidKeys::Pair);
        let no_key = ZeroMqOptions { curve_server_publickey: Some("x".to_owned()), ..whole };
        assert!(no_key.keys().unwrap_err().to_string().contains("server-publickey"));
    }
}
