use super::{FIELDS_MAX, Fields};
use percent_encoding::percent_decode_str;

/// The head of a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// Without percent-encoding, query and fragment.
    pub(crate) path: String,
    /// As it was sent; empty if there is none.
    pub(crate) query: String,
    /// Whether this is HTTP/1.1 and not 1.0.
    pub(crate) is_1_1: bool,
    pub(crate) fields: Fields,
}

impl Request {
    /// A parameter of the query, without percent-encoding.
    pub(crate) fn parameter(&self, name: &str) -> Option<String> {
        self.query
            .split('&')
            .filter_map(|part| part.split_once('='))
            .find(|(key, _)| *key == name)
            .map(|(_, value)| percent_decoded(value))
    }
}

/// Parses a complete head.
///
/// # Errors
///
/// It is no request; the text says what is wrong.
pub(crate) fn parse_request(head: &[u8]) -> Result<Request, String> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut request = httparse::Request::new(&mut fields);
    match request.parse(head) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) => return Err("Incomplete request.".to_owned()),
        Err(error) => return Err(format!("Malformed request: {error}.")),
    }
    let (Some(method), Some(target), Some(version)) =
        (request.method, request.path, request.version)
    else {
        return Err("Incomplete request line.".to_owned());
    };
    let local = local_part(target)
        .ok_or_else(|| "Malformed Request-URI: expected an absolute path.".to_owned())?;
    let (local, _fragment) = local.split_once('#').unwrap_or((local, ""));
    let (path, query) = local.split_once('?').unwrap_or((local, ""));
    Ok(Request {
        method: method.to_owned(),
        path: percent_decoded(path),
        query: query.to_owned(),
        is_1_1: version == 1,
        fields: Fields::from_parsed(request.headers),
    })
}

/// Path and query of a target, which may also be a whole URL, as proxies send it.
fn local_part(target: &str) -> Option<&str> {
    if target.starts_with('/') {
        return Some(target);
    }
    let (scheme, rest) = target.split_once("://")?;
    let known = ["http", "https", "ws", "wss"].iter().any(|s| s.eq_ignore_ascii_case(scheme));
    known.then(|| rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/"))
}

/// Text of a URL without its percent-encoding.
pub(crate) fn percent_decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// The head of a response.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ResponseHead {
    pub(crate) status: u16,
    pub(crate) reason: String,
    pub(crate) fields: Fields,
}

/// Parses a complete head.
///
/// # Errors
///
/// It is no response; the text says what is wrong.
pub(crate) fn parse_response(head: &[u8]) -> Result<ResponseHead, String> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut response = httparse::Response::new(&mut fields);
    match response.parse(head) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) => return Err("the answer is incomplete".to_owned()),
        Err(error) => return Err(format!("the answer is not HTTP ({error})")),
    }
    Ok(ResponseHead {
        status: response.code.unwrap_or_default(),
        reason: response.reason.unwrap_or_default().to_owned(),
        fields: Fields::from_parsed(response.headers),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(target: &str) -> Result<Request, String> {
        parse_request(format!("GET {target} HTTP/1.1\r\nX-A: b\r\n\r\n").as_bytes())
    }

    #[test]
    fn targets_are_taken_apart() {
        for (target, path, query) in [
            ("/v1/messages/json", "/v1/messages/json", ""),
            ("/v1/messages/%6Ason?x=1&y#z", "/v1/messages/json", "x=1&y"),
            ("http://host:1/a/b?c", "/a/b", "c"),
            ("ws://host", "/", ""),
            ("/50%/%zz/%e2%82%ac", "/50%/%zz/\u{20ac}", ""),
        ] {
            let request = parse(target).unwrap();
            assert_eq!((request.path.as_str(), request.query.as_str()), (path, query), "{target}");
        }
        assert!(parse("*").is_err());
        assert!(parse("ftp://host/").is_err());
    }

    #[test]
    fn parameters_are_found_by_name() {
        let request = parse("/?a=1&access_token=x%2By&a=2").unwrap();
        assert_eq!(request.parameter("access_token").as_deref(), Some("x+y"));
        assert_eq!(request.parameter("a").as_deref(), Some("1"));
        assert_eq!(request.parameter("b"), None);
    }

    #[test]
    fn names_of_fields_have_no_case_and_lists_are_searched() {
        let request = parse_request(
            b"GET / HTTP/1.1\r\nCONNECTION: keep-alive, Upgrade\r\nconnection: x\r\n\r\n",
        );
        let fields = request.unwrap().fields;
        assert_eq!(fields.get("Connection"), Some("keep-alive, Upgrade"));
        assert!(fields.lists("connection", "upgrade") && fields.lists("connection", "X"));
        assert!(!fields.lists("connection", "keep"));
    }
}
