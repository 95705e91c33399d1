"""Records of Zeek as dataclasses, and arguments as their annotations say."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import types
import typing
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, TypeVar

from ._zeek_broker import Timespan, Timestamp

__all__ = ["construct", "converter"]

T = TypeVar("T")
Converter = Callable[[Any], Any]


def construct(record: type[T], values: Any) -> T:
    """An object of a dataclass from the fields of a record. Fields that the record does not have
    keep their defaults."""
    return typing.cast(T, _record(typing.cast(Any, record))(values))


@functools.lru_cache(maxsize=1024)
def _record(record: type) -> Converter:
    if not dataclasses.is_dataclass(record):
        raise TypeError(f"{record!r} is not a dataclass")
    hints = typing.get_type_hints(record)
    fields = [field for field in dataclasses.fields(record) if field.init]
    names = [(field.name, converter(hints[field.name])) for field in fields]

    def convert(values: Any) -> Any:
        if isinstance(values, record):
            return values
        if not isinstance(values, (tuple, list)):
            raise TypeError(f"{record.__name__} needs a record, not {type(values).__name__}")
        if len(values) > len(names):
            raise TypeError(f"{record.__name__} has {len(names)} fields, not {len(values)}")
        found = {name: to(value) for (name, to), value in zip(names, values, strict=False)}
        return record(**found)

    return convert


def _same(value: Any) -> Any:
    return value


def converter(hint: Any) -> Converter:
    """What makes a received value an object of an annotated type.

    Dataclasses, ``datetime``, ``timedelta``, ``float`` and containers of them are converted. A
    value that is already of the type stays, and one that cannot become it raises TypeError."""
    if hint is Any or hint is inspect.Parameter.empty or isinstance(hint, TypeVar):
        return _same
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        return converter(args[0])
    if origin in (typing.Union, types.UnionType):
        return _union([converter(arg) for arg in args])
    if hint is None or hint is type(None):
        return _checked(type(None))
    if origin is not None:
        return _container(origin, args)
    if not isinstance(hint, type):
        return _same
    if dataclasses.is_dataclass(hint):
        # Looked up when it is needed, so that records may refer to themselves.
        return lambda value: _record(hint)(value)
    special = {datetime: _datetime, timedelta: _timedelta, float: _float, bool: _checked(bool)}
    return special.get(hint) or _checked(hint)


def _checked(cls: type) -> Converter:
    def convert(value: Any) -> Any:
        if isinstance(value, cls) and not (cls is int and isinstance(value, bool)):
            return value
        if issubclass(cls, (frozenset, set, list)) and isinstance(value, (set, frozenset, tuple)):
            return cls(value)
        raise TypeError(f"expected {cls.__name__}, not {type(value).__name__}: {value!r}")

    return convert


def _union(options: list[Converter]) -> Converter:
    def convert(value: Any) -> Any:
        for option in options:
            try:
                return option(value)
            except TypeError:
                continue
        raise TypeError(f"{value!r} is none of the annotated types")

    return convert


def _container(origin: Any, args: tuple[Any, ...]) -> Converter:
    if not isinstance(origin, type):
        return _same
    if issubclass(origin, tuple):
        if len(args) == 2 and args[1] is Ellipsis:
            each = converter(args[0])
            return lambda value: tuple(each(item) for item in _sized(value, tuple))
        parts = [converter(arg) for arg in args]

        def convert(value: Any) -> Any:
            if len(_sized(value, tuple)) != len(parts):
                raise TypeError(f"expected {len(parts)} elements, not {len(value)}")
            return tuple(to(item) for to, item in zip(parts, value, strict=True))

        return convert
    if issubclass(origin, dict) and len(args) == 2:
        key, item = converter(args[0]), converter(args[1])
        return lambda value: {key(k): item(v) for k, v in _sized(value, dict).items()}
    if issubclass(origin, (list, set, frozenset)) and args:
        each = converter(args[0])
        kind = tuple if issubclass(origin, list) else (set, frozenset)
        return lambda value: origin(each(item) for item in _sized(value, kind))
    return _same


def _sized(value: Any, kind: Any) -> Any:
    if not isinstance(value, kind):
        raise TypeError(f"{value!r} is not of the annotated type")
    return value


def _datetime(value: Any) -> datetime:
    if isinstance(value, Timestamp):
        return value.to_datetime()
    return typing.cast(datetime, _sized(value, datetime))


def _timedelta(value: Any) -> timedelta:
    if isinstance(value, Timespan):
        return value.to_timedelta()
    return typing.cast(timedelta, _sized(value, timedelta))


def _float(value: Any) -> float:
    if isinstance(value, (Timestamp, Timespan)):
        return value.to_seconds()
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    raise TypeError(f"expected float, not {type(value).__name__}: {value!r}")
