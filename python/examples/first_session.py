"""Prints the events of a Zeek in default settings: ``first_session.py [URL]``."""

import sys

from zeek_broker import sync

with sync.connect(sys.argv[1] if len(sys.argv) > 1 else "tls://127.0.0.1:9999") as endpoint:
    for message in endpoint.subscribe(""):
        print(message.topic, message.event)
