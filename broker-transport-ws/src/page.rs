use crate::http::Answer;

/// The example page.
pub(crate) fn answer() -> Answer {
    Answer::page(include_str!("page.html"))
        .with(
            "Content-Security-Policy",
            "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; \
             connect-src 'self' ws: wss:; base-uri 'none'; form-action 'none'",
        )
        .with("X-Content-Type-Options", "nosniff")
        .with("Cache-Control", "no-cache")
}
