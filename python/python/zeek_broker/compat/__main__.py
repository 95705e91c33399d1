"""Runs a script with ``broker`` provided by this package: ``python -m zeek_broker.compat script.py
argument ...``, or ``-m module argument ...``."""

from __future__ import annotations

import os
import runpy
import sys

from zeek_broker import compat


def main(args: list[str]) -> int:
    if not args or args[0] in ("-h", "--help") or args == ["-m"]:
        print(
            "usage: python -m zeek_broker.compat (SCRIPT | -m MODULE) [ARGUMENT ...]\n\n"
            "Runs a script whose 'import broker' gets the API of the C++ Broker's Python module\n"
            "from zeek_broker.",
            file=sys.stderr,
        )
        return 0 if args[:1] in (["-h"], ["--help"]) else 2
    compat.install()
    if args[0] == "-m":
        sys.argv = args[1:]
        runpy.run_module(args[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = args
        sys.path[0] = os.path.dirname(os.path.realpath(args[0]))
        runpy.run_path(args[0], run_name="__main__")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
