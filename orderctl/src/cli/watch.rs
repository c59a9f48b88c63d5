//! `orderctl order watch`: follows an order over broken connections.

use std::io;
use std::time::Duration;

use proto::orders::v1::order_service_client::OrderServiceClient;
use proto::orders::v1::{Order, OrderStatus, WatchOrderRequest};
use tonic::Status;
use tonic::transport::Channel;

use crate::client::{self, Address};
use crate::failure::CallFailed;
use crate::json::OrderJson;
use crate::{output, render};

const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(4);

/// Hands over every version after `after` once and in order, until one is final.
///
/// A broken stream is opened again behind the last version that was shown, for as long as it takes: whoever watches an
/// order wants to know how it ends.
///
/// # Errors
/// The server refuses (no such order), or `show` fails.
pub(crate) async fn watch(
    mut client: OrderServiceClient<Channel>,
    address: &Address,
    order_id: String,
    after: u64,
    mut show: impl FnMut(Order) -> io::Result<()>,
) -> anyhow::Result<()> {
    let mut seen = after;
    let mut pause = FIRST_PAUSE;
    loop {
        let before = seen;
        let interruption = match follow(&mut client, &order_id, &mut seen, &mut show).await? {
            Ending::Final => return Ok(()),
            Ending::Closed => "the server closed the stream".to_owned(),
            Ending::Failed(status) if client::is_broken_connection(&status) => {
                CallFailed::new("WatchOrder", address, *status).to_string()
            }
            Ending::Failed(status) => return Err(CallFailed::new("WatchOrder", address, *status).into()),
        };
        if seen > before {
            pause = FIRST_PAUSE;
        }
        eprintln!("{interruption}\n  watching again in {pause:?}, after version {seen} (Ctrl-C stops)");
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Prints one version: a line for people or for programs.
///
/// # Errors
/// Standard output can't be written.
pub(crate) fn print(order: Order, json: bool) -> io::Result<()> {
    if json { output::print_json(&OrderJson::from(order)) } else { output::print(&render::version(&order)) }
}

/// How one stream ended.
enum Ending {
    /// With a final version.
    Final,
    /// Without a word.
    Closed,
    Failed(Box<Status>),
}

/// Follows one stream and keeps `seen` at the last version that was printed.
async fn follow(
    client: &mut OrderServiceClient<Channel>,
    order_id: &str,
    seen: &mut u64,
    show: &mut impl FnMut(Order) -> io::Result<()>,
) -> anyhow::Result<Ending> {
    let message = WatchOrderRequest { order_id: order_id.to_owned(), after_version: *seen };
    let mut stream = match client.watch_order(client::traced(message)).await {
        Ok(response) => response.into_inner(),
        Err(status) => return Ok(Ending::Failed(Box::new(status))),
    };
    let mut last_is_final = false;
    loop {
        match stream.message().await {
            Ok(Some(message)) => {
                let order = message.order.unwrap_or_default();
                // "As it is now" may repeat what was seen before the stream broke.
                if order.version > *seen {
                    *seen = order.version;
                    last_is_final = is_final(order.status());
                    show(order)?;
                }
            }
            // The stream of an order that was final already ends without a new version: that is no interruption.
            Ok(None) if last_is_final || is_over(client, order_id).await => return Ok(Ending::Final),
            Ok(None) => return Ok(Ending::Closed),
            Err(status) => return Ok(Ending::Failed(Box::new(status))),
        }
    }
}

async fn is_over(client: &mut OrderServiceClient<Channel>, order_id: &str) -> bool {
    const TIMEOUT: Duration = Duration::from_secs(5);
    let message = proto::orders::v1::GetOrderRequest { order_id: order_id.to_owned() };
    let response = client.get_order(client::request(message, TIMEOUT)).await;
    response.is_ok_and(|response| response.into_inner().order.is_some_and(|order| is_final(order.status())))
}

fn is_final(status: OrderStatus) -> bool {
    match status {
        OrderStatus::Unspecified | OrderStatus::Pending | OrderStatus::Confirmed => false,
        OrderStatus::Rejected | OrderStatus::Cancelled | OrderStatus::Fulfilled => true,
    }
}

#[cfg(test)]
#[path = "watch_tests.rs"]
mod tests;
