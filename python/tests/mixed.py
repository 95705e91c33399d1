"""Runs a script for the C++ module in which every other endpoint is one of the C++ module, and the
rest are those of the drop-in layer: ``mixed.py (cpp | rust) SCRIPT``, by what the first one is.

``ZEEK_BROKER_CPP_MODULE`` names the directory that has the C++ module. The script sees the classes
of the drop-in layer; what goes to and comes from the C++ module is converted."""

from __future__ import annotations

import itertools
import os
import runpy
import sys
from typing import Any

from zeek_broker import compat

sys.path.insert(0, os.environ["ZEEK_BROKER_CPP_MODULE"])
import broker as cpp  # noqa: E402

del sys.path[0]
assert not hasattr(cpp, "__implementation__")
compat.install(force=True)


def to_cpp(value: Any) -> Any:
    """A value of the drop-in layer as one of the C++ module."""
    if isinstance(value, compat.zeek.Event):
        return to_cpp(compat.ImmutableData.to_py(value.as_data()))
    if isinstance(value, compat.Count):
        return cpp.Count(value.value)
    if isinstance(value, (tuple, list, set, frozenset)):
        return type(value)(map(to_cpp, value))
    if isinstance(value, dict):
        return {to_cpp(key): to_cpp(item) for key, item in value.items()}
    return value


def from_cpp(value: Any) -> Any:
    """A value of the C++ module as one of the drop-in layer."""
    if isinstance(value, cpp.Count):
        return compat.Count(value.value)
    if isinstance(value, (tuple, list, set, frozenset)):
        return type(value)(map(from_cpp, value))
    if type(value) is dict:
        return {from_cpp(key): from_cpp(item) for key, item in value.items()}
    return value


class Wrapped:
    """An object of the C++ module that is used as one of the drop-in layer."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def __enter__(self) -> Any:
        self.inner.__enter__()
        return self

    def __exit__(self, *exc: Any) -> None:
        self.inner.__exit__(*exc)


class Receiver(Wrapped):
    def get(self, *args: Any) -> Any:
        return from_cpp(self.inner.get(*args))

    def poll(self) -> Any:
        return from_cpp(self.inner.poll())


class Publisher(Wrapped):
    def publish(self, value: Any) -> None:
        self.inner.publish(to_cpp(value))

    def publish_batch(self, *values: Any) -> None:
        self.inner.publish_batch(*map(to_cpp, values))


class Status(Wrapped):
    def code(self) -> Any:
        code = self.inner.code()
        return compat.SC(code.value) if isinstance(code, cpp.SC) else code


class StatusSubscriber(Wrapped):
    def get(self, *args: Any) -> Any:
        found = self.inner.get(*args)
        return list(map(Status, found)) if isinstance(found, list) else Status(found)


class Endpoint(Wrapped):
    def __init__(self, configuration: Any = None) -> None:
        own = cpp.Configuration(cpp.BrokerOptions())
        for name in ("cafile", "capath", "certificate", "key", "passphrase"):
            value = getattr(configuration, f"openssl_{name}", "")
            setattr(own, f"openssl_{name}", value)
        super().__init__(cpp.Endpoint(own))

    def make_subscriber(self, topics: Any) -> Any:
        return Receiver(self.inner.make_subscriber(topics))

    def make_safe_subscriber(self, topics: Any) -> Any:
        return Receiver(self.inner.make_safe_subscriber(topics))

    def make_status_subscriber(self, *args: Any) -> Any:
        return StatusSubscriber(self.inner.make_status_subscriber(*args))

    def make_publisher(self, topic: Any) -> Any:
        return Publisher(self.inner.make_publisher(topic))

    def publish(self, topic: Any, value: Any) -> None:
        self.inner.publish(topic, to_cpp(value))

    def publish_batch(self, *messages: Any) -> None:
        self.inner.publish_batch(*((topic, to_cpp(value)) for topic, value in messages))


kinds = [Endpoint, compat.Endpoint]
turns = itertools.cycle(kinds if sys.argv[1] == "cpp" else reversed(kinds))
compat.Endpoint = lambda *args: next(turns)(*args)  # type: ignore[misc, assignment]

sys.argv = sys.argv[2:]
runpy.run_path(sys.argv[0], run_name="__main__")
