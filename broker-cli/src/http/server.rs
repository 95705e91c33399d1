use super::pages::Page;
use super::status::Room;
use super::window::Question;
use super::{
    HEALTH, HttpAddress, HttpOptions, METRICS, OVERLAY, READY, STATUS, Status, TOPICS, WINDOW,
    Window, process,
};
use crate::failure::Failure;
use crate::output::diagnose;
use broker::core::limits::MAX_DURATION;
use broker::core::transport::{Admission, Place};
use broker::event::{LogId, Severity};
use broker::metrics::{QUEUE_SECONDS, queue_seconds_buckets};
use broker::{Address, Endpoint, Reason};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HOST, HeaderValue};
use hyper::http::uri::Authority;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use metrics_util::MetricKindMask;
use serde::Serialize;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

/// How long accepting pauses after an error, which is mostly a lack of descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// How long a time series is shown that nobody counts in any more: those of peers that are gone
/// would be ever more. It is the time after which Prometheus takes a series for ended.
const FORGET_AFTER: Duration = Duration::from_secs(5 * 60);

/// Tells about an endpoint over HTTP: `/metrics`, `/v1/status/json` and `/health`.
pub(crate) struct Server {
    listener: TcpListener,
    url: Address,
    metrics: PrometheusHandle,
    options: HttpOptions,
}

impl Server {
    /// Listens, and takes the metrics of this process from here on; to be called before there is an
    /// endpoint.
    pub(crate) async fn bind(at: &HttpAddress, options: HttpOptions) -> Result<Self, Failure> {
        options.check().map_err(Failure::usage)?;
        let failed = |error: &dyn std::fmt::Display| {
            Failure::other(format!("listening on {}: {error}", at.url()))
        };
        let listener = match inherited(at).await {
            Some(listener) => Ok(listener),
            None => TcpListener::bind((at.host(), at.port())).await,
        };
        let listener = listener.map_err(|error| failed(&error))?;
        let bound = listener.local_addr().map_err(|error| failed(&error))?;
        let url = at.at_port(bound.port());
        if !bound.ip().is_loopback() {
            diagnose(format_args!(
                "warning: whoever reaches {url} can read the metrics and the status of this node; \
                 nothing protects them"
            ));
        }
        Ok(Self { listener, url, metrics: recorder()?, options })
    }

    /// Where it can be reached.
    pub(crate) fn url(&self) -> &Address {
        &self.url
    }

    /// Serves for as long as there is a runtime.
    pub(crate) async fn serve(self, endpoint: Endpoint, window: Window) {
        let Self { listener, url, metrics, options } = self;
        let is_local = listener.local_addr().is_ok_and(|at| at.ip().is_loopback());
        let names = is_local.then(|| Names { own: url.host().to_owned() });
        let places = Arc::new(Admission::new(options.connections, usize::MAX));
        let source = Arc::new(Source::new(endpoint.clone(), window, metrics, names, options));
        loop {
            match listener.accept().await {
                Ok((stream, remote)) => {
                    let from = Address::new("http", &remote.ip().to_string(), remote.port());
                    let place = places.enter(&from, false);
                    tokio::spawn(visit(stream, remote, place, Arc::clone(&source)));
                }
                Err(error) => {
                    let text = format!("accepting on {url}: {error}");
                    let context = endpoint.service_context();
                    let reason = Some(Reason::OutOfResources);
                    context.log(Severity::Warning, LogId::HttpAcceptFailed, text, reason);
                    // It may be these that use up the descriptors.
                    if places.make_room() {
                        let _ = timeout(PAUSE, places.room_made()).await;
                    } else {
                        sleep(PAUSE).await;
                    }
                }
            }
        }
    }
}

/// The socket at an address that the process has got from whoever has started it.
#[cfg(all(unix, feature = "tcp"))]
async fn inherited(at: &HttpAddress) -> Option<TcpListener> {
    let mut addresses = tokio::net::lookup_host((at.host(), at.port())).await.ok()?;
    let socket = addresses.find_map(broker::tcp::inherited::take_tcp)?;
    TcpListener::from_std(socket).ok()
}

#[cfg(not(all(unix, feature = "tcp")))]
async fn inherited(_: &HttpAddress) -> Option<TcpListener> {
    None
}

fn cut(endpoint: &Endpoint, text: String, reason: Reason) {
    endpoint.service_context().log(Severity::Info, LogId::HttpCut, text, Some(reason));
}

/// Makes what is recorded by the `metrics` facade available as text.
fn recorder() -> Result<PrometheusHandle, Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::other(format!("metrics: {error}"));
    let buckets = queue_seconds_buckets();
    let recorder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Full(QUEUE_SECONDS.to_owned()), &buckets)
        .map_err(|error| failed(&error))?
        .idle_timeout(MetricKindMask::ALL, Some(FORGET_AFTER))
        .build_recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder).map_err(|error| failed(&error))?;
    Ok(handle)
}

/// Serves one connection, and says why if it had to be ended.
async fn visit(stream: TcpStream, remote: SocketAddr, place: Place, source: Arc<Source>) {
    let (endpoint, options) = (source.endpoint.clone(), source.options.clone());
    let outcome = tokio::select! {
        biased;
        _ = place.lost() => {
            let text = format!(
                "{remote}: made room for others, the limit `connections` in [http] is {}: it was \
                 the oldest from the busiest address",
                options.connections
            );
            return cut(&endpoint, text, Reason::LimitReached);
        }
        outcome = timeout(options.time, serve_connection(stream, source)) => outcome,
    };
    let late = |key, limit: Duration| {
        let seconds = limit.as_secs_f64();
        let text = format!("{remote}: took longer than {seconds} s, the limit `{key}` in [http]");
        cut(&endpoint, text, Reason::TimedOut);
    };
    match outcome {
        Ok(Err(error)) if error.is_parse() => {
            cut(&endpoint, format!("{remote}: not a request: {error}"), Reason::NotBroker);
        }
        Ok(Err(error)) if error.is_timeout() => late("request-time", options.request_time),
        // It has been answered, or the client has closed it.
        Ok(_) => {}
        Err(_) => late("time", options.time),
    }
}

async fn serve_connection(stream: TcpStream, source: Arc<Source>) -> Result<(), hyper::Error> {
    let mut server = http1::Builder::new();
    server
        .keep_alive(false)
        .timer(TokioTimer::new())
        .header_read_timeout(source.options.request_time.min(MAX_DURATION))
        .max_buf_size(source.options.head);
    let service = service_fn(|request: Request<Incoming>| {
        let source = Arc::clone(&source);
        async move { Ok::<_, Infallible>(source.answer(&request).await) }
    });
    server.serve_connection(TokioIo::new(stream), service).await
}

/// The names of a server that is for this machine alone. A page of another site can make a browser
/// ask here under the name of that site (DNS rebinding), and would be shown the answer.
struct Names {
    own: String,
}

impl Names {
    /// Whether a request is for this machine: by address, as `localhost`, by the name that was
    /// asked for at the start, or without saying. All that say it have to.
    fn include(&self, request: &Request<Incoming>) -> bool {
        let in_target = request.uri().authority().cloned().map(Some);
        let in_fields = request
            .headers()
            .get_all(HOST)
            .iter()
            .map(|field| field.to_str().unwrap_or_default().parse::<Authority>().ok());
        in_target.into_iter().chain(in_fields).all(|host| host.is_some_and(|host| self.has(&host)))
    }

    fn has(&self, host: &Authority) -> bool {
        let name = host.host();
        if host.as_str().contains('@') {
            return false;
        }
        name.trim_matches(['[', ']']).parse::<IpAddr>().is_ok()
            || name.eq_ignore_ascii_case("localhost")
            || name.eq_ignore_ascii_case(&self.own)
    }
}

/// What requests are answered with.
struct Source {
    endpoint: Endpoint,
    options: HttpOptions,
    metrics: Page,
    status: Page,
    overlay: Page,
    window: Window,
    /// The names that requests may have for this server; `None` allows all.
    names: Option<Names>,
}

type Answer = Response<Full<Bytes>>;

impl Source {
    fn new(
        endpoint: Endpoint,
        window: Window,
        metrics: PrometheusHandle,
        names: Option<Names>,
        options: HttpOptions,
    ) -> Self {
        let measured = endpoint.clone();
        let (start, certificates) = (process::describe(), window.called.certificates.clone());
        let metrics = Page::new(options.page_interval, move || {
            measured.record_metrics();
            process::record(start, &certificates);
            metrics.run_upkeep();
            Ok(metrics.render())
        });
        let (shown, called) = (endpoint.clone(), window.called.clone());
        let room = Room { list: options.page, filter: options.filter };
        let load = window.clone();
        let status = Page::new(options.page_interval, move || {
            let status = Status { load: load.load(), ..Status::of(&shown, &called, room) };
            let page = serde_json::to_string_pretty(&status);
            page.map(|page| page + "\n").map_err(|error| error.to_string())
        });
        let (shown, called) = (endpoint.clone(), window.called.clone());
        let others = window.overlay.clone();
        let overlay = Page::new(options.page_interval, move || {
            let own = Status::of(&shown, &called, room);
            others.report(&own).map(|page| page + "\n").map_err(|error| error.to_string())
        });
        Self { endpoint, options, metrics, status, overlay, window, names }
    }

    async fn answer(&self, request: &Request<Incoming>) -> Answer {
        let method = request.method();
        if self.names.as_ref().is_some_and(|names| !names.include(request)) {
            let why = "this is for this machine: ask by its address or as localhost\n";
            return text(StatusCode::MISDIRECTED_REQUEST, why.to_owned());
        }
        if method != Method::GET && method != Method::HEAD {
            let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n".to_owned());
            answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return answer;
        }
        match request.uri().path() {
            METRICS => page(&self.metrics, "text/plain; version=0.0.4; charset=utf-8").await,
            STATUS => {
                if request.uri().query() == Some(TOPICS) {
                    self.window.attend();
                }
                page(&self.status, JSON).await
            }
            OVERLAY => page(&self.overlay, JSON).await,
            WINDOW => self.window(request.uri().query().unwrap_or_default()),
            READY => self.ready(),
            "/" => asset(PAGE, "text/html; charset=utf-8"),
            "/page.css" => asset(PAGE_STYLE, "text/css; charset=utf-8"),
            "/page.js" => asset(PAGE_SCRIPT, "text/javascript; charset=utf-8"),
            HEALTH => response(StatusCode::OK, JSON, "{\"status\":\"ok\"}\n".to_owned().into()),
            _ => {
                let others = [METRICS, STATUS, OVERLAY, HEALTH].join(", ");
                text(StatusCode::NOT_FOUND, format!("try /, {others} or {READY}\n"))
            }
        }
    }

    /// Whether every address that is dialled has a peering, and the node is not about to end.
    fn ready(&self) -> Answer {
        #[derive(Serialize)]
        struct Ready {
            status: &'static str,
            #[serde(skip_serializing_if = "Vec::is_empty")]
            waiting_for: Vec<String>,
        }
        let missing = self.endpoint.peers().into_iter().filter(|peer| peer.id.is_none());
        let waiting_for: Vec<String> = missing.map(|peer| peer.network.url.to_string()).collect();
        let (code, status) = match waiting_for.is_empty() {
            _ if self.endpoint.is_draining() => (StatusCode::SERVICE_UNAVAILABLE, "draining"),
            true => (StatusCode::OK, "ready"),
            false => (StatusCode::SERVICE_UNAVAILABLE, "not ready"),
        };
        let body = serde_json::to_string(&Ready { status, waiting_for }).unwrap_or_default();
        response(code, JSON, (body + "\n").into())
    }

    fn window(&self, query: &str) -> Answer {
        let mut question = Question::default();
        for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            let value = unescaped(value);
            match name {
                "after" => question.after = value.parse().unwrap_or_default(),
                "happened" => question.happened_after = value.parse().unwrap_or_default(),
                "topic" => question.topic = value,
                "event" => question.event = value.parse().ok(),
                _ => {}
            }
        }
        match self.window.answer(&question) {
            Ok(body) => response(StatusCode::OK, JSON, (body + "\n").into()),
            Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
        }
    }
}

const JSON: &str = "application/json";

/// The page for a browser. It asks for nothing but what this server has.
const PAGE: &str = include_str!("page/index.html");
const PAGE_STYLE: &str = include_str!("page/page.css");
const PAGE_SCRIPT: &str = include_str!("page/page.js");

/// What the page may do: whatever a topic or a name has in it, nothing of it can be run.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

fn asset(body: &'static str, content_type: &'static str) -> Answer {
    let mut answer =
        response(StatusCode::OK, content_type, Bytes::from_static(body.as_bytes()).into());
    let headers = answer.headers_mut();
    headers.insert("content-security-policy", HeaderValue::from_static(PAGE_POLICY));
    headers.insert("referrer-policy", HeaderValue::from_static("no-referrer"));
    answer
}

/// The text that a part of a query stands for.
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, behind @ ..] = rest {
        let digit = |at: usize| behind.get(at).and_then(|byte| char::from(*byte).to_digit(16));
        match (first, digit(0), digit(1)) {
            (b'%', Some(high), Some(low)) => {
                bytes.push((high << 4 | low) as u8);
                rest = behind.get(2..).unwrap_or_default();
            }
            (byte, ..) => {
                bytes.push(if *byte == b'+' { b' ' } else { *byte });
                rest = behind;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

async fn page(page: &Page, content_type: &'static str) -> Answer {
    match page.get().await {
        Ok(body) => response(StatusCode::OK, content_type, body),
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, error + "\n"),
    }
}

fn text(status: StatusCode, body: String) -> Answer {
    response(status, "text/plain; charset=utf-8", body.into())
}

fn response(status: StatusCode, content_type: &'static str, body: Full<Bytes>) -> Answer {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    response
}
