//! Where other programs are, installed if need be.

use broker_testkit::tools::{find, install, text};
use std::env;
use std::path::{Path, PathBuf};
use tokio::sync::Mutex;

/// Installs one thing at a time.
static INSTALLING: Mutex<()> = Mutex::const_new(());

pub(crate) fn script(name: &str) -> String {
    format!("{}/tests/real_clients/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("real-clients")
}

/// A Python that has the clients.
pub(crate) async fn python() -> Result<PathBuf, String> {
    let packages = &["websockets", "websocket-client", "zeek-client"];
    broker_testkit::tools::python(env!("CARGO_TARGET_TMPDIR"), packages).await
}

/// A Node.js, and the modules that it has to be told of.
pub(crate) struct Node {
    pub(crate) program: PathBuf,
    pub(crate) modules: PathBuf,
}

pub(crate) async fn node() -> Result<Node, String> {
    let _guard = INSTALLING.lock().await;
    let program = find("node").ok_or("there is no Node.js")?;
    let npm = find("npm").ok_or("there is no npm")?;
    let place = directory().join("node");
    let complete = place.join("complete");
    if !complete.exists() {
        std::fs::create_dir_all(&place).map_err(|error| error.to_string())?;
        let mut args = vec!["install", "--silent", "--no-save", "--ignore-scripts"];
        args.extend(["--fetch-retries=1", "--prefix"]);
        args.extend([text(&place)?, "ws@8"]);
        install(&npm, &args).await?;
        std::fs::write(&complete, "").map_err(|error| error.to_string())?;
    }
    Ok(Node { program, modules: place.join("node_modules") })
}

/// A program of the C++ library.
pub(crate) fn reference(name: &str) -> Result<PathBuf, String> {
    let place = env::var_os("BROKER_REFERENCE");
    let place = place.ok_or("BROKER_REFERENCE does not say where the C++ programs are")?;
    let program = Path::new(&place).join(name);
    match program.exists() {
        true => Ok(program),
        false => Err(format!("there is no {}", program.display())),
    }
}

pub(crate) fn chromium() -> Result<PathBuf, String> {
    match env::var_os("BROKER_CHROMIUM") {
        Some(path) => Ok(path.into()),
        None => find("chromium").ok_or_else(|| "there is no Chromium".to_owned()),
    }
}

/// A small client built with zeek-websocket-rs.
pub(crate) async fn zeek_websocket_rs() -> Result<PathBuf, String> {
    let checkout = env::var("BROKER_ZEEK_WEBSOCKET_RS");
    let checkout = checkout.map_err(
        |_| "BROKER_ZEEK_WEBSOCKET_RS does not say where a checkout of zeek-websocket-rs is",
    )?;
    let _guard = INSTALLING.lock().await;
    let place = directory().join("zeek-websocket-rs");
    let source = place.join("src");
    std::fs::create_dir_all(&source).map_err(|error| error.to_string())?;
    let manifest = format!(
        "[package]\nname = \"rs-client\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[workspace]\n\n\
         [dependencies]\nzeek-websocket = {{ path = {checkout:?}, default-features = false, features = [\"tokio-client\"] }}\n\
         tokio = {{ version = \"1\", features = [\"full\"] }}\n"
    );
    let write = |name: &str, text: &str| {
        std::fs::write(place.join(name), text).map_err(|error| error.to_string())
    };
    write("Cargo.toml", &manifest)?;
    write("src/main.rs", include_str!("zeek_websocket_rs.rs.txt"))?;
    let cargo = env::var_os("CARGO").map_or_else(|| PathBuf::from("cargo"), PathBuf::from);
    let manifest = place.join("Cargo.toml");
    let target = place.join("target");
    let args = ["build", "-q", "--manifest-path", text(&manifest)?, "--target-dir", text(&target)?];
    install(&cargo, &args).await?;
    Ok(target.join("debug/rs-client"))
}
