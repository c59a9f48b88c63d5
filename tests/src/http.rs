use std::time::Duration;

use anyhow::{Context as _, Result};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::{Method, Request};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;

const LIMIT: Duration = Duration::from_secs(5);

/// Status and body of a GET.
pub(crate) async fn get(url: &str) -> Result<(u16, String)> {
    ask(Method::GET, url, "").await
}

/// Status and body of the answer to a PUT.
pub(crate) async fn put(url: &str, body: &str) -> Result<(u16, String)> {
    ask(Method::PUT, url, body).await
}

async fn ask(method: Method, url: &str, body: &str) -> Result<(u16, String)> {
    let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let request = Request::builder().method(method).uri(url).body(Full::from(body.to_owned()));
    let request = request.with_context(|| format!("{url} is no address"))?;
    let exchange = async {
        let response = client.request(request).await?;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await?.to_bytes();
        anyhow::Ok((status, String::from_utf8_lossy(&body).into_owned()))
    };
    tokio::time::timeout(LIMIT, exchange).await.with_context(|| format!("{url} does not answer"))?
}
