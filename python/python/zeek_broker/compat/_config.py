"""How endpoints of the drop-in layer are configured."""

from __future__ import annotations

import os
import re
import warnings
from typing import Any

#: Settings of ``broker.conf`` that count here, and the options that they stand for.
_KNOWN = {
    "broker.disable-ssl": "disable_ssl",
    "broker.disable-forwarding": "disable_forwarding",
    "caf.openssl.cafile": "openssl_cafile",
    "caf.openssl.capath": "openssl_capath",
    "caf.openssl.certificate": "openssl_certificate",
    "caf.openssl.key": "openssl_key",
    "caf.openssl.passphrase": "openssl_passphrase",
}
_LEVELS = {"trace", "debug", "verbose", "info", "warning", "error", "critical", "quiet"}


class _Typed:
    """An object whose attributes have types that they keep."""

    __slots__ = ()
    _types: dict[str, type] = {}

    def __setattr__(self, name: str, value: Any) -> None:
        expected = self._types.get(name)
        if expected is None:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        if not isinstance(value, expected) or (expected is int and isinstance(value, bool)):
            raise TypeError(f"{name} is a {expected.__name__}, not {type(value).__name__}")
        object.__setattr__(self, name, value)


class BrokerOptions(_Typed):
    """Options of an endpoint. ``forward`` and ``ttl`` are those of old versions: ``forward =
    False`` is ``disable_forwarding = True``, and ``ttl`` means nothing any more."""

    __slots__ = (
        "disable_forwarding",
        "disable_ssl",
        "forward",
        "ignore_broker_conf",
        "ttl",
        "use_real_time",
    )
    __module__ = "broker._broker"
    _types = {
        "disable_forwarding": bool,
        "disable_ssl": bool,
        "forward": bool,
        "ignore_broker_conf": bool,
        "ttl": int,
        "use_real_time": bool,
    }

    def __init__(self) -> None:
        self.disable_ssl = False
        self.disable_forwarding = False
        self.ignore_broker_conf = False
        self.use_real_time = True
        self.forward = True
        self.ttl = 16


class Configuration(_Typed):
    """What an endpoint is made from."""

    __slots__ = (
        "_options",
        "max_threads",
        "openssl_cafile",
        "openssl_capath",
        "openssl_certificate",
        "openssl_key",
        "openssl_passphrase",
    )
    __module__ = "broker._broker"
    _types = {
        "_options": BrokerOptions,
        "max_threads": int,
        "openssl_cafile": str,
        "openssl_capath": str,
        "openssl_certificate": str,
        "openssl_key": str,
        "openssl_passphrase": str,
    }

    def __init__(self, options: BrokerOptions | None = None) -> None:
        if options is not None and not isinstance(options, BrokerOptions):
            raise TypeError("Configuration(): incompatible constructor arguments")
        self._options = options or BrokerOptions()
        self.openssl_cafile = self.openssl_capath = ""
        self.openssl_certificate = self.openssl_key = self.openssl_passphrase = ""
        self.max_threads = 0

    def _resolved(self) -> dict[str, Any]:
        """All options, with what the file and the environment say."""
        _check_environment()
        names = set(_KNOWN.values())
        options = self._options
        resolved = {name: getattr(self, name, None) or getattr(options, name, "") for name in names}
        if not options.forward:
            resolved["disable_forwarding"] = True
        if not options.ignore_broker_conf and os.path.exists("broker.conf"):
            with open("broker.conf", encoding="utf-8") as file:
                settings = parse(file.read())
            for key, value in settings.items():
                if key in _KNOWN:
                    resolved[_KNOWN[key]] = value
                else:
                    warnings.warn(f"broker.conf: {key} means nothing here", stacklevel=4)
        return resolved

    def _settings(self) -> tuple[dict[str, Any], str]:
        """The settings of the native endpoint, and the scheme of its addresses."""
        options = self._resolved()
        tls = {
            "ca-file": options["openssl_cafile"],
            "ca-dir": options["openssl_capath"],
            "certificate": options["openssl_certificate"],
            "key": options["openssl_key"],
            "passphrase": options["openssl_passphrase"],
        }
        endpoint = {
            "forwarding": not options["disable_forwarding"],
            # Nothing is lost that was not lost before; publishers of floods wait instead.
            "overflow-policy": "wait",
            "retry-jitter": 0.0,
        }
        transports = {"tls": {key: value for key, value in tls.items() if value}}
        settings = {"endpoint": endpoint, "transports": transports}
        return settings, "tcp" if options["disable_ssl"] else "tls"


def _check_environment() -> None:
    for name in ("BROKER_CONSOLE_VERBOSITY", "BROKER_FILE_VERBOSITY"):
        level = os.environ.get(name)
        if level is not None and level.lower() not in _LEVELS:
            raise ValueError(f"{name} is {level!r}, which is none of {', '.join(sorted(_LEVELS))}")


_TOKEN = re.compile(r'#[^\n]*|"(?:[^"\\]|\\.)*"|[{}=]|[^\s{}="#]+')


def parse(text: str) -> dict[str, Any]:
    """The settings in a file such as ``broker { disable-ssl = true }``, by their full names."""
    settings: dict[str, Any] = {}
    groups: list[str] = []
    words = [word for word in _TOKEN.findall(text) if not word.startswith("#")]
    position = 0
    while position < len(words):
        word, following = words[position], words[position + 1 : position + 2]
        if word == "}" and groups:
            groups.pop()
            position += 1
        elif following == ["{"]:
            groups.append(word)
            position += 2
        elif following == ["="] and position + 2 < len(words):
            settings[".".join([*groups, word])] = _value(words[position + 2])
            position += 3
        else:
            raise ValueError(f"broker.conf: cannot make sense of {word!r}")
    return settings


def _value(word: str) -> Any:
    if word in ("true", "false"):
        return word == "true"
    return word[1:-1].replace('\\"', '"') if word.startswith('"') else word.strip("'")
