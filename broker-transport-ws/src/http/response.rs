use super::{FIELDS_MAX, Fields};

/// The head of a response.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) reason: String,
    pub(crate) fields: Fields,
}

/// Parses a complete head.
///
/// # Errors
///
/// It is no response; the text says what is wrong.
pub(crate) fn parse_response(head: &[u8]) -> Result<Response, String> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut response = httparse::Response::new(&mut fields);
    match response.parse(head) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) => return Err("the answer is incomplete".to_owned()),
        Err(error) => return Err(format!("the answer is not HTTP ({error})")),
    }
    Ok(Response {
        status: response.code.unwrap_or_default(),
        reason: response.reason.unwrap_or_default().to_owned(),
        fields: Fields::from_parsed(response.headers),
    })
}
