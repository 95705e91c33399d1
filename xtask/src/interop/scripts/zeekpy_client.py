"""Answers each ping of Zeek with a pong, through the package zeekpy."""

import sys

import zeekpy


def main(url):
    client = zeekpy.Zeek(url, topics=["/zeekpy/down"], app_name="zeekpy-test")

    @client.on("ping")
    def ping(text: str, number: zeekpy.count, where: zeekpy.addr, long: float):
        client.publish("/zeekpy/up", "pong", [text, number, where, long])

    @client.on("end")
    def end():
        client.stop()

    with client:
        print("ready", flush=True)
        client.consume()
    print("closed", flush=True)


main(sys.argv[1])
