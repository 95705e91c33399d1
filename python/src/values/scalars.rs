//! The classes of the C++ module for single values that have no counterpart in Python.

use broker::data::{self, Protocol};
use parking_lot::Mutex;
use pyo3::basic::CompareOp;
use pyo3::exceptions::{PyOverflowError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyFloat, PyInt, PyString};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// `broker.Count`: an unsigned number.
#[pyclass(frozen, subclass, module = "broker._broker")]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn new(value: u64) -> Self {
        Self(AtomicU64::new(value))
    }

    pub(crate) fn value(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

fn count(value: &Bound<'_, PyAny>) -> PyResult<u64> {
    if !value.is_instance_of::<PyInt>() {
        let text = "Count(): incompatible constructor arguments. The following argument types \
                    are supported:\n    1. broker._broker.Count(arg0: int)";
        return Err(PyTypeError::new_err(text));
    }
    value.extract().map_err(|_| PyOverflowError::new_err("a count is from 0 to 2**64 - 1"))
}

#[pymethods]
impl Count {
    #[new]
    fn py_new(value: &Bound<'_, PyAny>) -> PyResult<Self> {
        count(value).map(Self::new)
    }

    #[getter(value)]
    fn py_value(&self) -> u64 {
        self.value()
    }

    #[setter(value)]
    fn set_value(&self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        self.0.store(count(value)?, Relaxed);
        Ok(())
    }

    fn __richcmp__(&self, other: PyRef<'_, Self>, op: CompareOp) -> bool {
        op.matches(self.value().cmp(&other.value()))
    }

    fn __hash__(&self) -> u64 {
        self.value()
    }

    fn __str__(&self) -> String {
        self.value().to_string()
    }

    fn __repr__(&self) -> String {
        format!("Count({})", self.value())
    }
}

/// `broker.Enum`: the label of an enum value.
#[pyclass(frozen, subclass, module = "broker._broker")]
pub(crate) struct Enum(Mutex<Vec<u8>>);

impl Enum {
    pub(crate) fn new(label: Vec<u8>) -> Self {
        Self(Mutex::new(label))
    }

    pub(crate) fn label(&self) -> Vec<u8> {
        self.0.lock().clone()
    }
}

/// The bytes of `str` or `bytes`.
pub(crate) fn text_bytes(text: &Bound<'_, PyAny>) -> PyResult<Vec<u8>> {
    if let Ok(text) = text.cast::<PyString>() {
        return Ok(text.to_str()?.as_bytes().to_vec());
    }
    match text.cast::<PyBytes>() {
        Ok(bytes) => Ok(bytes.as_bytes().to_vec()),
        Err(_) => Err(PyTypeError::new_err(format!(
            "incompatible function arguments: str or bytes are supported, not {}",
            text.get_type().name()?
        ))),
    }
}

#[pymethods]
impl Enum {
    #[new]
    fn py_new(name: &Bound<'_, PyAny>) -> PyResult<Self> {
        text_bytes(name).map(Self::new)
    }

    #[getter]
    fn name<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        PyString::from_bytes(py, &self.0.lock())
    }

    #[setter]
    fn set_name(&self, name: &Bound<'_, PyAny>) -> PyResult<()> {
        *self.0.lock() = text_bytes(name)?;
        Ok(())
    }

    fn __richcmp__(&self, other: PyRef<'_, Self>, op: CompareOp) -> bool {
        op.matches(self.label().cmp(&other.label()))
    }

    fn __hash__(&self) -> u64 {
        hash_of(&*self.0.lock())
    }

    fn __str__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        self.name(py)
    }

    fn __repr__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        self.name(py)
    }
}

pub(crate) fn hash_of(value: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// `broker.Port`: a port with its protocol, whose number is that of `Port.Protocol`.
#[pyclass(frozen, subclass, module = "broker._broker")]
pub(crate) struct Port(data::Port);

impl Port {
    pub(crate) fn new(port: data::Port) -> Self {
        Self(port)
    }

    pub(crate) fn port(&self) -> data::Port {
        self.0
    }
}

#[pymethods]
impl Port {
    #[new]
    #[pyo3(signature = (number=None, protocol=None))]
    fn py_new(
        number: Option<&Bound<'_, PyAny>>,
        protocol: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let wrong = || {
            let text = "Port(): incompatible constructor arguments. The following argument types \
                        are supported:\n    1. broker._broker.Port()\n    2. \
                        broker._broker.Port(arg0: int, arg1: broker._broker.Port.Protocol)";
            PyTypeError::new_err(text)
        };
        let (number, protocol) = match (number, protocol) {
            (None, None) => (0, 0),
            (Some(number), Some(protocol)) => {
                let is_number = number.is_instance_of::<PyInt>();
                if !is_number || number.is_instance_of::<PyFloat>() {
                    return Err(wrong());
                }
                // Only the enumeration has this, plain numbers have not.
                let protocol = protocol.getattr("_broker_protocol").map_err(|_| wrong())?;
                (number.extract().map_err(|_| wrong())?, protocol.extract()?)
            }
            _ => return Err(wrong()),
        };
        let protocol = match protocol {
            0_u8 => Protocol::Unknown,
            1 => Protocol::Tcp,
            2 => Protocol::Udp,
            3 => Protocol::Icmp,
            _ => return Err(PyValueError::new_err("no such protocol")),
        };
        Ok(Self(data::Port::new(number, protocol)))
    }

    fn number(&self) -> u16 {
        self.0.number
    }

    /// The number of the protocol.
    fn _protocol(&self) -> u8 {
        self.0.protocol as u8
    }

    fn __richcmp__(&self, other: PyRef<'_, Self>, op: CompareOp) -> bool {
        op.matches(self.0.cmp(&other.0))
    }

    fn __hash__(&self) -> u64 {
        hash_of(self.0)
    }

    fn __str__(&self) -> String {
        self.0.to_string()
    }

    fn __repr__(&self) -> String {
        self.0.to_string()
    }
}
