//! One PlaceOrders stream that many callers share.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use proto::orders::v1::order_service_client::OrderServiceClient;
use proto::orders::v1::{PlaceOrderRequest, PlaceOrdersRequest, PlaceOrdersResponse};
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::transport::Channel;

use crate::client::{self, Address};
use crate::failure::CallFailed;

/// Orders that wait for the connection to take them.
const QUEUE: usize = 64;

/// The near end of a stream, which lives as long as anybody has it.
#[derive(Debug, Clone)]
pub(super) struct OrderStream {
    sequence: Arc<AtomicU64>,
    unanswered: Unanswered,
    requests: mpsc::Sender<PlaceOrdersRequest>,
}

/// Who waits for which answer.
type Unanswered = Arc<Mutex<HashMap<u64, oneshot::Sender<PlaceOrdersResponse>>>>;

/// The stream ended, or broke, before it had answered.
#[derive(Debug)]
pub(super) struct Ended;

impl OrderStream {
    /// Begins a stream.
    ///
    /// # Errors
    /// The call was refused.
    pub(super) async fn open(channel: Channel, address: &Address) -> Result<Self, CallFailed> {
        let (requests, sent) = mpsc::channel(QUEUE);
        let begun = OrderServiceClient::new(channel).place_orders(client::traced(ReceiverStream::new(sent))).await;
        let answers = begun.map_err(|status| CallFailed::new("PlaceOrders", address, status))?.into_inner();
        let unanswered = Unanswered::default();
        tokio::spawn(hand_out(answers, Arc::clone(&unanswered)));
        Ok(Self { sequence: Arc::default(), unanswered, requests })
    }

    /// Places one order and waits for its answer.
    ///
    /// # Errors
    /// [`Ended`].
    pub(super) async fn place(&self, order: PlaceOrderRequest) -> Result<PlaceOrdersResponse, Ended> {
        let sequence = self.sequence.fetch_add(1, Ordering::Relaxed);
        let (answer, answered) = oneshot::channel();
        self.unanswered.lock().unwrap_or_else(PoisonError::into_inner).insert(sequence, answer);
        let request = PlaceOrdersRequest { sequence, place_order: Some(order) };
        self.requests.send(request).await.map_err(|_| Ended)?;
        answered.await.map_err(|_| Ended)
    }
}

/// Gives each answer to whoever waits for it. At the end of the stream nobody need wait any longer.
async fn hand_out(mut answers: Streaming<PlaceOrdersResponse>, unanswered: Unanswered) {
    let mut next = async || answers.message().await.ok().flatten();
    while let Some(answer) = next().await {
        let waiting = unanswered.lock().unwrap_or_else(PoisonError::into_inner).remove(&answer.sequence);
        if let Some(waiting) = waiting {
            // Who has given up does not want it.
            drop(waiting.send(answer));
        }
    }
    unanswered.lock().unwrap_or_else(PoisonError::into_inner).clear();
}
