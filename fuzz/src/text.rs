use broker_data::{IpAddress, Port, Subnet, Timespan, Timestamp};
use broker_proto::fuzzing::Input;
use broker_proto::{Address, EndpointId, OverflowPolicy};
use std::fmt::Display;
use std::str::FromStr;

/// Whatever is read from text is written so that it reads as the same.
pub(super) fn text(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let kind = input.below(8);
    let Ok(text) = std::str::from_utf8(input.rest()) else { return };
    match kind {
        0 => url_comes_back(text),
        1 => comes_back::<EndpointId>(text),
        2 => comes_back::<IpAddress>(text),
        3 => comes_back::<Subnet>(text),
        4 => comes_back::<Port>(text),
        5 => comes_back::<Timestamp>(text),
        6 => comes_back::<Timespan>(text),
        _ => comes_back::<OverflowPolicy>(text),
    }
}

fn comes_back<T: FromStr + Display + PartialEq>(text: &str)
where
    T::Err: Display,
{
    comes_back_as(text, T::to_string);
}

/// What is shown of a URL lacks its secrets.
fn url_comes_back(text: &str) {
    comes_back_as(text, Address::to_string_with_secrets);
    if let Ok(url) = text.parse::<Address>() {
        let shown = url.to_string();
        assert!(shown.parse().is_ok_and(|again: Address| again.to_string() == shown), "{shown:?}");
    }
}

fn comes_back_as<T: FromStr + PartialEq>(text: &str, write: impl Fn(&T) -> String)
where
    T::Err: Display,
{
    match text.parse::<T>() {
        Ok(read) => {
            let written = write(&read);
            assert!(written.parse().is_ok_and(|again: T| again == read), "{text:?}: {written:?}");
        }
        Err(error) => {
            let reason = error.to_string();
            assert!(!reason.is_empty() && reason.len() < 16 * text.len() + 4096);
        }
    }
}
