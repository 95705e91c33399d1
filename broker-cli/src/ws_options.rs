//! What the command line can say about WebSocket.

use crate::settings::Layers;
use clap::Args;

/// Clients of the JSON API and endpoints at ws:// and wss:// addresses. A listener serves both, and
/// a token that they have to present is read from BROKER_WS_TOKEN. As a peer, such an address
/// stands for the JSON API of a server, which becomes a peer: ?to=PREFIX says what goes there,
/// ?from=PREFIX what comes from there, transit=1 and repeats=N change what is done against circles;
/// with the path /v1/native it stands for another endpoint of this kind.
#[derive(Debug, Args)]
#[command(next_help_heading = "WebSocket (ws://, wss://)")]
pub(crate) struct WsArgs {
    /// Serve an example page to browsers that ask a listener for / [default: none]
    #[arg(long)]
    ws_page: bool,

    /// Let web pages of this origin connect, as in `https://dashboard.example`, and no others but
    /// the own; may be repeated [default: all]
    #[arg(long, value_name = "ORIGIN")]
    ws_origin: Vec<String>,
}

impl WsArgs {
    /// Puts what the command line says over what else is said.
    pub(crate) fn add_to(&self, to: &mut Layers) {
        to.switch("--ws-page", "ws.page", self.ws_page, true);
        to.list("--ws-origin", "ws.access.origins", self.ws_origin.iter().cloned());
    }
}
