//! Exact times.

use super::types::Types;
use pyo3::basic::CompareOp;
use pyo3::exceptions::{PyOverflowError, PyTypeError};
use pyo3::prelude::*;
use std::time::{SystemTime, UNIX_EPOCH};

const SECOND: i128 = 1_000_000_000;

fn fits(nanoseconds: i128) -> PyResult<i64> {
    i64::try_from(nanoseconds).map_err(|_| {
        PyOverflowError::new_err("more than 292 years, which nanoseconds in 64 bits cannot count")
    })
}

/// The nanoseconds of a `timedelta`.
pub(crate) fn timedelta_to_nanoseconds(object: &Bound<'_, PyAny>) -> PyResult<i64> {
    let part = |name: &str| object.getattr(name)?.extract::<i64>().map(i128::from);
    let seconds = part("days")? * 86400 + part("seconds")?;
    fits(seconds * SECOND + part("microseconds")? * 1000)
}

/// The `timedelta` of so many nanoseconds, rounded to microseconds, halves to even ones.
pub(crate) fn nanoseconds_to_timedelta<'py>(
    py: Python<'py>,
    types: &Types,
    nanoseconds: i64,
) -> PyResult<Bound<'py, PyAny>> {
    let (whole, rest) = (nanoseconds.div_euclid(1000), nanoseconds.rem_euclid(1000));
    let up = rest > 500 || (rest == 500 && whole % 2 != 0);
    types.timedelta.bind(py).call1((0, 0, whole + i64::from(up)))
}

/// Nanoseconds of seconds from Python: an `int` or a `float`.
fn of_seconds(seconds: &Bound<'_, PyAny>) -> PyResult<i64> {
    if let Ok(whole) = seconds.extract::<i64>() {
        return fits(i128::from(whole) * SECOND);
    }
    let seconds: f64 = seconds.extract()?;
    let nanoseconds = (seconds * 1e9).round_ties_even();
    // NaN is in no range.
    if !(-9.2e18..=9.2e18).contains(&nanoseconds) {
        return Err(PyOverflowError::new_err("seconds that nanoseconds in 64 bits cannot count"));
    }
    #[allow(clippy::cast_possible_truncation)]
    Ok(nanoseconds as i64)
}

fn compared(op: CompareOp, a: i64, b: i64) -> bool {
    op.matches(a.cmp(&b))
}

/// A point in time: nanoseconds since 1970 in UTC.
///
/// >>> from datetime import datetime, timezone
/// >>> Timestamp.from_datetime(datetime(2026, 1, 1, tzinfo=timezone.utc))
/// Timestamp(1767225600000000000)
#[pyclass(frozen, skip_from_py_object, module = "zeek_broker")]
#[derive(Clone, Copy)]
pub(crate) struct Timestamp(pub(crate) i64);

#[pymethods]
impl Timestamp {
    #[classattr]
    fn __match_args__() -> (&'static str,) {
        ("ns",)
    }

    #[new]
    fn new(ns: i64) -> Self {
        Self(ns)
    }

    /// Nanoseconds since 1970.
    #[getter]
    fn ns(&self) -> i64 {
        self.0
    }

    /// The time now.
    #[staticmethod]
    fn now() -> PyResult<Self> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        fits(i128::try_from(since.as_nanos()).unwrap_or(i128::MAX)).map(Self)
    }

    /// The time so many seconds after 1970, rounded to nanoseconds.
    #[staticmethod]
    fn from_seconds(seconds: &Bound<'_, PyAny>) -> PyResult<Self> {
        of_seconds(seconds).map(Self)
    }

    /// The time of a `datetime`; one without a time zone is local time.
    #[staticmethod]
    fn from_datetime(time: &Bound<'_, PyAny>) -> PyResult<Self> {
        let types = Types::get(time.py())?;
        if !time.is_instance(types.datetime.bind(time.py()))? {
            return Err(PyTypeError::new_err("from_datetime() takes a datetime"));
        }
        let aware = time.call_method1("astimezone", (&types.utc,))?;
        timedelta_to_nanoseconds(&aware.sub(types.epoch.bind(time.py()))?).map(Self)
    }

    /// Seconds since 1970.
    fn to_seconds(&self) -> f64 {
        self.0 as f64 / 1e9
    }

    /// The `datetime` in UTC, rounded to microseconds.
    fn to_datetime<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let types = Types::get(py)?;
        types.epoch.bind(py).add(nanoseconds_to_timedelta(py, types, self.0)?)
    }

    fn __add__(&self, span: PyRef<'_, Timespan>) -> PyResult<Self> {
        fits(i128::from(self.0) + i128::from(span.0)).map(Self)
    }

    fn __sub__<'py>(&self, py: Python<'py>, other: &Bound<'py, PyAny>) -> PyResult<Py<PyAny>> {
        use pyo3::IntoPyObjectExt;
        if let Ok(time) = other.cast::<Self>() {
            return Timespan(fits(i128::from(self.0) - i128::from(time.get().0))?).into_py_any(py);
        }
        if let Ok(span) = other.cast::<Timespan>() {
            return Self(fits(i128::from(self.0) - i128::from(span.get().0))?).into_py_any(py);
        }
        Ok(py.NotImplemented())
    }

    fn __richcmp__(&self, other: PyRef<'_, Self>, op: CompareOp) -> bool {
        compared(op, self.0, other.0)
    }

    fn __hash__(&self) -> i64 {
        self.0
    }

    fn __repr__(&self) -> String {
        format!("Timestamp({})", self.0)
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> (Bound<'py, PyAny>, (i64,)) {
        (slf.get_type().into_any(), (slf.get().0,))
    }
}

/// A length of time in nanoseconds.
///
/// >>> Timespan.from_seconds(1.5)
/// Timespan(1500000000)
#[pyclass(frozen, skip_from_py_object, module = "zeek_broker")]
#[derive(Clone, Copy)]
pub(crate) struct Timespan(pub(crate) i64);

#[pymethods]
impl Timespan {
    #[classattr]
    fn __match_args__() -> (&'static str,) {
        ("ns",)
    }

    #[new]
    fn new(ns: i64) -> Self {
        Self(ns)
    }

    /// Nanoseconds.
    #[getter]
    fn ns(&self) -> i64 {
        self.0
    }

    /// So many seconds, rounded to nanoseconds.
    #[staticmethod]
    fn from_seconds(seconds: &Bound<'_, PyAny>) -> PyResult<Self> {
        of_seconds(seconds).map(Self)
    }

    /// The length of a `timedelta`.
    #[staticmethod]
    fn from_timedelta(span: &Bound<'_, PyAny>) -> PyResult<Self> {
        timedelta_to_nanoseconds(span).map(Self)
    }

    /// Seconds.
    fn to_seconds(&self) -> f64 {
        self.0 as f64 / 1e9
    }

    /// The `timedelta`, rounded to microseconds.
    fn to_timedelta<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        nanoseconds_to_timedelta(py, Types::get(py)?, self.0)
    }

    fn __add__(&self, other: PyRef<'_, Self>) -> PyResult<Self> {
        fits(i128::from(self.0) + i128::from(other.0)).map(Self)
    }

    fn __sub__(&self, other: PyRef<'_, Self>) -> PyResult<Self> {
        fits(i128::from(self.0) - i128::from(other.0)).map(Self)
    }

    fn __neg__(&self) -> PyResult<Self> {
        fits(-i128::from(self.0)).map(Self)
    }

    fn __bool__(&self) -> bool {
        self.0 != 0
    }

    fn __richcmp__(&self, other: PyRef<'_, Self>, op: CompareOp) -> bool {
        compared(op, self.0, other.0)
    }

    fn __hash__(&self) -> i64 {
        self.0
    }

    fn __repr__(&self) -> String {
        format!("Timespan({})", self.0)
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> (Bound<'py, PyAny>, (i64,)) {
        (slf.get_type().into_any(), (slf.get().0,))
    }
}
