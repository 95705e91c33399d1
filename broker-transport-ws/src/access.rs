use crate::http::{Answer, Request};
use broker_core::transport::Protection;
use serde::Deserialize;
use std::fmt;
use std::sync::Arc;

/// Who may connect, and do what. The default is everybody and everything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct AccessOptions {
    /// If not empty, a client has to meet one of these rules, and the first one that it meets says
    /// what it may do.
    pub rules: Vec<AccessRule>,

    /// If not empty, web pages may only connect if they come from one of these origins, as in
    /// `https://dashboard.example`, or from this server itself. Programs other than browsers name
    /// no origin and are not concerned.
    pub origins: Vec<String>,
}

/// What a client has to show, and what it may do then. A rule without token and certificate is met
/// by everybody.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct AccessRule {
    /// The token that the client has to present: in the field `Authorization: Bearer TOKEN`, or,
    /// for browsers, which cannot set that, in the parameter `access_token` of the URL.
    pub token: Option<String>,

    /// The name that the certificate of the client has to prove, as shown in the list of clients:
    /// the subject with its special characters escaped as in RFC 4514, or if there is none, the first
    /// alternative name after `DNS:` or `URI:`.
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
    ) -> Result<Rights, Answer> {
        self.check_origin(request)?;
        if self.rules.is_empty() {
            return Ok(Rights::default());
        }
        let token = token(request);
        let rule = self.rules.iter().find(|rule| rule.is_met(token.as_deref(), protection));
        rule.map(|rule| Rights { rule: Some(Arc::new(rule.clone())) }).ok_or_else(|| {
            let body = match token {
                Some(_) => "The token is not one that may connect here.\n",
                None => "A token is needed: Authorization: Bearer TOKEN.\n",
            };
            Answer::new(401, "Unauthorized", body).with("WWW-Authenticate", "Bearer")
        })
    }

    fn check_origin(&self, request: &Request) -> Result<(), Answer> {
        let Some(origin) = request.fields.get("Origin").filter(|_| !self.origins.is_empty()) else {
            return Ok(());
        };
        let host = origin.split_once("://").map(|(_, host)| host);
        let same = host.is_some() && host == request.fields.get("Host");
        if same || self.origins.iter().any(|allowed| allowed.eq_ignore_ascii_case(origin)) {
            return Ok(());
        }
        Err(Answer::new(403, "Forbidden", format!("Pages of {origin} may not connect here.\n")))
    }
}

fn token(request: &Request) -> Option<String> {
    let bearer = request.fields.get("Authorization").and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
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
}

/// Compares in a time that does not tell where the difference is.
fn same_secret(expected: &[u8], given: &[u8]) -> bool {
    let different = expected
        .iter()
        .zip(given)
        .fold(0, |different, (a, b)| std::hint::black_box(different | (a ^ b)));
    expected.len() == given.len() && different == 0
}

/// What a client may do.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rights {
    rule: Option<Arc<AccessRule>>,
}

impl Rights {
    /// Whether there is nothing that the client may not publish or subscribe to.
    pub(crate) fn are_unlimited(&self) -> bool {
        self.rule.as_ref().is_none_or(|rule| rule.publish.is_none() && rule.subscribe.is_none())
    }

    pub(crate) fn may_publish(&self, topic: &[u8]) -> bool {
        allows(self.rule.as_ref().and_then(|rule| rule.publish.as_ref()), topic)
    }

    /// Whether everything below `prefix` may be received.
    pub(crate) fn may_subscribe(&self, prefix: &[u8]) -> bool {
        allows(self.rule.as_ref().and_then(|rule| rule.subscribe.as_ref()), prefix)
    }
}

fn allows(list: Option<&Vec<String>>, topic: &[u8]) -> bool {
    list.is_none_or(|list| list.iter().any(|prefix| topic.starts_with(prefix.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::parse_request;

    fn request(line: &str, fields: &str) -> Request {
        parse_request(format!("GET {line} HTTP/1.1\r\nHost: here:1\r\n{fields}\r\n").as_bytes())
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
            ("Origin: http://here:1\r\n", true),
            ("Origin: https://b\r\n", false),
            ("Origin: null\r\n", false),
        ] {
            let outcome = plain(&access, &request("/", fields));
            assert_eq!(outcome.is_ok(), admitted, "{fields}");
            assert!(admitted || outcome.unwrap_err() == 403);
        }
    }

    #[test]
    fn tokens_do_not_show_in_debugging_output() {
        assert!(!format!("{:?}", rule("s3cret")).contains("s3cret"));
    }
}
