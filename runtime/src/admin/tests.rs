use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::*;
use crate::health::Impact;
use crate::tasks::{Supervisor, TaskGroup};

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
const PATIENCE: Duration = Duration::from_secs(10);

#[tokio::test]
async fn metrics_are_what_is_rendered_in_prometheus_text_format() {
    let admin = Admin::start().await;
    let answer = admin.get("/metrics").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("content-type: text/plain; version=0.0.4; charset=utf-8\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\norders_placed_total 7\n"), "{answer}");
    admin.stop().await;
}

#[tokio::test]
async fn process_is_alive_before_it_is_ready() {
    let admin = Admin::start().await;
    let answer = admin.get("/livez").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.ends_with(r#"{"status":"alive"}"#), "{answer}");
    admin.stop().await;
}

#[tokio::test]
async fn readiness_follows_health() {
    let admin = Admin::start().await;
    let database = admin.health.component("database", Impact::Required);
    let kafka = admin.health.component("kafka", Impact::Degrades);

    database.down("connection refused");
    let answer = admin.get("/readyz").await;
    assert!(answer.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{answer}");
    assert!(answer.contains(r#""status":"not_serving""#) && answer.contains("connection refused"), "{answer}");

    database.up();
    let answer = admin.get("/readyz").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains(r#""status":"degraded""#), "{answer}");

    kafka.up();
    let answer = admin.get("/readyz").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains(r#""status":"serving""#), "{answer}");

    admin.health.start_draining();
    let answer = admin.get("/readyz").await;
    assert!(answer.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{answer}");
    assert!(answer.contains(r#""draining":true"#), "{answer}");
    admin.stop().await;
}

#[tokio::test]
async fn log_filter_is_shown_and_changed_and_nonsense_is_refused() {
    let admin = Admin::start().await;
    assert!(admin.get("/log").await.ends_with("\r\n\r\ninfo\n"));
    let answer = admin.ask("PUT", "/log", "info,order_svc=debug\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("info,order_svc=debug\n"), "{answer}");
    let answer = admin.ask("PUT", "/log", "order_svc=loud").await;
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("is no log filter"), "{answer}");
    let answer = admin.ask("PUT", "/log", &"x".repeat(2_000)).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(admin.ask("POST", "/log", "off").await.starts_with("HTTP/1.1 405 "));
    assert!(admin.get("/log").await.ends_with("\r\n\r\ninfo,order_svc=debug\n"), "the good one stays");
    admin.stop().await;
}

#[tokio::test]
async fn only_callers_on_this_machine_change_what_is_logged() {
    let levels = LogLevels::apart(&"info".parse().unwrap()).unwrap();
    let pages = Pages { health: Health::new(), render_metrics: Arc::new(String::new), log_levels: levels.clone() };
    let from = |address: &str| {
        let caller = SocketAddr::new(address.parse().unwrap(), 4_711);
        change_log_filter(State(pages.clone()), ConnectInfo(caller), Bytes::from_static(b"debug"))
    };
    for stranger in ["10.1.2.3", "2001:db8::1", "::ffff:10.1.2.3"] {
        assert_eq!(from(stranger).await.0, StatusCode::FORBIDDEN, "{stranger}");
    }
    assert_eq!(levels.current().to_string(), "info");
    for own in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
        assert_eq!(from(own).await.0, StatusCode::OK, "{own}");
    }
    assert_eq!(levels.current().to_string(), "debug");
}

#[tokio::test]
async fn idle_connection_does_not_keep_the_listener_from_stopping() {
    let admin = Admin::start().await;
    let _idle = TcpStream::connect(admin.address).await.unwrap();
    admin.get("/livez").await;
    admin.stop().await;
}

#[tokio::test]
async fn address_in_use_is_named_with_its_setting() {
    let first = AdminListener::bind(LOOPBACK).await.unwrap();
    let address = first.local_addr().unwrap();
    let error = AdminListener::bind(address).await.unwrap_err().to_string();
    assert!(error.starts_with(&format!("ADMIN_LISTEN: cannot listen on {address}: Address already in use")), "{error}");
}

struct Admin {
    health: Health,
    address: SocketAddr,
    supervisor: Supervisor,
    group: TaskGroup,
}

impl Admin {
    async fn start() -> Self {
        let (health, supervisor) = (Health::new(), Supervisor::new());
        let group = TaskGroup::new("admin", &supervisor);
        let listener = AdminListener::bind(LOOPBACK).await.unwrap();
        let address = listener.local_addr().unwrap();
        let render = || "orders_placed_total 7\n".to_owned();
        let levels = LogLevels::apart(&"info".parse().unwrap()).unwrap();
        group.spawn("listener", listener.serve(health.clone(), render, levels, group.stop_token()));
        Self { health, address, supervisor, group }
    }

    async fn get(&self, path: &str) -> String {
        self.ask("GET", path, "").await
    }

    async fn ask(&self, method: &str, path: &str, body: &str) -> String {
        let mut connection = TcpStream::connect(self.address).await.unwrap();
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        connection.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await.unwrap();
        answer
    }

    async fn stop(self) {
        self.group.stop(PATIENCE).await;
        assert_eq!(self.supervisor.abandoned(), Vec::<String>::new());
        assert_eq!(self.supervisor.failure(), None);
    }
}
