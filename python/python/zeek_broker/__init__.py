"""Peer with Zeek and Broker."""
import os as _os
from ._zeek_broker import after_fork_in_child as _after_fork
_os.register_at_fork(after_in_child=_after_fork)
