//! The operator's listener: `/metrics` for Prometheus, `/livez` and `/readyz` for whatever restarts and routes.
//!
//! It has an address of its own, so that it answers while the business listener drains or is overloaded, and so that it
//! need not be reachable from outside.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::health::{Health, Status};
use crate::listen::{self, BindError};

/// Prometheus' text format.
const PROMETHEUS_TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

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
        stop: CancellationToken,
    ) -> impl Future<Output = io::Result<()>> + Send + 'static {
        let pages = Pages { health, render_metrics: Arc::new(render_metrics) };
        let router = Router::new()
            .route("/metrics", get(metrics))
            .route("/livez", get(livez))
            .route("/readyz", get(readyz))
            .with_state(pages);
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

#[cfg(test)]
mod tests;
