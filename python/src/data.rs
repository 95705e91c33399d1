//! What `_broker.Data` can do.

use crate::values::{self, Flavor, RawData};
use broker::data::zeek::{EventView, MessageType, MessageView};
use broker::data::{Kind, View};
use bytes::Bytes;
use pyo3::basic::CompareOp;
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyString, PyTuple};
use std::hash::{DefaultHasher, Hash, Hasher};

impl RawData {
    /// The event that this is; with the texts of the C++ module if it is none.
    fn as_event(&self) -> PyResult<EventView<'_>> {
        if MessageType::of(self.view()) != MessageType::Event {
            return Err(PyValueError::new_err("invalid Event data/type"));
        }
        match MessageView::parse(self.view()) {
            Ok(MessageView::Event(event)) => Ok(event),
            _ => Err(PyValueError::new_err("invalid Event data")),
        }
    }
}

#[pymethods]
impl RawData {
    #[new]
    #[pyo3(signature = (x=None))]
    fn new(x: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        let Some(object) = x else { return Ok(Self::of(Bytes::from_static(&[Kind::None as u8]))) };
        if let Ok(other) = object.cast::<Self>() {
            return Ok(Self::of(other.get().shared()));
        }
        let mut encoded = Vec::new();
        values::encode(object, true, &mut encoded)?;
        Ok(Self::of(encoded.into()))
    }

    /// As the constructor, with what only this package takes: records and its own events.
    #[staticmethod]
    fn encode(x: &Bound<'_, PyAny>) -> PyResult<Self> {
        let mut encoded = Vec::new();
        values::encode(x, false, &mut encoded)?;
        Ok(Self::of(encoded.into()))
    }

    /// The value in these bytes. ValueError if they are none.
    #[staticmethod]
    fn from_bytes(bytes: &[u8]) -> PyResult<Self> {
        View::parse(bytes).map_err(|error| PyValueError::new_err(error.to_string()))?;
        Ok(Self::of(Bytes::copy_from_slice(bytes)))
    }

    /// The encoded event.
    #[staticmethod]
    fn event(
        name: &Bound<'_, PyAny>,
        args: &Bound<'_, PyTuple>,
        metadata: Vec<(u64, Bound<'_, PyAny>)>,
    ) -> PyResult<Self> {
        let mut encoded = Vec::new();
        values::encode_event(name, args, &metadata, true, &mut encoded)?;
        Ok(Self::of(encoded.into()))
    }

    /// The number of the type.
    fn kind(&self) -> u8 {
        self.view().kind() as u8
    }

    /// The text form, as bytes.
    fn text<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        let mut text = Vec::new();
        self.view().to_value().text_into(&mut text);
        PyBytes::new(py, &text)
    }

    /// The encoding.
    fn raw<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.bytes())
    }

    /// The Python object for it.
    fn to_python<'py>(&self, py: Python<'py>, flavor: u8) -> PyResult<Bound<'py, PyAny>> {
        values::decode(py, self.view(), Flavor::from_number(flavor)?)
    }

    /// The nanoseconds of a time.
    fn nanoseconds(&self) -> PyResult<i64> {
        let view = self.view();
        let time = view.as_timestamp().map(|time| time.0);
        time.or(view.as_timespan().map(|span| span.0)).ok_or_else(bad_access)
    }

    /// The bytes of a string or label.
    fn string<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let view = self.view();
        let bytes = view.as_bytes().or_else(|| view.as_enum().map(|label| &**label));
        bytes.map(|bytes| PyBytes::new(py, bytes)).ok_or_else(bad_access)
    }

    /// The 16 bytes of an address, or those of a network and its length on that scale.
    fn network<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyBytes>, u8)> {
        let view = self.view();
        let address = view.as_address().map(|address| (address, 128));
        let subnet = view.as_subnet().map(|subnet| (subnet.address(), subnet.raw_length()));
        let (address, length) = address.or(subnet).ok_or_else(bad_access)?;
        Ok((PyBytes::new(py, address.bytes()), length))
    }

    /// The values in a vector or set, or those of a table with their keys.
    fn elements(&self) -> Vec<Self> {
        let owned = |view: View<'_>| Self::of(self.shared().slice_ref(view.raw()));
        match self.view().kind() {
            Kind::Table => {
                let entries = self.view().entries();
                entries.flat_map(|(key, value)| [owned(key), owned(value)]).collect()
            }
            _ => self.view().iter().map(owned).collect(),
        }
    }

    /// Whether this is a Zeek event.
    fn is_event(&self) -> bool {
        matches!(MessageView::parse(self.view()), Ok(MessageView::Event(_)))
    }

    /// The name of the event that this is.
    fn event_name(&self, py: Python<'_>) -> PyResult<Py<PyString>> {
        Ok(PyString::from_bytes(py, self.as_event()?.name())?.unbind())
    }

    /// The arguments of the event that this is.
    fn event_args<'py>(&self, py: Python<'py>, flavor: u8) -> PyResult<Bound<'py, PyList>> {
        let flavor = Flavor::from_number(flavor)?;
        let args = self.as_event()?.args();
        let args = args.iter().map(|arg| values::decode(py, arg, flavor));
        PyList::new(py, args.collect::<PyResult<Vec<_>>>()?)
    }

    /// The metadata of the event that this is, as vectors of id and value.
    fn event_metadata<'py>(&self, py: Python<'py>, flavor: u8) -> PyResult<Bound<'py, PyList>> {
        let flavor = Flavor::from_number(flavor)?;
        self.as_event()?;
        let entries = self.view().path([2, 2]);
        let entries = entries.iter().flat_map(|entries| entries.iter());
        let entries = entries.map(|entry| values::decode(py, entry, flavor));
        PyList::new(py, entries.collect::<PyResult<Vec<_>>>()?)
    }

    fn __richcmp__(&self, other: PyRef<'_, Self>, op: CompareOp) -> bool {
        // In the order of values, in which equality agrees with the one of the protocol.
        let order = self.view().partial_cmp(&other.view());
        order.is_some_and(|order| op.matches(order))
    }

    fn __hash__(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.view().to_value().hash(&mut hasher);
        hasher.finish()
    }
}

fn bad_access() -> PyErr {
    PyRuntimeError::new_err("bad variant access")
}
