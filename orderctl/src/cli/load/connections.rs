//! A caller's connections, and what it does when one of them fails.

use proto::orders::v1::order_service_client::OrderServiceClient;
use tonic::transport::Channel;
use tonic::{Request, Response, Status};

use crate::client;

pub(super) type Orders = OrderServiceClient<Channel>;

/// Connections that callers share, one of which a caller uses as long as it works. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Connections {
    all: Vec<Orders>,
    current: usize,
    retries: u32,
}

impl Connections {
    /// `home` is the number of the connection to begin with; `retries`, how often one call may be sent again.
    pub(super) fn new(channels: &[Channel], home: usize, retries: u32) -> Self {
        Self { all: channels.iter().cloned().map(OrderServiceClient::new).collect(), current: home, retries }
    }

    /// Sends a call, and again over the next connection as often as it may be. Only for what may be repeated.
    pub(super) async fn send<M: Clone, T, F>(
        &mut self,
        message: M,
        request: impl Fn(M) -> Request<M>,
        call: impl Fn(Orders, Request<M>) -> F,
    ) -> Result<T, Status>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let mut retries = self.retries;
        loop {
            let status = match call(self.all[self.current].clone(), request(message.clone())).await {
                Ok(response) => return Ok(response.into_inner()),
                Err(status) => status,
            };
            if !client::is_worth_another_connection(&status) {
                return Err(status);
            }
            // Nor does the next call begin with the connection that has just failed.
            self.current = (self.current + 1) % self.all.len();
            if retries == 0 {
                return Err(status);
            }
            retries -= 1;
        }
    }
}
