//! The operator's listener: `/metrics` for Prometheus, `/livez` and `/readyz` for whatever restarts and routes, `/log` for
//! people who look for something.
//!
//! It has an address of its own, so that it answers while the business listener drains or is overloaded, and so that it
//! need not be reachable from outside. Everything is read only, but for `PUT /log`, which changes what is logged and is
//! taken from this machine alone: whoever may switch a log off, or drown the disk in it, is on the machine already.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{ConnectInfo, DefaultBodyLimit, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use observability::logging::{LogFilter, LogLevels};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::health::{Health, Status};
use crate::listen::{self, BindError};

/// Prometheus' text format.
const PROMETHEUS_TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// More than any log filter that a person writes.
const LONGEST_FILTER: usize = 1_024;

/// Renders the metrics page.
type RenderMetrics = Arc<dyn Fn() -> String + Send + Sync>;

/// The bound and not yet serving listener: connections wait in the kernel's queue.
#[derive(Debug)]
pub struct AdminListener {
    listener: TcpListener,
}

#[derive(Clone)]
struct Pages {
    health: Health,
    render_metrics: RenderMetrics,
    log_levels: LogLevels,
}

impl AdminListener {
    /// Binds `ADMIN_LISTEN`; port 0 takes a free one.
    ///
    /// # Errors
    /// When the address can't be listened on.
    pub async fn bind(address: SocketAddr) -> Result<Self, BindError> {
        Ok(Self { listener: listen::bind("ADMIN_LISTEN", address).await? })
    }

    /// The address with the real port.
    ///
    /// # Errors
    /// When the kernel doesn't tell.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Answers until `stop`, then finishes the requests that are being answered.
    ///
    /// # Errors
    /// When the listener breaks.
    pub fn serve(
        self,
        health: Health,
        render_metrics: impl Fn() -> String + Send + Sync + 'static,
        log_levels: LogLevels,
        stop: CancellationToken,
    ) -> impl Future<Output = io::Result<()>> + Send + 'static {
        let pages = Pages { health, render_metrics: Arc::new(render_metrics), log_levels };
        let router = Router::new()
            .route("/metrics", get(metrics))
            .route("/livez", get(livez))
            .route("/readyz", get(readyz))
            .route("/log", get(log_filter).put(change_log_filter).layer(DefaultBodyLimit::max(LONGEST_FILTER)))
            .with_state(pages);
        let router = router.into_make_service_with_connect_info::<SocketAddr>();
        async move { axum::serve(self.listener, router).with_graceful_shutdown(stop.cancelled_owned()).await }
    }
}

async fn metrics(State(pages): State<Pages>) -> Response {
    ([(header::CONTENT_TYPE, PROMETHEUS_TEXT)], (pages.render_metrics)()).into_response()
}

/// A process that can answer is alive. It looks at nothing else: a restart does not bring a database back.
async fn livez() -> Json<serde_json::Value> {
    Json(serde_json::json!({ "status": "alive" }))
}

async fn readyz(State(pages): State<Pages>) -> (StatusCode, Json<crate::health::Report>) {
    let report = pages.health.report();
    let code = match report.status {
        Status::Serving | Status::Degraded => StatusCode::OK,
        Status::NotServing => StatusCode::SERVICE_UNAVAILABLE,
    };
    (code, Json(report))
}

async fn log_filter(State(pages): State<Pages>) -> String {
    format!("{}\n", pages.log_levels.current())
}

/// The body is a filter as in RUST_LOG. It holds until the next change, or until the process ends.
async fn change_log_filter(
    State(pages): State<Pages>,
    ConnectInfo(caller): ConnectInfo<SocketAddr>,
    body: Bytes,
) -> (StatusCode, String) {
    if !caller.ip().to_canonical().is_loopback() {
        return (StatusCode::FORBIDDEN, "changes are taken from this machine only\n".to_owned());
    }
    let Ok(text) = str::from_utf8(&body) else {
        return (StatusCode::BAD_REQUEST, "the filter is no text\n".to_owned());
    };
    let changed = text.trim().parse::<LogFilter>().and_then(|filter| pages.log_levels.change(&filter).map(|()| filter));
    match changed {
        Ok(filter) => {
            // A warning, so that most filters let it through.
            tracing::warn!(filter = %filter, "log filter changed");
            (StatusCode::OK, format!("{filter}\n"))
        }
        Err(error) => (StatusCode::BAD_REQUEST, format!("{error}\n")),
    }
}

#[cfg(test)]
mod tests;
