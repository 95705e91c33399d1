use crate::TlsError;
use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::PathBuf;

/// What an endpoint proves about itself and demands of its peers on encrypted links.
///
/// Without any of the five fields of the identity (`certificate` to `ca_dir`) links are encrypted
/// and nobody proves anything, as between endpoints of the C++ Broker that have no certificates.
/// With any of them both sides of every link have to present a certificate of a trusted CA.
///
/// With `self_signed` instead there is no CA: endpoints prove that they hold their keys, and know
/// each other by the pins of these.
///
/// Further fields may come: make one with `..TlsOptions::default()`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct TlsOptions {
    /// PEM file with the own certificate, followed by its intermediate certificates if any.
    pub certificate: Option<PathBuf>,

    /// PEM file with the private key of the certificate: PKCS #8, PKCS #1 or SEC 1, plain or
    /// protected by a passphrase.
    pub key: Option<PathBuf>,

    /// The passphrase of the key; not looked at if the key is not protected. It is
    /// read from a file, and never written to one.
    #[serde(skip_serializing)]
    pub passphrase: Option<Passphrase>,

    /// PEM file with the certificates of trusted CAs.
    pub ca_file: Option<PathBuf>,

    /// Directory whose PEM files hold certificates of trusted CAs. All its files are read, whatever
    /// they are called; those without a certificate in them are passed over, with a warning if they
    /// are called like one.
    pub ca_dir: Option<PathBuf>,

    /// PEM file with the own key and a certificate that does nothing but carry it. If there is no
    /// such file, both are made and kept there. Not together with the five fields above.
    ///
    /// Whom this endpoint dials has to be pinned; whom it accepts, only if there are `pins`.
    pub self_signed: Option<PathBuf>,

    /// Whether the certificate of a dialled peer must be valid for the host that was dialled.
    /// Default off: any certificate of a trusted CA will do, as in the C++ Broker.
    pub check_host: bool,

    /// If not empty, the certificate of every peer must be valid for one of these names: DNS names
    /// or IP addresses among its alternative names, or the common name of one that has none.
    pub names: Vec<String>,

    /// If not empty, the public key of every peer must be one of these.
    pub pins: Vec<Pin>,

    /// Whether to refuse what OpenSSL, and with it the C++ Broker, accepts and strict libraries do
    /// not: certificates of X.509 version 1 and those of CAs as the certificate of an endpoint, own
    /// or of a peer, and keys protected the way that PEM did it before PKCS #8. Default off: they
    /// are accepted, and [`Tls::warnings`](crate::Tls::warnings) and
    /// [`Tls::on_leniency`](crate::Tls::on_leniency) name them.
    pub strict: bool,
}

impl TlsOptions {
    /// Whether links are encrypted without anybody proving who they are.
    #[must_use]
    pub fn is_anonymous(&self) -> bool {
        !self.has_certificates() && self.self_signed.is_none()
    }

    /// Whether any of the fields about certificates of CAs is set.
    pub(crate) fn has_certificates(&self) -> bool {
        self.certificate.is_some()
            || self.key.is_some()
            || self.passphrase.is_some()
            || self.ca_file.is_some()
            || self.ca_dir.is_some()
    }
}

/// The passphrase of a private key; it does not show in debugging output.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Passphrase(String);

impl Passphrase {
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl From<String> for Passphrase {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(...)")
    }
}

/// The SHA-256 of a public key (the DER form of `SubjectPublicKeyInfo`).
///
/// Written as 64 hexadecimal digits, with or without colons between the bytes, and with or without
/// `sha256:` in front of them.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pin([u8; 32]);

impl Pin {
    /// The pin of a public key in DER form.
    #[must_use]
    pub fn of_public_key(der: &[u8]) -> Self {
        let digest = ring::digest::digest(&ring::digest::SHA256, der);
        let mut pin = [0; 32];
        for (to, from) in pin.iter_mut().zip(digest.as_ref()) {
            *to = *from;
        }
        Self(pin)
    }
}

impl std::str::FromStr for Pin {
    type Err = TlsError;

    fn from_str(text: &str) -> Result<Self, TlsError> {
        let bare = text.strip_prefix("sha256:").unwrap_or(text).replace(':', "");
        let bytes = HEXLOWER_PERMISSIVE.decode(bare.as_bytes()).ok();
        bytes.and_then(|bytes| bytes.try_into().ok()).map(Self).ok_or_else(|| {
            TlsError::new(format!(
                "{text:?} is not a pin, which is the SHA-256 of a public key as 64 hexadecimal \
                 digits"
            ))
        })
    }
}

impl TryFrom<String> for Pin {
    type Error = TlsError;

    fn try_from(text: String) -> Result<Self, TlsError> {
        text.parse()
    }
}

impl From<Pin> for String {
    fn from(pin: Pin) -> Self {
        pin.to_string()
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", HEXLOWER.encode_display(&self.0))
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_from_a_configuration_file() {
        let pin = Pin::of_public_key(b"key");
        let text = format!(
            "certificate = '/etc/broker/node.pem'\nkey = '/etc/broker/node.key'\n\
             passphrase = 'secret'\nca-file = '/etc/broker/ca.pem'\ncheck-host = true\n\
             names = ['manager.example']\npins = ['{pin}']\nstrict = true"
        );
        let options: TlsOptions = toml::from_str(&text).unwrap();
        assert_eq!(options.ca_file.as_deref(), Some("/etc/broker/ca.pem".as_ref()));
        assert!(options.check_host && options.strict && !options.is_anonymous());
        assert_eq!(options.pins, [pin]);
        assert!(!format!("{options:?}").contains("secret"), "the passphrase shows");

        let error = toml::from_str::<TlsOptions>("cafile = 'x'").unwrap_err();
        assert!(error.to_string().contains("ca-file"), "{error}");
    }

    #[test]
    fn a_pin_is_64_hexadecimal_digits() {
        let pin = Pin::of_public_key(b"");
        let text = pin.to_string();
        assert_eq!(text, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_eq!(text.to_uppercase().parse::<Pin>().unwrap(), pin);
        let pairs: Vec<_> = text.as_bytes().chunks(2).map(String::from_utf8_lossy).collect();
        assert_eq!(pairs.join(":").parse::<Pin>().unwrap(), pin);
        assert_eq!(format!("sha256:{text}").parse::<Pin>().unwrap(), pin);
        for wrong in ["", "e3b0", &text[1..], &format!("{text}0"), &text.replace('e', "g")] {
            assert!(wrong.parse::<Pin>().is_err(), "{wrong:?}");
        }
    }
}
