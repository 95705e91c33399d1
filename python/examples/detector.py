"""A detector for the C++ module that judges names it is asked about, as detectors of generated
domains do: ``python -m zeek_broker.compat detector.py PORT COUNT``."""

import sys

import broker
import broker.zeek


def is_suspicious(name):
    letters = [letter for letter in name.split(".")[0] if letter.isalpha()]
    vowels = sum(letter in "aeiou" for letter in letters)
    return len(letters) >= 8 and vowels * 5 < len(letters)


def setup(port):
    endpoint = broker.Endpoint()
    subscriber = endpoint.make_subscriber("/detector/questions")
    statuses = endpoint.make_status_subscriber(True)
    endpoint.peer("127.0.0.1", port)
    status = statuses.get()
    if type(status) != broker.Status or status.code() != broker.SC.EndpointDiscovered:
        sys.exit("no connection")
    return endpoint, subscriber


def main():
    endpoint, subscriber = setup(int(sys.argv[1]))
    print("ready", flush=True)
    for _ in range(int(sys.argv[2])):
        _, message = subscriber.get()
        uid, name = broker.zeek.Event(message).args()
        answer = broker.zeek.Event("Detector::result", uid, name, is_suspicious(name))
        endpoint.publish("/detector/answers", answer)
    endpoint.shutdown()


main()
