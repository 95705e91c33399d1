"""The API of the C++ Broker's Python module, for scripts that were written for that.

Existing scripts run unchanged by ``python -m zeek_broker.compat script.py``, or after

>>> import zeek_broker.compat
>>> zeek_broker.compat.install()
>>> import broker

which is the same as ``import zeek_broker.compat as broker`` in a script that can be changed.
Nothing here is ever put beside somebody else's ``broker`` without being asked to.

Set ``ZEEK_BROKER_COMPAT=1.x`` in the environment for scripts that expect the first status to be
``PeerAdded``, as versions before 2 had it.
"""

from __future__ import annotations

import sys
import types
from datetime import timezone
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from typing import Any

from . import _broker, zeek
from ._config import BrokerOptions, Configuration
from ._data import Data, ImmutableData, Set, Table, Vector
from ._endpoint import (
    Endpoint,
    Publisher,
    SafeSubscriber,
    StatusSubscriber,
    Store,
    Subscriber,
)
from ._enums import EC, SC, APIFlags, Backend, Frontend, PeerFlags, PeerStatus
from ._status import EndpointInfo, Error, NetworkInfo, PeerInfo, Status
from ._values import Address, Count, Enum, Port, Subnet, Timespan, Timestamp, Topic, now

#: Tells this apart from the C++ module.
__implementation__ = "rust"

utc = timezone.utc
Version = _broker.Version
Message = _broker.Message

_NAMES = ("broker", "broker.zeek", "broker._broker", "_broker", "broker.bro")


def install(*, force: bool = False) -> None:
    """Makes ``import broker`` mean this package, for this process.

    RuntimeError if another ``broker`` has been imported already, unless ``force`` is true."""
    this = sys.modules[__name__]
    other = sys.modules.get("broker")
    if other is not None and other is not this and not force:
        where = getattr(other, "__file__", None) or "somewhere"
        raise RuntimeError(f"another module 'broker' has been imported already, from {where}")
    sys.modules["broker"] = this
    sys.modules["broker.zeek"] = zeek
    sys.modules["broker._broker"] = sys.modules["_broker"] = _broker
    # Looked up when somebody imports it, as that warns.
    sys.modules.pop("broker.bro", None)
    if not any(isinstance(finder, _OldName) for finder in sys.meta_path):
        sys.meta_path.insert(0, _OldName())


class _OldName(MetaPathFinder):
    """Finds ``broker.bro``, in a way that keeps the classes those of ``broker.zeek``."""

    def find_spec(self, name: str, path: Any, target: Any = None) -> ModuleSpec | None:
        if name != "broker.bro" or sys.modules.get("broker") is not sys.modules[__name__]:
            return None
        return spec_from_file_location(name, __file__.replace("__init__.py", "bro.py"))


def __getattr__(name: str) -> types.ModuleType:
    if name == "bro":
        import importlib

        return importlib.import_module(f"{__name__}.bro")
    raise AttributeError(f"module 'broker' has no attribute {name!r}")


__all__ = [
    "EC",
    "SC",
    "APIFlags",
    "Address",
    "Backend",
    "BrokerOptions",
    "Configuration",
    "Count",
    "Data",
    "Endpoint",
    "EndpointInfo",
    "Enum",
    "Error",
    "Frontend",
    "ImmutableData",
    "Message",
    "NetworkInfo",
    "PeerFlags",
    "PeerInfo",
    "PeerStatus",
    "Port",
    "Publisher",
    "SafeSubscriber",
    "Set",
    "Status",
    "StatusSubscriber",
    "Store",
    "Subnet",
    "Subscriber",
    "Table",
    "Timespan",
    "Timestamp",
    "Topic",
    "Vector",
    "Version",
    "install",
    "now",
    "utc",
    "zeek",
]
