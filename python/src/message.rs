//! Received messages.

use crate::values::{self, Flavor};
use pyo3::exceptions::{PyIndexError, PyUnicodeDecodeError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyString};

/// A received message. Its value is decoded when it is asked for.
#[pyclass(frozen, module = "zeek_broker")]
pub(crate) struct Message {
    message: broker::Message,
    value: PyOnceLock<Py<PyAny>>,
    event: PyOnceLock<Option<Py<PyAny>>>,
}

impl Message {
    pub(crate) fn new(message: broker::Message) -> Self {
        Self { message, value: PyOnceLock::new(), event: PyOnceLock::new() }
    }
}

/// The topic as `str`. UnicodeDecodeError if it is none.
pub(crate) fn topic<'py>(
    py: Python<'py>,
    message: &broker::Message,
) -> PyResult<Bound<'py, PyString>> {
    let topic = message.topic();
    match std::str::from_utf8(topic) {
        Ok(text) => Ok(PyString::new(py, text)),
        Err(error) => Err(PyUnicodeDecodeError::new_utf8(py, topic, error)?.into_err()),
    }
}

trait IntoErr {
    fn into_err(self) -> PyErr;
}

impl IntoErr for Bound<'_, PyUnicodeDecodeError> {
    fn into_err(self) -> PyErr {
        PyErr::from_value(self.into_any())
    }
}

#[pymethods]
impl Message {
    #[classattr]
    fn __match_args__() -> (&'static str, &'static str) {
        ("topic", "value")
    }

    /// What the message is about. Bytes that are not UTF-8 are replaced by U+FFFD.
    #[getter]
    fn topic(&self) -> String {
        self.message.topic().to_string()
    }

    /// The value.
    #[getter]
    fn value<'py>(&self, py: Python<'py>) -> PyResult<&Bound<'py, PyAny>> {
        let value = self.value.get_or_try_init(py, || {
            values::decode(py, self.message.view(), Flavor::Modern).map(Bound::unbind)
        })?;
        Ok(value.bind(py))
    }

    /// The Zeek event, or None if the message is something else.
    #[getter]
    fn event<'py>(&self, py: Python<'py>) -> PyResult<Option<&Bound<'py, PyAny>>> {
        let event = self.event.get_or_try_init(py, || {
            Ok::<_, PyErr>(values::decode_event(py, self.message.view())?.map(Bound::unbind))
        })?;
        Ok(event.as_ref().map(|event| event.bind(py)))
    }

    /// The element of nested vectors at these indices; nothing else is decoded.
    #[pyo3(signature = (*path))]
    fn field<'py>(&self, py: Python<'py>, path: Vec<usize>) -> PyResult<Bound<'py, PyAny>> {
        let view = self.message.view().path(path.iter().copied());
        let view = view.ok_or_else(|| PyIndexError::new_err(format!("no element at {path:?}")))?;
        values::decode(py, view, Flavor::Modern)
    }

    /// The id of the endpoint that handed the message over: the last hop, not its origin.
    #[getter]
    fn sender(&self) -> String {
        self.message.sender().to_string()
    }

    /// The encoded value.
    #[getter]
    fn raw<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.message.payload())
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let topic = PyString::new(py, &self.topic()).repr()?.to_string();
        Ok(format!("Message({topic}, {})", self.value(py)?.repr()?))
    }
}
