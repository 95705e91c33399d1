use super::{HEALTH, HttpAddress, METRICS, STATUS, Status};
use crate::failure::Failure;
use crate::output::diagnose;
use broker::endpoint::{QUEUE_SECONDS, queue_seconds_buckets};
use broker::event::Severity;
use broker::{Endpoint, Reason, Url};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HOST, HeaderValue};
use hyper::http::uri::Authority;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

/// Connections that are served at the same time; then the oldest makes room for the next one: who
/// means it is quick.
const CONNECTIONS: usize = 64;

/// How long a connection may take, from its first byte to its last.
const TIME: Duration = Duration::from_secs(10);

/// How long the head of a request may be, in bytes. No body is ever read.
const HEAD: usize = 16 * 1024;

/// How long accepting pauses after an error, which is mostly a lack of descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// Tells about an endpoint over HTTP: `/metrics`, `/v1/status/json` and `/health`.
pub(crate) struct Server {
    listener: TcpListener,
    url: Url,
    metrics: PrometheusHandle,
}

impl Server {
    /// Listens, and takes the metrics of this process from here on; to be called before there is an
    /// endpoint.
    pub(crate) async fn bind(at: &HttpAddress) -> Result<Self, Failure> {
        let failed = |error: &dyn std::fmt::Display| {
            Failure::other(format!("listening on {}: {error}", at.url()))
        };
        let listener = TcpListener::bind((at.host(), at.port())).await;
        let listener = listener.map_err(|error| failed(&error))?;
        let bound = listener.local_addr().map_err(|error| failed(&error))?;
        let url = at.at_port(bound.port());
        if !bound.ip().is_loopback() {
            diagnose(format_args!(
                "warning: whoever reaches {url} can read the metrics and the status of this node; \
                 nothing protects them"
            ));
        }
        Ok(Self { listener, url, metrics: recorder()? })
    }

    /// Where it can be reached.
    pub(crate) fn url(&self) -> &Url {
        &self.url
    }

    /// Serves for as long as there is a runtime.
    pub(crate) async fn serve(self, endpoint: Endpoint) {
        let Self { listener, url, metrics } = self;
        let is_local = listener.local_addr().is_ok_and(|at| at.ip().is_loopback());
        let names = is_local.then(|| Names { own: url.host().to_owned() });
        let source = Arc::new(Source { endpoint: endpoint.clone(), metrics, names });
        let mut open = VecDeque::<AbortHandle>::new();
        loop {
            open.retain(|connection| !connection.is_finished());
            let (stream, remote) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    let text = format!("accepting on {url}: {error}");
                    let reason = Reason::OutOfResources.name();
                    endpoint.log(Severity::Warning, "http-accept-failed", text, Some(reason));
                    // It may be these that use up the descriptors.
                    open.pop_front().inspect(AbortHandle::abort);
                    sleep(PAUSE).await;
                    continue;
                }
            };
            if open.len() >= CONNECTIONS
                && let Some(oldest) = open.pop_front()
            {
                oldest.abort();
                let text = format!(
                    "{CONNECTIONS} connections are open, the limit: closed the oldest one for that \
                     from {remote}"
                );
                cut(&endpoint, text, Reason::LimitReached);
            }
            let visit = visit(stream, remote, Arc::clone(&source));
            open.push_back(tokio::spawn(visit).abort_handle());
        }
    }
}

fn cut(endpoint: &Endpoint, text: String, reason: Reason) {
    endpoint.log(Severity::Info, "http-cut", text, Some(reason.name()));
}

/// Makes what is recorded by the `metrics` facade available as text.
fn recorder() -> Result<PrometheusHandle, Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::other(format!("metrics: {error}"));
    let buckets = queue_seconds_buckets();
    let recorder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Full(QUEUE_SECONDS.to_owned()), &buckets)
        .map_err(|error| failed(&error))?
        .build_recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder).map_err(|error| failed(&error))?;
    Ok(handle)
}

/// Serves one connection, and says why if it had to be ended.
async fn visit(stream: TcpStream, remote: SocketAddr, source: Arc<Source>) {
    let endpoint = source.endpoint.clone();
    match timeout(TIME, serve_connection(stream, source)).await {
        Ok(Err(error)) if error.is_parse() => {
            cut(&endpoint, format!("{remote}: not a request: {error}"), Reason::NotBroker);
        }
        // One that has been answered, or has gone.
        Ok(_) => {}
        Err(_) => {
            let text = format!("{remote}: took longer than {} s for a request", TIME.as_secs());
            cut(&endpoint, text, Reason::TimedOut);
        }
    }
}

async fn serve_connection(stream: TcpStream, source: Arc<Source>) -> Result<(), hyper::Error> {
    let service = service_fn(|request: Request<Incoming>| {
        let response = source.answer(&request);
        std::future::ready(Ok::<_, Infallible>(response))
    });
    http1::Builder::new()
        .keep_alive(false)
        .max_buf_size(HEAD)
        .serve_connection(TokioIo::new(stream), service)
        .await
}

/// Under which names this is reached, if it is for this machine alone: a page of another site can
/// make a browser ask here in the name of that site, and would be shown the answer.
struct Names {
    own: String,
}

impl Names {
    /// Whether a request is for this machine: by address, as `localhost`, by the name that was
    /// asked for at the start, or without saying.
    fn include(&self, host: Option<&HeaderValue>) -> bool {
        let Some(host) = host else { return true };
        let Ok(url) = host.to_str().unwrap_or_default().parse::<Authority>() else {
            return false;
        };
        let name = url.host();
        name.trim_matches(['[', ']']).parse::<IpAddr>().is_ok()
            || name.eq_ignore_ascii_case("localhost")
            || name.eq_ignore_ascii_case(&self.own)
    }
}

/// What is told.
struct Source {
    endpoint: Endpoint,
    metrics: PrometheusHandle,
    /// Whom it is told to; `None` is whoever gets here.
    names: Option<Names>,
}

type Answer = Response<Full<Bytes>>;

impl Source {
    fn answer(&self, request: &Request<Incoming>) -> Answer {
        let method = request.method();
        if self.names.as_ref().is_some_and(|names| !names.include(request.headers().get(HOST))) {
            let why = "this is for this machine: ask by its address or as localhost\n";
            return text(StatusCode::MISDIRECTED_REQUEST, why.to_owned());
        }
        if method != Method::GET && method != Method::HEAD {
            let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n".to_owned());
            answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return answer;
        }
        match request.uri().path() {
            METRICS => self.metrics(),
            STATUS => self.status(),
            HEALTH => json("{\"status\":\"ok\"}\n".to_owned()),
            _ => text(StatusCode::NOT_FOUND, format!("try {METRICS}, {STATUS} or {HEALTH}\n")),
        }
    }

    fn metrics(&self) -> Answer {
        self.endpoint.record_metrics();
        self.metrics.run_upkeep();
        let content_type = "text/plain; version=0.0.4; charset=utf-8";
        response(StatusCode::OK, content_type, self.metrics.render())
    }

    fn status(&self) -> Answer {
        match serde_json::to_string_pretty(&Status::of(&self.endpoint)) {
            Ok(text) => json(text + "\n"),
            Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
        }
    }
}

fn json(body: String) -> Answer {
    response(StatusCode::OK, "application/json", body)
}

fn text(status: StatusCode, body: String) -> Answer {
    response(status, "text/plain; charset=utf-8", body)
}

fn response(status: StatusCode, content_type: &'static str, body: String) -> Answer {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    response
}
