//! Certificates of X.509 version 1 for endpoints.
//!
//! Who needs it: sites whose certificates were made with `openssl x509 -req -CA ...` and no file of
//! extensions. OpenSSL writes version 1 then in its older releases, and the C++ Broker accepts the
//! result.
//!
//! What it risks: version 1 has no extensions, so the certificate cannot say what it is for, that
//! it is not one of a CA, nor for which host. Whatever the CA has issued in this version, for
//! whatever purpose, opens peerings. It is accepted only if a configured CA issued it itself, or if
//! it signs itself and is configured as trusted; below an intermediate CA it never is.

use crate::leniency::Leniency;

pub(crate) const VERSION_1: Leniency = Leniency {
    applies: |leaf| leaf.is_version_1(),
    what: "is of X.509 version 1",
    risk: "it cannot say what it is for",
    cure: "issue it again as version 3",
};
