# An endpoint of Zeek that tells all that happens to its peerings, and does what it is told to by
# events. The cells append the constants `listens` and `at`.

redef exit_only_after_terminate = T;
redef Log::default_rotation_interval = 0sec;

global order: event(what: string) &is_used;
global answer: event(what: string) &is_used;

# What is printed has to arrive at once.
global out = open("/dev/stdout");

function say(text: string)
	{
	print out, text;
	flush_all();
	}

event zeek_init()
	{
	set_buf(out, F);
	say(fmt("id %s", Broker::__node_id()));
	Broker::subscribe("/zeek/there");

	if ( listens )
		say(fmt("listening %s", Broker::__listen("127.0.0.1", at, Broker::NATIVE)));
	else
		say(fmt("dialling %s", Broker::__peer("127.0.0.1", at, 200msec)));
	}

event order(what: string)
	{
	if ( what == "peers" )
		{
		local peers = Broker::__peers();
		for ( i in peers )
			say(fmt("peer %s %s %s", peers[i]$peer$id, peers[i]$status, peers[i]$is_outbound));
		}
	else if ( what == "outbound" )
		say(fmt("outbound %s", Broker::__is_outbound_peering("127.0.0.1", at)));
	else if ( what == "stats" )
		{
		local stats = Broker::__peering_stats();
		for ( id in stats )
			say(fmt("stats %s overflows %d", id, stats[id]$num_overflows));
		}
	else if ( what == "unpeer" )
		say(fmt("unpeered %s", Broker::__unpeer("127.0.0.1", at)));
	else if ( what == "terminate" )
		terminate();
	else
		Broker::publish("/zeek/back", answer, what);
	}

# After an unpeering nobody can tell it anything, so it comes back by itself.
event again()
	{
	say(fmt("dialling again %s", Broker::__peer_no_retry("127.0.0.1", at)));
	}

event Broker::endpoint_discovered(endpoint: Broker::EndpointInfo, msg: string)
	{
	say(fmt("endpoint_discovered %s %s", endpoint$id, msg));
	}

event Broker::endpoint_unreachable(endpoint: Broker::EndpointInfo, msg: string)
	{
	say(fmt("endpoint_unreachable %s %s", endpoint$id, msg));
	}

event Broker::peer_added(endpoint: Broker::EndpointInfo, msg: string)
	{
	say(fmt("peer_added %s %s", endpoint$id, msg));
	}

event Broker::peer_removed(endpoint: Broker::EndpointInfo, msg: string)
	{
	say(fmt("peer_removed %s %s", endpoint$id, msg));

	if ( ! listens )
		schedule 1sec { again() };
	}

event Broker::peer_lost(endpoint: Broker::EndpointInfo, msg: string)
	{
	say(fmt("peer_lost %s %s", endpoint$id, msg));
	}

event Broker::status(endpoint: Broker::EndpointInfo, msg: string)
	{
	say(fmt("status %s", msg));
	}

event Broker::error(code: Broker::ErrorCode, msg: string)
	{
	say(fmt("error %s %s", code, msg));
	}

@ifdef ( Broker::LogSeverityLevel )
event Broker::internal_log_event(lvl: Broker::LogSeverityLevel, id: string, description: string)
	{
	say(fmt("log %s %s %s", lvl, id, description));
	}
@endif
