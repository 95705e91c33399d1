use crate::http::Response;

/// The example page. No script runs but its own, which has a number that nobody else knows.
pub(crate) fn answer() -> Response {
    let nonce = format!("{:032x}", fastrand::u128(..));
    let page =
        include_str!("page.html").replace("<script>", &format!("<script nonce=\"{nonce}\">"));
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'unsafe-inline'; \
             connect-src 'self' ws: wss:; base-uri 'none'; form-action 'none'; \
             frame-ancestors 'none'"
    );
    Response::page(page)
        .with("Content-Security-Policy", policy)
        .with("X-Content-Type-Options", "nosniff")
        .with("Cache-Control", "no-cache")
}
