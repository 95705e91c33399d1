use broker::data::View;
use bytes::Bytes;
use pyo3::prelude::*;

/// One value, as the bytes that go over the wire.
#[pyclass(frozen, subclass, module = "broker._broker")]
pub(crate) struct RawData(Bytes);

impl RawData {
    /// The value in these bytes, which have been checked or made by an encoder.
    pub(crate) fn of(encoded: Bytes) -> Self {
        Self(encoded)
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn shared(&self) -> Bytes {
        self.0.clone()
    }

    pub(crate) fn view(&self) -> View<'_> {
        View::of_validated(&self.0)
    }
}
