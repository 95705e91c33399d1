//! The `broker-cli` command: nodes, publishers and subscribers of a Broker overlay, and tools to
//! look at it.

#[cfg(unix)]
mod admin;
#[cfg(feature = "bridge")]
mod bridge_options;
mod choice;
mod commands;
mod failure;
#[cfg(feature = "http")]
mod http;
mod lines;
mod names;
mod options;
mod output;
mod reporter;
mod session;
mod settings;
mod signals;
mod systemd;
#[cfg(any(feature = "tls", feature = "quic"))]
mod tls_options;
mod values;
#[cfg(feature = "ws")]
mod ws_options;
mod zeek;

use clap::{CommandFactory, Parser, Subcommand};
use failure::{Exit, Failure};
use std::num::NonZeroU16;
use std::process::ExitCode;

/// Peer-to-peer publish/subscribe that speaks the protocol of Zeek's Broker.
#[derive(Parser)]
#[command(version, after_help = after_help())]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

fn after_help() -> String {
    let schemes = [
        ("tcp", cfg!(feature = "tcp")),
        ("tls", cfg!(feature = "tls")),
        ("ws", cfg!(feature = "ws")),
        ("wss", cfg!(all(feature = "ws", feature = "tls"))),
        ("quic", cfg!(feature = "quic")),
        ("nats", cfg!(feature = "nats")),
        ("zeromq", cfg!(feature = "zeromq")),
    ];
    let built: Vec<_> = schemes.iter().filter(|(_, built)| *built).map(|(name, _)| *name).collect();
    format!(
        "\
URLs: SCHEME://HOST:PORT with a scheme out of {}. host:port, [::1]:port, and 9999/tcp as Zeek writes \
ports, are tcp.

Exit codes: 0 ok, also when the reader of the output has gone; 1 failure; 2 usage; 3 cannot \
connect; 4 refused by or at the handshake; 5 timed out; 129 ended by SIGHUP; 130 interrupted.",
        built.join(", ")
    )
}

#[derive(Subcommand)]
enum Command {
    Demo(commands::demo::Demo),
    Node(commands::node::Node),
    Sub(commands::sub::Sub),
    Pub(commands::publish::Pub),
    Call(commands::call::Call),
    Ping(commands::ping::Ping),
    Bench(commands::bench::Bench),
    #[cfg(feature = "tcp")]
    Doctor(commands::doctor::Doctor),
    #[cfg(feature = "http")]
    Peers(commands::peers::Peers),
    #[cfg(feature = "http")]
    Stats(commands::stats::Stats),
    #[cfg(feature = "top")]
    Top(commands::top::Top),
    #[cfg(feature = "http")]
    Map(commands::map::Map),
    #[cfg(feature = "http")]
    Check(commands::check::Check),
    Convert(commands::convert::Convert),
    #[command(hide = true)]
    Generate(commands::generate::Generate),
    #[cfg(unix)]
    Reload(admin::Reload),
    #[cfg(unix)]
    Admin(admin::Admin),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    raise_descriptor_limit();
    let exit = match inherit(&cli.command).and_then(|()| run(cli)) {
        Ok(()) => Exit::Ok,
        Err(failure) => {
            if let Some(message) = failure.message() {
                output::diagnose(message);
            }
            failure.exit()
        }
    };
    output::finish_diagnoses();
    exit.into()
}

/// Takes the sockets that a node was started with.
fn inherit(command: &Command) -> Result<(), Failure> {
    #[cfg(all(unix, feature = "tcp"))]
    if matches!(command, Command::Node(_)) {
        return systemd::take_sockets();
    }
    let _ = command;
    Ok(())
}

/// Allows this process as many descriptors as it may have: the usual limit is for programs that use
/// `select`, and is soon reached by connections.
fn raise_descriptor_limit() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let maximum = getrlimit(Resource::Nofile).maximum;
        // Without more there are fewer connections, as if the limit was meant like that.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    }
}

/// How many threads may work on connections, where Zeek's variable says so.
const THREADS: &str = "ZEEK_BROKER_MAX_THREADS";

fn run(cli: Cli) -> Result<(), Failure> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if let Some(text) = std::env::var_os(THREADS).filter(|text| !text.is_empty()) {
        let threads = text.to_str().and_then(|text| text.trim().parse::<NonZeroU16>().ok());
        let threads = threads.ok_or_else(|| {
            Failure::usage(format!("{THREADS}: it is no number of threads from 1 to 65535"))
        })?;
        builder.worker_threads(threads.get().into());
    }
    let runtime = builder
        .enable_all()
        .build()
        .map_err(|error| Failure::other(format!("cannot start: {error}")))?;
    let result = runtime.block_on(async {
        match cli.command {
            Command::Demo(demo) => demo.run().await,
            Command::Node(node) => node.run().await,
            Command::Sub(sub) => sub.run().await,
            Command::Pub(publish) => publish.run().await,
            Command::Call(call) => call.run().await,
            Command::Ping(ping) => ping.run().await,
            Command::Bench(bench) => bench.run().await,
            #[cfg(feature = "tcp")]
            Command::Doctor(doctor) => doctor.run().await,
            #[cfg(feature = "http")]
            Command::Peers(peers) => peers.run().await,
            #[cfg(feature = "http")]
            Command::Stats(stats) => stats.run().await,
            #[cfg(feature = "top")]
            Command::Top(top) => top.run().await,
            #[cfg(feature = "http")]
            Command::Map(map) => map.run().await,
            #[cfg(feature = "http")]
            Command::Check(check) => check.run().await,
            Command::Convert(convert) => convert.run().await,
            Command::Generate(generate) => generate.run(Cli::command()),
            #[cfg(unix)]
            Command::Reload(reload) => reload.run().await,
            #[cfg(unix)]
            Command::Admin(admin) => admin.run().await,
        }
    });
    // A thread that is blocked in standard input or output does not hold up the end.
    runtime.shutdown_background();
    result
}
