//! From encoded bytes to Python objects.

use super::scalars::{Count, Enum, Port};
use super::times::{Timespan, Timestamp, nanoseconds_to_timedelta};
use super::types::Types;
use broker::data::zeek::MessageView;
use broker::data::{Kind, Subnet, View};
use pyo3::IntoPyObjectExt;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyFrozenSet, PySet, PyString, PyTuple};

/// Which Python classes the values become.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flavor {
    /// Those of `zeek_broker`; inside sets and keys of tables those that are hashable.
    Modern,
    /// Those of the C++ module.
    Compat,
    /// Those of the C++ module that are immutable.
    CompatImmutable,
}

impl Flavor {
    /// By the number that the Python side uses.
    pub(crate) fn from_number(number: u8) -> PyResult<Self> {
        match number {
            0 => Ok(Self::Modern),
            1 => Ok(Self::Compat),
            2 => Ok(Self::CompatImmutable),
            _ => Err(PyValueError::new_err("no such flavor")),
        }
    }
}

/// The Python object for a value.
pub(crate) fn decode<'py>(
    py: Python<'py>,
    view: View<'_>,
    flavor: Flavor,
) -> PyResult<Bound<'py, PyAny>> {
    Decoder { py, types: Types::get(py)?, flavor }.value(view, false)
}

/// The parts of a Zeek event: name, arguments and metadata; `None` foreverything else.
pub(crate) fn decode_event<'py>(
    py: Python<'py>,
    view: View<'_>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let Ok(MessageView::Event(event)) = MessageView::parse(view) else { return Ok(None) };
    let types = Types::get(py)?;
    let decoder = Decoder { py, types, flavor: Flavor::Modern };
    let name = text(py, event.name());
    let args = decoder.tuple(event.args(), false)?;
    let metadata = PyDict::new(py);
    for (id, value) in event.metadata() {
        metadata.set_item(id, decoder.value(value, false)?)?;
    }
    let made = types.event.bind(py).call_method1("_received", (name, args, metadata))?;
    Ok(Some(made))
}

/// UTF-8 as `str`, everything else as `bytes`.
fn text<'py>(py: Python<'py>, bytes: &[u8]) -> Bound<'py, PyAny> {
    match std::str::from_utf8(bytes) {
        Ok(text) => PyString::new(py, text).into_any(),
        Err(_) => PyBytes::new(py, bytes).into_any(),
    }
}

struct Decoder<'py> {
    py: Python<'py>,
    types: &'static Types,
    flavor: Flavor,
}

impl<'py> Decoder<'py> {
    /// The object for a value, which has to be hashable if it is in a set or in a key of a table.
    fn value(&self, view: View<'_>, hashable: bool) -> PyResult<Bound<'py, PyAny>> {
        let py = self.py;
        let modern = self.flavor == Flavor::Modern;
        match view.kind() {
            Kind::None => Ok(py.None().into_bound(py)),
            Kind::Boolean => view.as_bool().unwrap_or_default().into_bound_py_any(py),
            Kind::Count => {
                let count = view.as_count().unwrap_or_default();
                if modern {
                    return self.types.count.bind(py).call1((count,));
                }
                Count::new(count).into_bound_py_any(py)
            }
            Kind::Integer => view.as_integer().unwrap_or_default().into_bound_py_any(py),
            Kind::Real => view.as_real().unwrap_or_default().into_bound_py_any(py),
            Kind::String => Ok(text(py, view.as_bytes().unwrap_or_default())),
            Kind::Enum => {
                let label = view.as_enum().unwrap_or_default();
                if modern {
                    let label = String::from_utf8_lossy(label);
                    return self.types.enum_value.bind(py).call1((label,));
                }
                Enum::new(label.to_vec()).into_bound_py_any(py)
            }
            Kind::Address => {
                let address = view.as_address().unwrap_or_default();
                self.types.address(py, *address.bytes(), address.is_v4())
            }
            Kind::Subnet => self.subnet(view.as_subnet().unwrap_or_default()),
            Kind::Port => {
                let port = view.as_port().unwrap_or_default();
                if modern {
                    let parts = (port.number, port.protocol.name());
                    return self.types.port.bind(py).call1(parts);
                }
                Port::new(port).into_bound_py_any(py)
            }
            Kind::Timestamp => {
                let time = view.as_timestamp().unwrap_or_default();
                if modern {
                    return Timestamp(time.0).into_bound_py_any(py);
                }
                let since = nanoseconds_to_timedelta(py, self.types, time.0)?;
                self.types.epoch.bind(py).add(since)
            }
            Kind::Timespan => {
                let span = view.as_timespan().unwrap_or_default();
                if modern {
                    return Timespan(span.0).into_bound_py_any(py);
                }
                nanoseconds_to_timedelta(py, self.types, span.0)
            }
            Kind::Vector => Ok(self.tuple(view, hashable && modern)?.into_any()),
            Kind::Set => self.set(view, hashable),
            Kind::Table => self.table(view, hashable),
        }
    }

    fn tuple(&self, view: View<'_>, hashable: bool) -> PyResult<Bound<'py, PyTuple>> {
        let elements = view.iter().map(|element| self.value(element, hashable));
        PyTuple::new(self.py, elements.collect::<PyResult<Vec<_>>>()?)
    }

    fn set(&self, view: View<'_>, hashable: bool) -> PyResult<Bound<'py, PyAny>> {
        let elements = view.iter().map(|element| self.value(element, true));
        let elements = elements.collect::<PyResult<Vec<_>>>()?;
        let frozen = match self.flavor {
            Flavor::Modern => hashable,
            Flavor::Compat => false,
            Flavor::CompatImmutable => true,
        };
        match frozen {
            true => Ok(PyFrozenSet::new(self.py, elements)?.into_any()),
            false => Ok(PySet::new(self.py, elements)?.into_any()),
        }
    }

    fn table(&self, view: View<'_>, hashable: bool) -> PyResult<Bound<'py, PyAny>> {
        let py = self.py;
        let dict = PyDict::new(py);
        let inner = hashable && self.flavor == Flavor::Modern;
        for (key, value) in view.entries() {
            dict.set_item(self.value(key, true)?, self.value(value, inner)?)?;
        }
        match self.flavor {
            Flavor::Modern if hashable => self.types.safe_table.bind(py).call1((dict,)),
            Flavor::Modern | Flavor::Compat => Ok(dict.into_any()),
            Flavor::CompatImmutable => Types::compat_table(py)?.call1((dict,)),
        }
    }

    fn subnet(&self, subnet: Subnet) -> PyResult<Bound<'py, PyAny>> {
        let (py, address, length) = (self.py, subnet.address(), subnet.length());
        let number = u128::from_be_bytes(*address.bytes());
        // Not strict: peers may send host bits.
        match address.is_v4() && length <= 32 {
            true => {
                let network = (number & u128::from(u32::MAX), length);
                self.types.ipv4_network.bind(py).call1((network, false))
            }
            false => self.types.ipv6_network.bind(py).call1(((number, subnet.raw_length()), false)),
        }
    }
}
