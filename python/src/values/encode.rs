//! From Python objects to encoded bytes.

use super::raw::RawData;
use super::scalars::{Count, Enum, Port};
use super::times::{Timespan, Timestamp, timedelta_to_nanoseconds};
use super::types::Types;
use broker::data::{self, Address, Encode, EnumValue, Slot, Subnet};
use pyo3::exceptions::{PyRecursionError, PyTypeError, PyUnicodeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{
    PyBool, PyBytes, PyDict, PyFloat, PyFrozenSet, PyInt, PyList, PySet, PyString, PyTuple,
};

/// As many containers inside each other as receivers take by default.
const DEPTH_MAX: usize = 64;

/// Appends the encoding of an object. With `strict` only what the C++ module takes is taken.
pub(crate) fn encode(object: &Bound<'_, PyAny>, strict: bool, out: &mut Vec<u8>) -> PyResult<()> {
    let encoder = Encoder { py: object.py(), types: Types::get(object.py())?, strict };
    encoder.value(object, Slot::new(out), 0)
}

/// Appends the encoding of a Zeek event. `metadata` has pairs of id and value, or is empty.
pub(crate) fn encode_event<'py>(
    name: &Bound<'py, PyAny>,
    args: &Bound<'py, PyTuple>,
    metadata: &[(u64, Bound<'py, PyAny>)],
    strict: bool,
    out: &mut Vec<u8>,
) -> PyResult<()> {
    let encoder = Encoder { py: name.py(), types: Types::get(name.py())?, strict };
    encoder.event(name, args, metadata, Slot::new(out), 0)
}

/// A value that is encoded already.
struct Encoded<'a>(&'a [u8]);

impl Encode for Encoded<'_> {
    fn encode_into(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.0);
    }
}

struct Encoder<'py> {
    py: Python<'py>,
    types: &'static Types,
    strict: bool,
}

impl<'py> Encoder<'py> {
    fn value(&self, object: &Bound<'py, PyAny>, slot: Slot<'_>, depth: usize) -> PyResult<()> {
        let py = self.py;
        if object.is_none() {
            slot.put(&data::Value::None);
        } else if let Ok(flag) = object.cast_exact::<PyBool>() {
            slot.put(&flag.is_true());
        } else if object.is_exact_instance_of::<PyInt>() {
            slot.put(&object.extract::<i64>()?);
        } else if let Ok(text) = object.cast_exact::<PyString>() {
            slot.put(self.text(text)?);
        } else if let Ok(tuple) = object.cast_exact::<PyTuple>() {
            self.vector(tuple.iter(), slot, depth)?;
        } else if let Ok(list) = object.cast_exact::<PyList>() {
            self.vector(list.iter(), slot, depth)?;
        } else if let Ok(count) = object.cast::<Count>() {
            slot.put(&count.get().value());
        } else if let Ok(port) = object.cast::<Port>() {
            slot.put(&port.get().port());
        } else if let Ok(label) = object.cast::<Enum>() {
            slot.put(&EnumValue(label.get().label().into()));
        } else if let Ok(encoded) = object.cast::<RawData>() {
            slot.put(&Encoded(encoded.get().bytes()));
        } else if let Ok(time) = object.cast::<Timestamp>() {
            slot.put(&data::Timestamp(time.get().0));
        } else if let Ok(span) = object.cast::<Timespan>() {
            slot.put(&data::Timespan(span.get().0));
        } else if object.is_instance(self.types.count.bind(py))? {
            slot.put(&object.extract::<u64>()?);
        } else if object.is_instance(self.types.enum_value.bind(py))? {
            let label = object.cast::<PyString>()?;
            slot.put(&EnumValue(self.text(label)?.into()));
        } else if object.is_instance(self.types.port.bind(py))? {
            slot.put(&modern_port(object)?);
        } else {
            return self.other(object, slot, depth);
        }
        Ok(())
    }

    /// Values of classes that are less common, and of subclasses.
    fn other(&self, object: &Bound<'py, PyAny>, slot: Slot<'_>, depth: usize) -> PyResult<()> {
        let (py, types) = (self.py, self.types);
        let is = |class: &Py<pyo3::types::PyType>| object.is_instance(class.bind(py));
        if object.is_instance_of::<PyInt>() {
            slot.put(&object.extract::<i64>()?);
        } else if object.is_instance_of::<PyFloat>() {
            slot.put(&object.extract::<f64>()?);
        } else if let Ok(text) = object.cast::<PyString>() {
            slot.put(self.text(text)?);
        } else if let Ok(bytes) = object.cast::<PyBytes>() {
            slot.put(bytes.as_bytes());
        } else if is(&types.event)? {
            let (name, args) = (object.getattr("name")?, object.getattr("args")?);
            let metadata = object.getattr("metadata")?.call_method0("items")?.try_iter()?;
            let metadata = metadata.map(|item| item?.extract()).collect::<PyResult<Vec<_>>>()?;
            self.event(&name, args.cast::<PyTuple>()?, &metadata, slot, depth)?;
        } else if let Ok(tuple) = object.cast::<PyTuple>() {
            self.vector(tuple.iter(), slot, depth)?;
        } else if let Ok(list) = object.cast::<PyList>() {
            self.vector(list.iter(), slot, depth)?;
        } else if let Ok(set) = object.cast::<PySet>() {
            self.set(set.iter(), slot, depth)?;
        } else if let Ok(set) = object.cast::<PyFrozenSet>() {
            self.set(set.iter(), slot, depth)?;
        } else if let Ok(dict) = object.cast::<PyDict>() {
            self.table(dict.iter().map(Ok), slot, depth)?;
        } else if is(&types.mapping_proxy)? {
            let items = object.call_method0("items")?.try_iter()?;
            self.table(items.map(|item| item?.extract()), slot, depth)?;
        } else if is(&types.ipv4_address)? || is(&types.ipv6_address)? {
            slot.put(&address(object)?);
        } else if is(&types.ipv4_network)? || is(&types.ipv6_network)? {
            slot.put(&subnet(object)?);
        } else if is(&types.timedelta)? {
            slot.put(&data::Timespan(timedelta_to_nanoseconds(object)?));
        } else if is(&types.datetime)? {
            let aware = object.call_method1("astimezone", (&types.utc,))?;
            let since = aware.sub(types.epoch.bind(py))?;
            slot.put(&data::Timestamp(timedelta_to_nanoseconds(&since)?));
        } else if let Ok(encoded) = object.getattr("__broker_data__") {
            slot.put(&Encoded(encoded.cast::<RawData>()?.get().bytes()));
        } else if !self.strict && object.hasattr("__dataclass_fields__")? {
            let fields = types.fields.bind(py).call1((object,))?.try_iter()?;
            let values = fields.map(|field| object.getattr(field?.getattr("name")?.cast()?));
            self.vector(values.collect::<PyResult<Vec<_>>>()?.into_iter(), slot, depth)?;
        } else {
            let class = object.get_type().repr()?;
            return Err(PyTypeError::new_err(format!("unsupported data type: {class}")));
        }
        Ok(())
    }

    fn text<'a>(&self, text: &'a Bound<'py, PyString>) -> PyResult<&'a str> {
        text.to_str().map_err(|error| match error.is_instance_of::<PyUnicodeError>(self.py) {
            true if self.strict => PyTypeError::new_err(error.value(self.py).to_string()),
            _ => error,
        })
    }

    fn vector(
        &self,
        elements: impl Iterator<Item = Bound<'py, PyAny>>,
        slot: Slot<'_>,
        depth: usize,
    ) -> PyResult<()> {
        let depth = deeper(depth)?;
        let mut vector = slot.vector();
        for element in elements {
            self.value(&element, vector.next(), depth)?;
        }
        Ok(())
    }

    fn set(
        &self,
        elements: impl Iterator<Item = Bound<'py, PyAny>>,
        slot: Slot<'_>,
        depth: usize,
    ) -> PyResult<()> {
        let depth = deeper(depth)?;
        let mut set = slot.set();
        for element in elements {
            self.value(&element, set.next(), depth)?;
        }
        Ok(())
    }

    fn table(
        &self,
        items: impl Iterator<Item = PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>)>>,
        slot: Slot<'_>,
        depth: usize,
    ) -> PyResult<()> {
        let depth = deeper(depth)?;
        let mut table = slot.table();
        let mut encoded_key = Vec::new();
        for item in items {
            let (key, value) = item?;
            encoded_key.clear();
            self.value(&key, Slot::new(&mut encoded_key), depth)?;
            self.value(&value, table.entry(&Encoded(&encoded_key)), depth)?;
        }
        Ok(())
    }

    /// `[1, 1, [name, args, metadata]]`, the last only if there is any.
    fn event(
        &self,
        name: &Bound<'py, PyAny>,
        args: &Bound<'py, PyTuple>,
        metadata: &[(u64, Bound<'py, PyAny>)],
        slot: Slot<'_>,
        depth: usize,
    ) -> PyResult<()> {
        let depth = deeper(deeper(depth)?)?;
        let mut message = slot.vector();
        message.push(&1_u64).push(&1_u64);
        let mut content = message.next().vector();
        self.value(name, content.next(), depth)?;
        self.vector(args.iter(), content.next(), depth)?;
        if !metadata.is_empty() {
            let mut entries = content.next().vector();
            for (id, value) in metadata {
                let mut entry = entries.next().vector();
                entry.push(id);
                self.value(value, entry.next(), depth)?;
            }
        }
        Ok(())
    }
}

fn deeper(depth: usize) -> PyResult<usize> {
    if depth >= DEPTH_MAX {
        let text = format!("more than {DEPTH_MAX} containers inside each other");
        return Err(PyRecursionError::new_err(text));
    }
    Ok(depth + 1)
}

fn modern_port(object: &Bound<'_, PyAny>) -> PyResult<data::Port> {
    let (number, protocol): (u16, String) = object.extract()?;
    let text = format!("{number}/{protocol}");
    text.parse().map_err(|_| PyValueError::new_err(format!("{text:?} is not a port")))
}

/// The bytes of an address, that of IPv4 mapped.
fn bytes(object: &Bound<'_, PyAny>) -> PyResult<[u8; 16]> {
    let packed = object.getattr("packed")?;
    let packed = packed.cast::<PyBytes>()?.as_bytes();
    let mut mapped = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0];
    match packed.len() {
        16 => mapped.copy_from_slice(packed),
        4 => mapped[12..].copy_from_slice(packed),
        _ => return Err(PyValueError::new_err("an address has 4 or 16 bytes")),
    }
    Ok(mapped)
}

fn address(object: &Bound<'_, PyAny>) -> PyResult<Address> {
    bytes(object).map(Address::from_bytes)
}

fn subnet(object: &Bound<'_, PyAny>) -> PyResult<Subnet> {
    let address = address(&object.getattr("network_address")?)?;
    let length: u8 = object.getattr("prefixlen")?.extract()?;
    let raw = if object.getattr("version")?.extract::<u8>()? == 4 { length + 96 } else { length };
    // An IPv6 network within ::ffff:0:0/96 is the IPv4 network that it stands for.
    Ok(Subnet::from_raw(address, raw))
}
