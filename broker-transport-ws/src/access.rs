use crate::http::{Request, Response};
use broker_core::Rights;
use broker_core::transport::Protection;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// Who may connect, and do what. The default is everybody and everything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct AccessOptions {
    /// If not empty, a client has to meet one of these rules, and the first one that it meets says
    /// what it may do.
    pub rules: Vec<AccessRule>,

    /// If not empty, web pages may only connect if they come from one of these origins, as in
    /// `https://dashboard.example`, or from this server itself, as far as the page was loaded from
    /// an IP address or `localhost`: any other name of the server has to be in the list, since
    /// whoever owns a name can let it point here. Programs other than browsers name no origin and
    /// are not concerned.
    pub origins: Vec<String>,
}

/// What a client has to show, and what it may do then. A rule without token and certificate is met
/// by everybody.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct AccessRule {
    /// The token that the client has to present: in the field `Authorization: Bearer TOKEN`, or,
    /// for browsers, which cannot set that, in the parameter `access_token` of the URL. It is
    /// read from a file, and never written to one.
    #[serde(skip_serializing)]
    pub token: Option<String>,

    /// The name that the certificate of the client has to prove, as shown in the list of clients:
    /// the subject with its special characters escaped as in RFC 4514, or if there is none, the
    /// first alternative name after `DNS:` or `URI:`.
    pub certificate: Option<String>,

    /// Topic prefixes that it may publish below. Default: all. With a list here or for
    /// subscriptions the rule is for clients only: what a peer sends and wants has no such limits.
    pub publish: Option<Vec<String>>,

    /// Topic prefixes that it may subscribe below. Default: all.
    pub subscribe: Option<Vec<String>>,
}

impl fmt::Debug for AccessRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessRule")
            .field("token", &self.token.as_ref().map(|_| "..."))
            .field("certificate", &self.certificate)
            .field("publish", &self.publish)
            .field("subscribe", &self.subscribe)
            .finish()
    }
}

impl AccessOptions {
    /// Whether anybody who reaches the server may do everything.
    pub(crate) fn is_open(&self) -> bool {
        self.rules.is_empty()
    }

    /// What the sender of a request may do.
    ///
    /// # Errors
    ///
    /// Nothing at all; the answer says why.
    pub(crate) fn admit(
        &self,
        request: &Request,
        protection: &Protection,
    ) -> Result<Rights, Response> {
        self.check_origin(request)?;
        if self.rules.is_empty() {
            return Ok(Rights::default());
        }
        let token = token(request);
        let rule = self.rules.iter().find(|rule| rule.is_met(token.as_deref(), protection));
        rule.map(AccessRule::rights).ok_or_else(|| {
            let body = match token {
                Some(_) => "The token is not one that may connect here.\n",
                None if self.rules.iter().all(|rule| rule.token.is_none()) => {
                    "A certificate that may connect here is needed.\n"
                }
                None => "A token is needed: Authorization: Bearer TOKEN.\n",
            };
            Response::new(401, "Unauthorized", body).with("WWW-Authenticate", "Bearer")
        })
    }

    fn check_origin(&self, request: &Request) -> Result<(), Response> {
        let Some(origin) = request.fields.get("Origin").filter(|_| !self.origins.is_empty()) else {
            return Ok(());
        };
        let host = origin.split_once("://").map(|(_, host)| host);
        let own = host.is_some_and(is_fixed) && host == request.fields.get("Host");
        let origin_in_full = in_full(origin);
        let same =
            |allowed: &String| origin_in_full.is_some() && in_full(allowed) == origin_in_full;
        if own || self.origins.iter().any(same) {
            return Ok(());
        }
        Err(Response::new(403, "Forbidden", format!("Pages of {origin} may not connect here.\n")))
    }
}

/// Whether a host, perhaps with a port, is one that nobody can let point elsewhere.
fn is_fixed(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    bare.parse::<IpAddr>().is_ok() || bare.eq_ignore_ascii_case("localhost")
}

/// An origin as browsers write it: in lower case, without the port that goes without saying and
/// without a slash at the end. `None` if it can be none.
pub(crate) fn in_full(origin: &str) -> Option<String> {
    let origin = origin.to_ascii_lowercase();
    let (scheme, rest) = origin.split_once("://")?;
    let host = rest.strip_suffix('/').unwrap_or(rest);
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
        _ => (host, None),
    };
    let is_literal = name
        .strip_prefix('[')
        .and_then(|name| name.strip_suffix(']'))
        .is_some_and(|name| name.parse::<Ipv6Addr>().is_ok());
    let is_name = name.bytes().all(|o| o.is_ascii_alphanumeric() || b"-._".contains(&o));
    let is_origin = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(known)
        && !name.is_empty()
        && (is_literal || is_name)
        && port.is_none_or(|port| port.bytes().all(|byte| byte.is_ascii_digit()));
    if !is_origin {
        return None;
    }
    let port = port.map(str::parse::<u16>).transpose().ok()?;
    let implied = match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    };
    Some(match port.filter(|port| Some(*port) != implied) {
        Some(port) => format!("{scheme}://{name}:{port}"),
        None => format!("{scheme}://{name}"),
    })
}

fn token(request: &Request) -> Option<String> {
    let bearer = request.fields.get("Authorization").and_then(|value| {
        let (scheme, token) = value.split_once([' ', '\t'])?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
    });
    bearer.or_else(|| request.parameter("access_token"))
}

impl AccessRule {
    fn is_met(&self, token: Option<&str>, protection: &Protection) -> bool {
        let has_token = self.token.as_ref().is_none_or(|expected| {
            token.is_some_and(|token| same_secret(expected.as_bytes(), token.as_bytes()))
        });
        let has_certificate = self.certificate.as_ref().is_none_or(
            |expected| matches!(protection, Protection::Authenticated(name) if name == expected),
        );
        has_token && has_certificate
    }

    fn rights(&self) -> Rights {
        Rights::new(self.publish.as_deref(), self.subscribe.as_deref(), true)
    }
}

/// Compares in a time that does not tell where the difference is.
fn same_secret(expected: &[u8], given: &[u8]) -> bool {
    let different = expected
        .iter()
        .zip(given)
        .fold(0, |different, (a, b)| std::hint::black_box(different | (a ^ b)));
    expected.len() == given.len() && different == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::parse_request;

    fn request(line: &str, fields: &str) -> Request {
        parse_request(
            format!("GET {line} HTTP/1.1\r\nHost: 127.0.0.1:1\r\n{fields}\r\n").as_bytes(),
        )
        .unwrap()
    }

    fn rule(token: &str) -> AccessRule {
        AccessRule { token: Some(token.into()), ..AccessRule::default() }
    }

    fn plain(access: &AccessOptions, request: &Request) -> Result<Rights, u16> {
        access.admit(request, &Protection::Plain).map_err(|answer| answer.status())
    }

    #[test]
    fn without_rules_everybody_may_do_everything() {
        let rights = plain(&AccessOptions::default(), &request("/", "Origin: http://evil\r\n"));
        let rights = rights.unwrap();
        assert!(rights.may_publish(b"/x") && rights.may_subscribe(b""));
    }

    #[test]
    fn a_token_is_taken_from_the_field_or_the_url() {
        let access = AccessOptions { rules: vec![rule("s3cret")], ..AccessOptions::default() };
        for (line, fields, admitted) in [
            ("/", "authorization: bearer s3cret\r\n", true),
            ("/?access_token=s3cret", "", true),
            ("/", "", false),
            ("/", "Authorization: Bearer s3cre\r\n", false),
            ("/", "Authorization: Bearer s3crets\r\n", false),
            ("/", "Authorization: Basic s3cret\r\n", false),
            ("/?access_token=", "", false),
        ] {
            let outcome = plain(&access, &request(line, fields));
            assert_eq!(outcome.is_ok(), admitted, "{line} {fields}");
            assert!(admitted || outcome.unwrap_err() == 401);
        }
    }

    #[test]
    fn the_first_rule_that_is_met_says_what_is_allowed() {
        let named = AccessRule {
            certificate: Some("CN=sensor".into()),
            publish: Some(vec!["/sensor/".into()]),
            subscribe: Some(vec![]),
            ..AccessRule::default()
        };
        let access = AccessOptions { rules: vec![named, rule("t")], ..AccessOptions::default() };
        let nobody = request("/", "");
        let sensor = Protection::Authenticated("CN=sensor".into());
        let rights = access.admit(&nobody, &sensor).unwrap();
        assert!(rights.may_publish(b"/sensor/1") && !rights.may_publish(b"/sensor"));
        assert!(!rights.may_subscribe(b"/sensor/1"));
        assert!(plain(&access, &nobody).is_err());
        let rights = plain(&access, &request("/?access_token=t", "")).unwrap();
        assert!(rights.may_publish(b"/anything"));
    }

    #[test]
    fn a_certificate_rule_is_met_by_the_whole_name_alone() {
        let named = AccessRule { certificate: Some("CN=sensor".into()), ..AccessRule::default() };
        let access = AccessOptions { rules: vec![named], ..AccessOptions::default() };
        // What the names `sensor, CN=root` and `CN=sensor` are shown as, the latter as a DNS name.
        for other in ["CN=sensor\\, CN=root", "CN=sensor, O=other", "DNS:CN=sensor", "CN=Sensor"] {
            let shown = Protection::Authenticated(other.into());
            assert!(access.admit(&request("/", ""), &shown).is_err(), "{other}");
        }
    }

    #[test]
    fn origins_concern_browsers_only_and_the_own_origin_is_always_allowed() {
        let access =
            AccessOptions { origins: vec!["https://a".into()], ..AccessOptions::default() };
        for (fields, admitted) in [
            ("", true),
            ("Origin: https://A\r\n", true),
            ("Origin: https://a:443\r\n", true),
            ("Origin: http://127.0.0.1:1\r\n", true),
            ("Origin: http://127.0.0.1:2\r\n", false),
            ("Origin: https://b\r\n", false),
            ("Origin: null\r\n", false),
        ] {
            let outcome = plain(&access, &request("/", fields));
            assert_eq!(outcome.is_ok(), admitted, "{fields}");
            assert!(admitted || outcome.unwrap_err() == 403);
        }
    }

    #[test]
    fn a_name_that_points_here_does_not_make_a_page_the_own_one() {
        let access =
            AccessOptions { origins: vec!["https://a".into()], ..AccessOptions::default() };
        for (host, admitted) in
            [("evil.example:1", false), ("localhost:1", true), ("[::1]:1", true), ("1.2.3.4", true)]
        {
            let head = format!("GET / HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}\r\n\r\n");
            let request = parse_request(head.as_bytes()).unwrap();
            assert_eq!(plain(&access, &request).is_ok(), admitted, "{host}");
        }
    }

    #[test]
    fn origins_are_compared_as_browsers_write_them() {
        for (origin, full) in [
            ("https://Dashboard.example", Some("https://dashboard.example")),
            ("https://x/", Some("https://x")),
            ("https://x:443", Some("https://x")),
            ("http://x:80/", Some("http://x")),
            ("http://x:443", Some("http://x:443")),
            ("http://[::1]:81", Some("http://[::1]:81")),
            ("http://[::1]", Some("http://[::1]")),
            ("http://x:0080", Some("http://x")),
            ("http://x:+80", None),
            ("http://[evil]", None),
            ("chrome-extension://abcdef", Some("chrome-extension://abcdef")),
            ("dashboard.example", None),
            ("*", None),
            ("https://*", None),
            ("https://x/path", None),
            ("https://u@x", None),
            ("https://", None),
            ("null", None),
        ] {
            assert_eq!(in_full(origin).as_deref(), full, "{origin}");
        }
    }

    #[test]
    fn who_can_only_come_with_a_certificate_is_not_told_of_tokens() {
        let named = AccessRule { certificate: Some("CN=x".into()), ..AccessRule::default() };
        let access = AccessOptions { rules: vec![named], ..AccessOptions::default() };
        let answer = access.admit(&request("/", ""), &Protection::Plain).unwrap_err();
        assert!(answer.reason().contains("certificate"), "{}", answer.reason());
    }

    #[test]
    fn tokens_do_not_show_in_debugging_output() {
        assert!(!format!("{:?}", rule("s3cret")).contains("s3cret"));
    }
}
