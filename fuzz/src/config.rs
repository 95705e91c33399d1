use broker_core::{Config, Endpoint};

/// A configuration is read or refused. One that is read is written so that it reads as the same,
/// and can be used or is refused with a reason.
pub(super) fn config(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(config) = toml::from_str::<Config>(text) else { return };
    let written = toml::to_string(&config);
    assert!(written.is_ok(), "{config:?} cannot be written: {written:?}");
    let again = written.as_deref().map(toml::from_str::<Config>);
    assert!(matches!(again, Ok(Ok(again)) if again == config), "{config:?}: {written:?}");
    // There is no runtime here, so this ends after the checks.
    assert!(Endpoint::builder().config(config).build().is_err());
}
