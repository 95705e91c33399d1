"""Anonymous TLS with the package tlslite-ng, which is written in Python alone; echoes.

    tlslite_peer.py listen|dial PORT [GROUP]

Prints "port N" when it listens, then for each connection "VERSION CIPHER" and the two extensions
that were agreed on, or "failed: REASON".
"""

import socket
import sys

from tlslite.api import HandshakeSettings, TLSConnection
from tlslite.errors import TLSError

role, port, *groups = sys.argv[1:]
settings = HandshakeSettings()
settings.minVersion = settings.maxVersion = (3, 3)
settings.cipherNames = ["aes256"]
settings.macNames = ["sha"]
settings.eccCurves = groups or ["secp384r1"]
settings.keyShares = []


def serve(plain):
    stream = TLSConnection(plain)
    try:
        if role == "listen":
            stream.handshakeServer(anon=True, settings=settings)
        else:
            stream.handshakeClientAnonymous(settings=settings)
        session = stream.session
        print(
            stream.getVersionName(),
            session.getCipherName(),
            "encrypt-then-mac" if session.encryptThenMAC else "mac-then-encrypt",
            "extended" if session.extendedMasterSecret else "plain",
            flush=True,
        )
        while data := stream.recv(65536):
            stream.sendall(data)
        stream.close()
    except (TLSError, OSError) as error:
        print("failed:", repr(error), flush=True)
        plain.close()


if role == "listen":
    listener = socket.create_server(("127.0.0.1", int(port)))
    print("port", listener.getsockname()[1], flush=True)
    while True:
        serve(listener.accept()[0])
else:
    serve(socket.create_connection(("127.0.0.1", int(port))))
