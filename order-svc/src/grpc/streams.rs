//! The streaming methods.

use futures::stream::BoxStream;
use futures::{Stream, StreamExt as _};
use observability::spans;
use opentelemetry::Context;
use opentelemetry::context::FutureExt as _;
use proto::orders::v1 as api;
use tokio::time::timeout_at;
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};
use transport::deadline::{DEFAULT, Deadline};
use transport::draining::{farewell, until_draining};

use super::errors::{DOMAIN, of_lookup, of_place};
use super::{convert, parse};
use crate::use_cases::{Orders, WatchedOrder};

pub(super) type WatchOrderStream = BoxStream<'static, Result<api::WatchOrderResponse, Status>>;
pub(super) type PlaceOrdersStream = BoxStream<'static, Result<api::PlaceOrdersResponse, Status>>;

/// Orders of one stream that are in flight; further ones are not read, which holds the sender back (HTTP/2 flow control).
const IN_FLIGHT: usize = 64;

pub(super) fn watch(
    versions: impl Stream<Item = WatchedOrder> + Send + 'static,
    stop: CancellationToken,
) -> WatchOrderStream {
    let response = |version: WatchedOrder| match version {
        Ok(order) => Ok(api::WatchOrderResponse { order: Some(convert::order(order)) }),
        Err(error) => Err(of_lookup(&error)),
    };
    until_draining(versions.map(response), stop, DOMAIN)
}

/// Places each order of the stream as PlaceOrder would; one bad order fails alone.
pub(super) fn place(
    orders: Orders,
    requests: Streaming<api::PlaceOrdersRequest>,
    stream_deadline: Option<Deadline>,
    stop: CancellationToken,
) -> PlaceOrdersStream {
    let stream_context = spans::of_many(&Context::current());
    // No further order is taken while draining; those in flight are answered before the stream ends.
    let requests = requests.take_until(stop.clone().cancelled_owned());
    let placing = requests.map(move |request| {
        let (orders, context) = (orders.clone(), stream_context.clone());
        async move { place_one(&orders, request?, stream_deadline).with_context(context).await }
    });
    placing.buffer_unordered(IN_FLIGHT).chain(farewell(stop, DOMAIN)).boxed()
}

async fn place_one(
    orders: &Orders,
    request: api::PlaceOrdersRequest,
    stream_deadline: Option<Deadline>,
) -> Result<api::PlaceOrdersResponse, Status> {
    use api::place_orders_response::Outcome;
    let own = Deadline::after(DEFAULT);
    let deadline = stream_deadline.map_or(own, |stream| stream.or_earlier(own));
    let sequence = request.sequence;
    let placed = match parse::place(request.place_order.unwrap_or_default()) {
        // As for a call of its own: what was taken is written all the same.
        Ok(placement) => match timeout_at(deadline.instant(), orders.place(placement, deadline)).await {
            Ok(placed) => placed.map_err(of_place),
            Err(_) => Err(DOMAIN.deadline_exceeded()),
        },
        Err(status) => Err(status),
    };
    Ok(match placed {
        Ok(placed) => api::PlaceOrdersResponse {
            sequence,
            outcome: Some(Outcome::Order(convert::order(placed.order))),
            replayed: placed.replayed,
        },
        Err(status) => api::PlaceOrdersResponse {
            sequence,
            outcome: Some(Outcome::Error(transport::error::to_message(&status))),
            replayed: false,
        },
    })
}
