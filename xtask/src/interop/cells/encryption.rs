//! Encrypted peerings: with certificates of every kind, and without any.

use super::NODE;
use super::pki::{Authority, Files, Issued};
use crate::interop::cell::{self, Cell, Check, Context, Dials, ensure, same};
use crate::interop::child::{Child, free_port};
use crate::interop::needs::Need;
use crate::interop::ours::Ours;
use broker::core::transport::Protection;
use broker::tls::{Passphrase, TlsOptions};
use broker::{Address, PeerStatus, Retry};
use std::path::Path;

/// The same key, plain and protected.
const KEY: &str = include_str!("../../../../broker-tls/tests/keys/pkcs8.pem");
const PROTECTED_KEY: &str = include_str!("../../../../broker-tls/tests/keys/pkcs8-aes256.pem");
const PASSPHRASE: &str = "secret";

pub(super) fn cells() -> Vec<Cell> {
    let mut cells = Vec::new();
    for mode in Mode::ALL {
        let cell = Cell::new(NODE, mode.name(), &[Need::Tool(NODE)], move |context| async move {
            match context.dials {
                Dials::We => we_dial(context, mode).await,
                _ => they_dial(context, mode).await,
            }
        });
        let of_cell = match mode {
            Mode::Nothing => cell::Mode::Anonymous,
            _ => cell::Mode::Certificates,
        };
        cells.extend(cell.variants(&[of_cell], &[Dials::They, Dials::We]));
    }
    cells
}

/// What both sides have.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    OneCa,
    CaDirectory,
    Version1,
    SelfSignedCa,
    ProtectedKey,
    Nothing,
    OtherCa,
    OnlyOurs,
    OnlyTheirs,
}

/// What has to come of it.
enum Outcome {
    Peers(Protection),
    /// Our side says this.
    Refused(&'static str),
}

impl Mode {
    const ALL: [Self; 9] = [
        Self::OneCa,
        Self::CaDirectory,
        Self::Version1,
        Self::SelfSignedCa,
        Self::ProtectedKey,
        Self::Nothing,
        Self::OtherCa,
        Self::OnlyOurs,
        Self::OnlyTheirs,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::OneCa => "certificates of one CA",
            Self::CaDirectory => "our CA in a directory",
            Self::Version1 => "X.509 version 1",
            Self::SelfSignedCa => "a self-signed CA as its own leaf",
            Self::ProtectedKey => "keys with a passphrase",
            Self::Nothing => "no certificates",
            Self::OtherCa => "certificates of different CAs",
            Self::OnlyOurs => "certificates only here",
            Self::OnlyTheirs => "certificates only there",
        }
    }

    /// Our certificate, theirs, and the CA that both trust.
    fn material(self) -> (Option<Issued>, Option<Issued>, String) {
        let ca = Authority::new("the CA");
        let pem = ca.pem.clone();
        let issue = |name: &str| Some(ca.issue(name));
        match self {
            Self::OneCa | Self::CaDirectory => (issue("ours"), issue("theirs"), pem),
            Self::Version1 => {
                (Some(ca.issue_version_1("ours")), Some(ca.issue_version_1("theirs")), pem)
            }
            Self::SelfSignedCa => (Some(ca.as_endpoint()), Some(ca.as_endpoint()), pem),
            Self::ProtectedKey => {
                let protected = |name: &str| {
                    let certificate = ca.issue_for(name, KEY).certificate;
                    Some(Issued { certificate, key: PROTECTED_KEY.to_owned() })
                };
                (protected("ours"), protected("theirs"), pem)
            }
            Self::Nothing => (None, None, pem),
            Self::OtherCa => {
                (Some(Authority::new("another CA").issue("ours")), issue("theirs"), pem)
            }
            Self::OnlyOurs => (issue("ours"), None, pem),
            Self::OnlyTheirs => (None, issue("theirs"), pem),
        }
    }

    fn outcome(self, we_dial: bool) -> Outcome {
        let theirs = |name: &str| Outcome::Peers(Protection::Authenticated(name.to_owned()));
        match self {
            Self::SelfSignedCa => theirs("CN=the CA"),
            Self::OneCa | Self::CaDirectory | Self::Version1 | Self::ProtectedKey => {
                theirs("CN=theirs")
            }
            Self::Nothing => Outcome::Peers(Protection::Encrypted),
            Self::OtherCa => Outcome::Refused("the other side does not trust the own certificate"),
            Self::OnlyOurs if we_dial => Outcome::Refused("both sides have to have certificates"),
            Self::OnlyOurs => Outcome::Refused("the other side presented no certificate"),
            Self::OnlyTheirs => Outcome::Refused("demands a certificate, and none is configured"),
        }
    }
}

/// The files of both sides, and what they are told about them.
struct Setting {
    _files: Files,
    ours: TlsOptions,
    theirs: Vec<String>,
}

fn setting(mode: Mode) -> Setting {
    let files = Files::new();
    let (ours, theirs, ca) = mode.material();
    let mut options = TlsOptions::default();
    if let Some(issued) = ours {
        options = files.options("ours", &issued, &ca);
        if mode == Mode::CaDirectory {
            options.ca_dir = options.ca_file.take().map(|file| directory_with(&file));
        }
        options.passphrase =
            (mode == Mode::ProtectedKey).then(|| Passphrase::from(PASSPHRASE.to_owned()));
    }
    let mut args = Vec::new();
    if let Some(issued) = theirs {
        let theirs = files.options("theirs", &issued, &ca);
        let named =
            [("certificate", theirs.certificate), ("key", theirs.key), ("cafile", theirs.ca_file)];
        for (name, file) in named {
            let file = file.unwrap_or_default();
            args.push(format!("--broker.ssl.{name}={}", file.display()));
        }
        if mode == Mode::ProtectedKey {
            args.push(format!("--broker.ssl.passphrase={PASSPHRASE}"));
        }
    }
    Setting { _files: files, ours: options, theirs: args }
}

/// A directory of its own for the file, which keeps its name.
fn directory_with(file: &Path) -> std::path::PathBuf {
    let directory = file.with_extension("d");
    // What does not work here shows when the directory is read.
    let _ = std::fs::create_dir(&directory);
    let _ = std::fs::rename(file, directory.join("ca.pem"));
    directory
}

fn start(context: &Context, setting: &Setting, arg: String) -> Check<Child> {
    let mut args = vec!["-t", "\"/interop\"", &arg];
    args.extend(setting.theirs.iter().map(String::as_str));
    Child::tool(context, NODE, &args)
}

async fn they_dial(context: Context, mode: Mode) -> Check<String> {
    let setting = setting(mode);
    let mut ours = Ours::encrypted(&context, setting.ours.clone())?;
    let at = ours.endpoint.listen(Address::new("tls", "127.0.0.1", 0)).await;
    let port = at.map_err(|error| format!("ours: {error}"))?.port();
    let _child = start(&context, &setting, format!("--peers=<tcp://127.0.0.1:{port}>"))?;
    match mode.outcome(false) {
        Outcome::Peers(protection) => peered(&mut ours, protection).await,
        Outcome::Refused(words) => {
            let said = ours.logged("handshake-failed").await?;
            ensure(said.contains(words), format!("ours says {said:?}, should be {words:?}"))?;
            Ok(format!("refused: {words}"))
        }
    }
}

async fn we_dial(context: Context, mode: Mode) -> Check<String> {
    let setting = setting(mode);
    let mut ours = Ours::encrypted(&context, setting.ours.clone())?;
    let port = free_port()?;
    let child = start(&context, &setting, format!("--port={port}"))?;
    child.accepts(port).await?;
    let outcome = ours.endpoint.peer(Address::new("tls", "127.0.0.1", port), Retry::never()).await;
    match (mode.outcome(true), outcome) {
        (Outcome::Peers(protection), Ok(_)) => peered(&mut ours, protection).await,
        (Outcome::Refused(words), Err(error)) => {
            let said = error.to_string();
            ensure(said.contains(words), format!("ours says {said:?}, should be {words:?}"))?;
            Ok(format!("refused: {words}"))
        }
        (_, outcome) => Err(format!("ours: peering ended with {outcome:?}")),
    }
}

async fn peered(ours: &mut Ours, protection: Protection) -> Check<String> {
    let peer = ours.added().await?;
    let peers = ours.endpoint.peers();
    let [info] = peers.as_slice() else { return Err(format!("the peers are {peers:?}")) };
    same("the peer", &(info.id, info.status), &(Some(peer), PeerStatus::Peered))?;
    same("the protection", &info.protection, &Some(protection.clone()))?;
    ours.settled(peer).await?;
    Ok(format!("{protection}, ping answered"))
}
