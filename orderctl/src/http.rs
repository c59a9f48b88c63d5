//! GET over plain HTTP.

use std::time::Duration;

use anyhow::{Context as _, anyhow};
use http_body_util::{BodyExt as _, Empty};
use hyper::StatusCode;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;

use crate::failure::innermost;

/// Status and body of an answer.
///
/// # Errors
/// `url` is none, nothing listens there, or the answer takes longer than `limit`.
pub(crate) async fn get(url: &str, limit: Duration) -> anyhow::Result<(StatusCode, Vec<u8>)> {
    let uri: hyper::Uri = url.parse().with_context(|| format!("{url} is no address"))?;
    let client: Client<_, Empty<&[u8]>> = Client::builder(TokioExecutor::new()).build_http();
    let exchange = async {
        let response = client.get(uri).await.map_err(|error| anyhow!("{}", innermost(&error)))?;
        let status = response.status();
        let body = response.into_body().collect().await.context("the answer broke off")?.to_bytes();
        Ok((status, body.to_vec()))
    };
    tokio::time::timeout(limit, exchange).await.with_context(|| format!("no answer within {limit:?}"))?
}

/// A text as part of a query.
pub(crate) fn percent_encoded(text: &str) -> String {
    let encode = |byte: u8| {
        let plain = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
        if plain { char::from(byte).to_string() } else { format!("%{byte:02X}") }
    };
    text.bytes().map(encode).collect()
}
