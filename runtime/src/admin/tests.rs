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
        group.spawn("listener", listener.serve(health.clone(), render, group.stop_token()));
        Self { health, address, supervisor, group }
    }

    async fn get(&self, path: &str) -> String {
        let mut connection = TcpStream::connect(self.address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
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
