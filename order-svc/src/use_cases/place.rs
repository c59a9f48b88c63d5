use std::time::Duration;

use observability::{names, spans};
use opentelemetry::Context;
use postgres::{LookupError, WriteError};
use proto::values::{CustomerId, OrderId, Quantity, RequestId, Sku};
use sha2::{Digest as _, Sha256};
use tokio::time::timeout_at;
use transport::deadline::Deadline;
use uuid::Uuid;

use super::Orders;
use crate::domain::decide::NewOrder;
use crate::domain::ledger::{Command, Outcome};
use crate::domain::order::{Order, Status};
use crate::store::StoredOrder;

/// Time kept back from the caller's deadline, to write the outcome of the reservation and to answer.
const MARGIN: Duration = Duration::from_millis(100);

/// What somebody wants to order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// Who.
    pub customer_id: CustomerId,
    /// The client's idempotency key.
    pub request_id: Option<RequestId>,
    /// What, each SKU once.
    pub lines: Vec<(Sku, Quantity)>,
}

/// An order that is durable.
#[derive(Clone, Debug)]
pub struct Placed {
    /// As last read: CONFIRMED or REJECTED, or PENDING when inventory did not answer in time.
    pub order: Order,
    /// It existed before this call.
    pub replayed: bool,
}

/// Why there is no order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlaceError {
    /// It could not be written; certainly.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// Too much is unfinished.
    #[error("too many orders are unfinished")]
    TooManyUnfinished,
    /// The request id belongs to an order with another body.
    #[error("the request id belongs to another order")]
    RequestIdReused,
}

impl Orders {
    /// Places an order: durable first, then its stock, as far as the deadline allows (O1).
    ///
    /// Dropped half-way it leaves an order that is PENDING or decided, never half of one; what is left of its life goes on
    /// over Kafka.
    ///
    /// # Errors
    /// [`PlaceError`], only as long as nothing is durable. Afterwards it answers with the order, whatever happens.
    pub async fn place(&self, placement: Placement, deadline: Deadline) -> Result<Placed, PlaceError> {
        if self.admission.is_refusing() && !self.is_repetition(&placement).await? {
            return Err(PlaceError::TooManyUnfinished);
        }
        let fingerprint = fingerprint(&placement);
        let Placement { customer_id, request_id, lines } = placement;
        let order_id = OrderId::from_uuid(Uuid::now_v7());
        let new = NewOrder { order_id, customer_id, request_id, fingerprint, lines };
        let written = self.write(Command::Place(new), None).await?;
        let placed = match written.outcome {
            Outcome::Order { order, replayed, .. } => Placed { order: *order, replayed },
            Outcome::RequestIdReused => return Err(PlaceError::RequestIdReused),
            outcome @ (Outcome::NotFound | Outcome::Forbidden(_) | Outcome::Impossible(_)) => {
                tracing::error!(order.id = %order_id, ?outcome, "a placement was answered with another outcome");
                return Err(PlaceError::Write(WriteError::Refused));
            }
        };
        let request = Context::current();
        spans::set_order(&request, &placed.order.order_id.to_string());
        if placed.replayed {
            spans::link(&request, &written.placement);
        }
        // A repetition that finds its order PENDING goes on itself: 50 equal calls get 50 equal answers (O1).
        let order = match placed.order.status {
            Status::Pending => {
                self.complete(StoredOrder { order: placed.order, placement: written.placement }, deadline).await
            }
            Status::Confirmed | Status::Rejected | Status::Cancelled | Status::Fulfilled => placed.order,
        };
        spans::set_status(&request, order.status.label());
        let outcome = match (placed.replayed, order.status) {
            (true, _) => "replayed",
            // Fulfilled in the moment between: it had its stock.
            (false, Status::Fulfilled) => Status::Confirmed.label(),
            (false, status) => status.label(),
        };
        metrics::counter!(names::ORDERS_PLACED, "outcome" => outcome).increment(1);
        Ok(Placed { order, ..placed })
    }

    /// Whether there is an order with this request id already. Too late or too early, it changes nothing: the writer decides
    /// what is a repetition.
    async fn is_repetition(&self, placement: &Placement) -> Result<bool, PlaceError> {
        let Some(request_id) = placement.request_id.clone() else { return Ok(false) };
        match self.lookups.by_request.get((placement.customer_id.clone(), request_id)).await {
            Ok(found) => Ok(found.is_some()),
            Err(LookupError::Overloaded) => Err(WriteError::Overloaded.into()),
            Err(LookupError::Database(_)) => Err(WriteError::Unavailable.into()),
        }
    }

    /// Asks inventory and writes what it says; gives the order as last read when the time is up (O1) or inventory is away:
    /// an error never rejects an order (O2).
    async fn complete(&self, pending: StoredOrder, deadline: Deadline) -> Order {
        let answer_by = deadline.less(MARGIN.min(deadline.remaining() / 4));
        let completing = timeout_at(answer_by.instant(), self.reserve_and_decide(&pending, answer_by));
        let completed = tokio::select! {
            completed = completing => completed.ok().flatten(),
            // Who is going away does not wait for inventory: the order is durable, and answered before the drain is over.
            () = self.stop.cancelled() => None,
        };
        completed.unwrap_or(pending.order)
    }

    async fn reserve_and_decide(&self, pending: &StoredOrder, deadline: Deadline) -> Option<Order> {
        let order_id = pending.order.order_id;
        let reserved =
            self.inventory.reserve(&pending.order, deadline.less(MARGIN.min(deadline.remaining() / 4))).await;
        let happening = match reserved {
            Ok(Some(happening)) => happening,
            // Cancelled while its Reserve was on the way.
            Ok(None) => return self.get(order_id).await.ok().flatten(),
            Err(status) => {
                // Not louder: health and breaker say once that inventory is away, and this may be each of thousands.
                let code = status.code();
                tracing::debug!(order.id = %order_id, ?code, "inventory did not answer; the order stays pending");
                return None;
            }
        };
        match self.happen_to(pending.clone(), happening).await.map(|written| written.outcome) {
            Ok(Outcome::Order { order, .. }) => Some(*order),
            Ok(
                outcome @ (Outcome::Impossible(_)
                | Outcome::NotFound
                | Outcome::Forbidden(_)
                | Outcome::RequestIdReused),
            ) => {
                tracing::error!(order.id = %order_id, ?outcome, "inventory's answer does not fit the order");
                self.get(order_id).await.ok().flatten()
            }
            // Inventory's event will complete it.
            Err(error) => {
                tracing::warn!(order.id = %order_id, %error, "the outcome of the reservation is not written yet");
                None
            }
        }
    }
}

/// SHA-256 of the canonical body: the customer, then the lines by SKU, each part with its length in front, so that no two
/// bodies run together. The order of the lines does not make another order.
fn fingerprint(placement: &Placement) -> [u8; 32] {
    let mut lines: Vec<_> = placement.lines.iter().collect();
    lines.sort_unstable();
    let mut hash = Sha256::new();
    let mut part = |bytes: &[u8]| {
        hash.update(u64::try_from(bytes.len()).expect("a part of a request fits in memory").to_be_bytes());
        hash.update(bytes);
    };
    part(placement.customer_id.as_str().as_bytes());
    for (sku, quantity) in lines {
        part(sku.as_str().as_bytes());
        part(&quantity.get().to_be_bytes());
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placement(lines: &[(&str, u32)]) -> Placement {
        let line = |(sku, units): &(&str, u32)| (Sku::parse(sku).unwrap(), Quantity::parse(*units).unwrap());
        Placement {
            customer_id: CustomerId::parse("ada").unwrap(),
            request_id: None,
            lines: lines.iter().map(line).collect(),
        }
    }

    #[test]
    fn the_fingerprint_knows_bodies_apart_but_not_the_order_of_their_lines() {
        let one = fingerprint(&placement(&[("a", 1), ("b", 2)]));
        assert_eq!(one, fingerprint(&placement(&[("b", 2), ("a", 1)])));
        for other in [placement(&[("a", 2), ("b", 1)]), placement(&[("a", 1)]), placement(&[("ab", 1), ("b", 2)])] {
            assert_ne!(one, fingerprint(&other));
        }
        let other_customer = Placement { customer_id: CustomerId::parse("bob").unwrap(), ..placement(&[("a", 1)]) };
        assert_ne!(fingerprint(&placement(&[("a", 1)])), fingerprint(&other_customer));
    }
}
