use super::HttpAddress;
use broker::core::limits::seconds;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The least that a head of a request may be allowed to have, in bytes.
const HEAD_MIN: usize = 8 * 1024;

/// The limits of what a node tells over HTTP. In a configuration file each one is the key of the
/// same name, with hyphens, in the table `http`; times are seconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct HttpOptions {
    /// Where the node tells about itself, as `--http` says it. Default: nowhere.
    pub(crate) listen: Option<HttpAddress>,

    /// Connections that are served at the same time. Default 64. The next one takes the place of
    /// the oldest from the address that has most of them.
    pub(crate) connections: usize,

    /// How long the head of a request may take to arrive. Default 2 s: a connection that says
    /// nothing holds a descriptor.
    #[serde(with = "seconds")]
    pub(crate) request_time: Duration,

    /// How long a connection may take, from its first byte to its last. Default 10 s.
    #[serde(with = "seconds")]
    pub(crate) time: Duration,

    /// How long the head of a request may be, in bytes. Default 16 KiB, at least 8 KiB. No body is
    /// ever read.
    pub(crate) head: usize,

    /// The least time from one page to the next of the same kind. Default 0.1 s.
    /// Requests that come in between share the next page, so that one page is made at a time.
    #[serde(with = "seconds")]
    pub(crate) page_interval: Duration,

    /// How long the lists of peers and of clients in the status may be, in bytes each. Default
    /// 4 MiB. The status says how many are left out.
    pub(crate) page: usize,

    /// Bytes of topics that are shown of the filter of each peer or client. Default 4 KiB, and at
    /// most 256 topics. The status says how many there are.
    pub(crate) filter: usize,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            listen: None,
            connections: 64,
            request_time: Duration::from_secs(2),
            time: Duration::from_secs(10),
            head: 16 * 1024,
            page_interval: Duration::from_millis(100),
            page: 4 * 1024 * 1024,
            filter: 4 * 1024,
        }
    }
}

impl HttpOptions {
    /// What cannot work, if anything.
    pub(crate) fn check(&self) -> Result<(), String> {
        let zero = |key| Err(format!("http: the limit `{key}` is zero"));
        match self {
            Self { connections: 0, .. } => zero("connections"),
            Self { request_time: Duration::ZERO, .. } => zero("request-time"),
            Self { time: Duration::ZERO, .. } => zero("time"),
            Self { page_interval, time, .. } if page_interval >= time => {
                Err("http: the limit `page-interval` is not below `time`, so no page would be \
                     answered in time"
                    .to_owned())
            }
            Self { head, .. } if *head < HEAD_MIN => {
                Err(format!("http: the limit `head` is {head}, and has to be {HEAD_MIN} at least"))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_that_cannot_work_are_named() {
        assert_eq!(HttpOptions::default().check(), Ok(()));
        for (text, key) in [
            ("connections = 0", "connections"),
            ("request-time = 0", "request-time"),
            ("time = 0", "time"),
            ("page-interval = 10", "page-interval"),
            ("head = 8191", "head"),
        ] {
            let options: HttpOptions = toml::from_str(text).unwrap();
            let error = options.check().unwrap_err();
            assert!(error.starts_with(&format!("http: the limit `{key}` is")), "{error}");
        }
        for text in ["page-interval = 0", "page = 0", "filter = 0"] {
            assert_eq!(toml::from_str::<HttpOptions>(text).unwrap().check(), Ok(()), "{text}");
        }
    }
}
