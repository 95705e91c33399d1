"""Asks a controller what zeek-client asks, through zeek-client's own library."""

import sys

from zeekclient import events as evts
from zeekclient import types
from zeekclient.controller import Controller


def say(*words):
    print(*words, flush=True)


def transact(controller, request, response, *args):
    reply, error = controller.transact(request, response, *args)
    assert reply is not None, error
    result = types.Result.from_brokertype(reply.result)
    assert result.success, result.error
    return result


controller = Controller("127.0.0.1", int(sys.argv[1]))
assert controller.connect(), "no connection"
say("connected", controller.controller_broker_id)

result = transact(controller, evts.GetInstancesRequest, evts.GetInstancesResponse)
for data in result.data:
    instance = types.Instance.from_brokertype(data)
    say("instances", instance.name, f"{instance.host}:{instance.port}")

result = transact(
    controller, evts.GetConfigurationRequest, evts.GetConfigurationResponse, False
)
say("configuration", types.Configuration.from_brokertype(result.data).id)
controller.wsock.close()
