"""``broker.bro``: the old name of ``broker.zeek``."""

from __future__ import annotations

import os
import warnings

from zeek_broker.compat.zeek import Event, MetadataType, SafeEvent

if not os.environ.get("ZEEK_BROKER_COMPAT", "").startswith("1"):
    warnings.warn("broker.bro is now broker.zeek", DeprecationWarning, stacklevel=2)

__all__ = ["Event", "MetadataType", "SafeEvent"]
