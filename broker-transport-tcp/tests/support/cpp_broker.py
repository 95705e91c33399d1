"""The C++ Broker's side of TLS, with the OpenSSL of Python: set up as it sets it up, and echoing.

    cpp_broker.py check|listen|dial PORT [-tls1_2] [--files CERTIFICATE KEY CA [--demand]]

"check" fails where OpenSSL does not have all that. Without files it is as without certificates. Prints "port N" when it listens, then for each
connection "VERSION CIPHER" or "failed: REASON".
"""

import socket
import ssl
import sys

role, port, *rest = sys.argv[1:]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if role == "listen" else ssl.PROTOCOL_TLS_CLIENT)
context.check_hostname = False
context.verify_mode = ssl.CERT_NONE
context.minimum_version = ssl.TLSVersion.TLSv1_2
if "-tls1_2" in rest:
    context.maximum_version = ssl.TLSVersion.TLSv1_2
if "--files" in rest:
    certificate, key, ca = rest[rest.index("--files") + 1 :][:3]
    context.load_cert_chain(certificate, key)
    context.set_ciphers("HIGH:!aNULL:!MD5")
    if "--demand" in rest:
        context.load_verify_locations(ca)
        context.verify_mode = ssl.CERT_REQUIRED
else:
    context.set_ciphers("AECDH-AES256-SHA@SECLEVEL=0")
    context.set_ecdh_curve("secp384r1")

if role == "check":
    sys.exit()


def serve(plain):
    try:
        stream = context.wrap_socket(plain, server_side=role == "listen")
        print(stream.version(), stream.cipher()[0], flush=True)
        while data := stream.recv(65536):
            stream.sendall(data)
        stream.unwrap().close()
    except (ssl.SSLError, OSError) as error:
        print("failed:", error, flush=True)
        plain.close()


if role == "listen":
    listener = socket.create_server(("127.0.0.1", int(port)))
    print("port", listener.getsockname()[1], flush=True)
    while True:
        serve(listener.accept()[0])
else:
    serve(socket.create_connection(("127.0.0.1", int(port))))
