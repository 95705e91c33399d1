//! The Python classes that values are made of.

use parking_lot::Mutex;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;
use std::collections::HashMap;

/// Addresses that are kept: making one takes longer than all the rest of a small event.
const ADDRESSES_MAX: usize = 4096;

pub(crate) struct Types {
    pub(crate) ipv4_address: Py<PyType>,
    pub(crate) ipv6_address: Py<PyType>,
    pub(crate) ipv4_network: Py<PyType>,
    pub(crate) ipv6_network: Py<PyType>,
    pub(crate) datetime: Py<PyType>,
    pub(crate) timedelta: Py<PyType>,
    pub(crate) mapping_proxy: Py<PyType>,
    pub(crate) utc: Py<PyAny>,
    pub(crate) epoch: Py<PyAny>,
    /// `dataclasses.fields`.
    pub(crate) fields: Py<PyAny>,
    pub(crate) count: Py<PyType>,
    pub(crate) enum_value: Py<PyType>,
    pub(crate) port: Py<PyType>,
    pub(crate) safe_table: Py<PyType>,
    pub(crate) event: Py<PyType>,
    addresses: Mutex<HashMap<[u8; 16], Py<PyAny>>>,
}

static TYPES: PyOnceLock<Types> = PyOnceLock::new();

static COMPAT_TABLE: PyOnceLock<Py<PyType>> = PyOnceLock::new();

impl Types {
    pub(crate) fn get(py: Python<'_>) -> PyResult<&'static Self> {
        TYPES.get_or_try_init(py, || Self::import(py))
    }

    fn import(py: Python<'_>) -> PyResult<Self> {
        let class = |module: &str, name: &str| -> PyResult<Py<PyType>> {
            Ok(py.import(module)?.getattr(name)?.cast_into::<PyType>()?.unbind())
        };
        let values = |name: &str| class("zeek_broker._values", name);
        let (datetime, utc) = (py.import("datetime")?, "utc");
        let utc = datetime.getattr("timezone")?.getattr(utc)?;
        let epoch = datetime.getattr("datetime")?.call1((1970, 1, 1, 0, 0, 0, 0, &utc))?;
        Ok(Self {
            ipv4_address: class("ipaddress", "IPv4Address")?,
            ipv6_address: class("ipaddress", "IPv6Address")?,
            ipv4_network: class("ipaddress", "IPv4Network")?,
            ipv6_network: class("ipaddress", "IPv6Network")?,
            datetime: class("datetime", "datetime")?,
            timedelta: class("datetime", "timedelta")?,
            mapping_proxy: class("types", "MappingProxyType")?,
            utc: utc.unbind(),
            epoch: epoch.unbind(),
            fields: py.import("dataclasses")?.getattr("fields")?.unbind(),
            count: values("Count")?,
            enum_value: values("Enum")?,
            port: values("Port")?,
            safe_table: values("SafeTable")?,
            event: class("zeek_broker._event", "Event")?,
            addresses: Mutex::default(),
        })
    }

    /// The read-only `dict` of the drop-in layer.
    pub(crate) fn compat_table(py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
        let class = COMPAT_TABLE.get_or_try_init(py, || {
            let class = py.import("zeek_broker.compat._data")?.getattr("HashableReadOnlyDict")?;
            Ok::<_, PyErr>(class.cast_into::<PyType>()?.unbind())
        })?;
        Ok(class.bind(py))
    }

    /// The address with these bytes, perhaps one that was made before.
    pub(crate) fn address<'py>(
        &self,
        py: Python<'py>,
        bytes: [u8; 16],
        is_v4: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        if let Some(known) = self.addresses.lock().get(&bytes) {
            return Ok(known.bind(py).clone());
        }
        let number = u128::from_be_bytes(bytes);
        let address = match is_v4 {
            true => self.ipv4_address.bind(py).call1((number & u128::from(u32::MAX),))?,
            false => self.ipv6_address.bind(py).call1((number,))?,
        };
        let mut addresses = self.addresses.lock();
        if addresses.len() < ADDRESSES_MAX {
            addresses.insert(bytes, address.clone().unbind());
            return Ok(address);
        }
        // What is dropped may run Python, so not under the lock.
        let old = std::mem::take(&mut *addresses);
        drop(addresses);
        drop(old);
        Ok(address)
    }
}
