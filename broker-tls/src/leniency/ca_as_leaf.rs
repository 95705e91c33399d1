//! Certificates of CAs that an endpoint presents as its own.
//!
//! Who needs it: small sites with a single certificate that signs itself, made with `openssl req
//! -x509`, which marks it as that of a CA. Each endpoint presents it and has it configured as
//! trusted. OpenSSL, and with it the C++ Broker, accepts that.
//!
//! What it risks: the key of a CA lies on a machine that is on the network. Whoever gets it can
//! issue certificates for any name, and not only pass for this endpoint. It is accepted only if it
//! is a configured CA itself or was issued directly by one.

use crate::leniency::Leniency;

pub(crate) const CA_AS_LEAF: Leniency = Leniency {
    applies: |leaf| leaf.is_ca(),
    what: "is that of a CA",
    risk: "whoever gets its key can issue certificates for any name",
    cure: "issue one for the endpoint that is not a CA",
};
