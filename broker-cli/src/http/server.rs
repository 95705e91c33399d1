use super::{HEALTH, HttpAddress, METRICS, STATUS, Status};
use crate::failure::Failure;
use crate::output::diagnose;
use broker::endpoint::{QUEUE_SECONDS, queue_seconds_buckets};
use broker::{Endpoint, Url};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

/// Connections that are served at the same time; the next one is closed.
const CONNECTIONS: usize = 64;

/// How long a connection may take, from its first octet to its last.
const TIME: Duration = Duration::from_secs(10);

/// How long the head of a request may be, in octets. No body is ever read.
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

    /// Serves until it is dropped.
    pub(crate) async fn serve(self, endpoint: Endpoint) {
        let source = Arc::new(Source { endpoint, metrics: self.metrics });
        let permits = Arc::new(Semaphore::new(CONNECTIONS));
        loop {
            let Ok((stream, _)) = self.listener.accept().await else {
                sleep(PAUSE).await;
                continue;
            };
            let Ok(permit) = Arc::clone(&permits).try_acquire_owned() else { continue };
            let source = Arc::clone(&source);
            tokio::spawn(async move {
                // Whatever ends it, there is nobody to tell.
                let _ = timeout(TIME, serve_connection(stream, source)).await;
                drop(permit);
            });
        }
    }
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

async fn serve_connection(stream: TcpStream, source: Arc<Source>) -> Result<(), hyper::Error> {
    let service = service_fn(|request: Request<Incoming>| {
        let response = source.answer(request.method(), request.uri().path());
        std::future::ready(Ok::<_, Infallible>(response))
    });
    http1::Builder::new()
        .keep_alive(false)
        .max_buf_size(HEAD)
        .serve_connection(TokioIo::new(stream), service)
        .await
}

/// What is told.
struct Source {
    endpoint: Endpoint,
    metrics: PrometheusHandle,
}

type Answer = Response<Full<Bytes>>;

impl Source {
    fn answer(&self, method: &Method, path: &str) -> Answer {
        if method != Method::GET && method != Method::HEAD {
            let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n".to_owned());
            answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return answer;
        }
        match path {
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
