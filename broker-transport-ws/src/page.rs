use crate::http::Answer;

/// The example page.
pub(crate) fn answer() -> Answer {
    Answer::page("")
}
