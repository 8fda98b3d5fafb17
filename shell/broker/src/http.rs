//! Metrics and health over HTTP, on one thread that sleeps unless somebody asks.
//!
//! No handler reads a body, so none is ever buffered. Connections are few and must get answers:
//! whoever sends a request too slowly, or reads its answer too slowly, is dropped.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::thread;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::serve::Listener;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep};

use crate::config::HostPort;
use crate::metrics::Metrics;

/// The state of the server at this moment.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Health {
    /// Why the process should be killed and started again; empty while it is fine.
    pub(crate) not_live: Vec<String>,
    /// Why clients should go elsewhere; empty while it is ready.
    pub(crate) not_ready: Vec<String>,
    /// Facts for people, as one JSON object.
    pub(crate) detail: Value,
}

/// Asks the server for its state; called on the HTTP thread, once per request.
pub(crate) type HealthCheck = Arc<dyn Fn() -> Health + Send + Sync>;

/// Starts to serve on `address` and returns the address that was bound. The thread lives as long as
/// the process.
///
/// # Errors
/// The address can not be bound, or there is no thread to be had.
pub(crate) fn serve(
    address: &HostPort,
    metrics: Metrics,
    health: HealthCheck,
) -> io::Result<SocketAddr> {
    let listener = StdListener::bind(address.bind_addresses()?.as_slice())?;
    listener.set_nonblocking(true)?;
    let bound = listener.local_addr()?;
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let app = router(Shared { metrics, health });
    let run = move || {
        let served = runtime.block_on(async {
            let listener = Bounded::new(TcpListener::from_std(listener)?);
            axum::serve(listener, app).await
        });
        if let Err(error) = served {
            tracing::error!(%error, "metrics and health are no longer served");
        }
    };
    thread::Builder::new().name("http".to_owned()).spawn(run)?;
    Ok(bound)
}

#[derive(Clone)]
struct Shared {
    metrics: Metrics,
    health: HealthCheck,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

fn router(shared: Shared) -> Router {
    Router::new()
        .route("/", get(index))
        .route("/metrics", get(metrics))
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/healthz", get(healthz))
        .with_state(shared)
}

async fn index() -> &'static str {
    "/metrics  OpenMetrics text\n/livez    200 while the process works\n\
     /readyz   200 while clients are served\n/healthz  state in detail\n"
}

async fn metrics(State(shared): State<Shared>) -> Response {
    match shared.metrics.render() {
        Ok(text) => ([(header::CONTENT_TYPE, Metrics::CONTENT_TYPE)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

async fn livez(State(shared): State<Shared>) -> Response {
    verdict(&(shared.health)().not_live, None)
}

async fn readyz(State(shared): State<Shared>) -> Response {
    verdict(&(shared.health)().not_ready, None)
}

async fn healthz(State(shared): State<Shared>) -> Response {
    let Health {
        not_live,
        not_ready,
        detail,
    } = (shared.health)();
    let reasons = [not_live, not_ready].concat();
    verdict(&reasons, Some(detail))
}

/// 200, or 503 with reasons.
fn verdict(reasons: &[String], detail: Option<Value>) -> Response {
    let (code, status) = if reasons.is_empty() {
        (StatusCode::OK, "ok")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "unavailable")
    };
    let mut body = json!({ "status": status, "reasons": reasons });
    if let (Some(detail), Some(body)) = (detail, body.as_object_mut()) {
        body.insert("detail".to_owned(), detail);
    }
    (
        code,
        [(header::CONTENT_TYPE, "application/json")],
        format!("{body}\n"),
    )
        .into_response()
}

/// Accepts no more than [`MAX_CONNECTIONS`] at a time; others wait in the backlog.
#[derive(Debug)]
struct Bounded {
    listener: TcpListener,
    free: Arc<Semaphore>,
}

impl Bounded {
    fn new(listener: TcpListener) -> Self {
        Self {
            listener,
            free: Arc::new(Semaphore::new(MAX_CONNECTIONS)),
        }
    }
}

impl Listener for Bounded {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        // The semaphore is never closed; without a permit the connection would only go uncounted.
        let permit = Arc::clone(&self.free).acquire_owned().await.ok();
        let (stream, address) = Listener::accept(&mut self.listener).await;
        let deadline = Box::pin(tokio::time::sleep(ANSWER_TIMEOUT));
        (
            Connection {
                stream,
                deadline,
                _permit: permit,
            },
            address,
        )
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

/// A connection that ends when no byte of an answer could be written for [`ANSWER_TIMEOUT`]. Bytes
/// read do not count: a request that trickles in has to end as well.
#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    deadline: Pin<Box<Sleep>>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Connection {
    fn in_time<T>(
        &mut self,
        context: &mut Context<'_>,
        polled: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if polled.is_pending() && self.deadline.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        polled
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.in_time(context, polled)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(context, bytes);
        if polled.is_ready() {
            self.deadline
                .as_mut()
                .reset(Instant::now() + ANSWER_TIMEOUT);
        }
        self.in_time(context, polled)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// Scrapers, probes and a few people.
const MAX_CONNECTIONS: usize = 64;
/// Longer than the usual interval of scrapers, so that they can keep their connection.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(90);

#[cfg(test)]
#[path = "http_tests.rs"]
mod tests;
