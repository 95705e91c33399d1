//! What the command line can say about WebSocket.

use crate::options::replace_list;
use broker::ws::{AccessRule, WsOptions};
use clap::Args;

/// The environment variable with the token that clients have to present: a command line is for
/// everybody to read.
const TOKEN: &str = "BROKER_WS_TOKEN";

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
    /// Lets what the command line says override what the file says.
    pub(crate) fn apply(&self, options: &mut WsOptions) {
        options.page |= self.ws_page;
        replace_list(&mut options.access.origins, &self.ws_origin);
        if let Ok(token) = std::env::var(TOKEN) {
            let rule = AccessRule { token: Some(token), ..AccessRule::default() };
            options.access.rules = vec![rule];
        }
    }
}
