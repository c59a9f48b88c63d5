//! A caller's connections, and what it does when one of them fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use proto::orders::v1::order_service_client::OrderServiceClient;
use tonic::transport::Channel;
use tonic::{Request, Response, Status};

use crate::client;

pub(super) type Orders = OrderServiceClient<Channel>;

/// Connections that callers share, one of which a caller uses as long as it works. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Connections {
    all: Vec<Orders>,
    /// Which of them somebody has seen break and nobody has seen work since. A connection that leads nowhere keeps each
    /// call for seconds, so once is enough.
    broken: Arc<[AtomicBool]>,
    current: usize,
    retries: u32,
}

impl Connections {
    /// The same for every caller, each with another connection to begin with. One call may be sent `retries` times again.
    pub(super) fn share(channels: &[Channel], retries: u32) -> Vec<Self> {
        let all: Vec<Orders> = channels.iter().cloned().map(OrderServiceClient::new).collect();
        let broken: Arc<[AtomicBool]> = channels.iter().map(|_| AtomicBool::new(false)).collect();
        (0..all.len()).map(|current| Self { all: all.clone(), broken: Arc::clone(&broken), current, retries }).collect()
    }

    /// Sends a call, and again over another connection as often as it may be. Only for what may be repeated.
    pub(super) async fn send<M: Clone, T, F>(
        &mut self,
        message: M,
        request: impl Fn(M) -> Request<M>,
        call: impl Fn(Orders, Request<M>) -> F,
    ) -> Result<T, Status>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        if self.broken[self.current].load(Ordering::Relaxed) {
            self.go_to_another();
        }
        let mut retries = self.retries;
        loop {
            let status = match call(self.all[self.current].clone(), request(message.clone())).await {
                Ok(response) => {
                    self.broken[self.current].store(false, Ordering::Relaxed);
                    return Ok(response.into_inner());
                }
                Err(status) => status,
            };
            if !client::is_worth_another_connection(&status) {
                return Err(status);
            }
            // What was only late may come from a service that is only busy.
            if !client::is_timed_out(&status) {
                self.broken[self.current].store(true, Ordering::Relaxed);
            }
            self.go_to_another();
            if retries == 0 {
                return Err(status);
            }
            retries -= 1;
        }
    }

    /// The next one that is not broken; where all are, the next one.
    fn go_to_another(&mut self) {
        let count = self.all.len();
        let mut others = (1..=count).map(|step| (self.current + step) % count);
        let works = |other: &usize| !self.broken[*other].load(Ordering::Relaxed);
        self.current = others.find(works).unwrap_or((self.current + 1) % count);
    }
}

#[cfg(test)]
mod tests {
    use proto::orders::v1::{GetOrderRequest, GetOrderResponse};
    use tonic::Code;
    use tonic::transport::Endpoint;

    use super::*;

    fn three(retries: u32) -> Connections {
        let channels = [1, 2, 3].map(|port| {
            let endpoint = Endpoint::from_shared(format!("http://127.0.0.1:{port}")).expect("an address");
            endpoint.connect_lazy()
        });
        Connections::share(&channels, retries).swap_remove(0)
    }

    /// Sends a call that is answered with one code after the other; the last result, and the connection in use then.
    async fn answered(connections: &mut Connections, codes: &[Code]) -> (Code, usize) {
        let codes = std::cell::RefCell::new(codes.iter());
        let call = |_, _| {
            let code = *codes.borrow_mut().next().expect("a call that may be sent");
            async move {
                if code == Code::Ok {
                    Ok(Response::new(GetOrderResponse::default()))
                } else {
                    Err(Status::new(code, ""))
                }
            }
        };
        let sent = connections.send(GetOrderRequest::default(), Request::new, call).await;
        (sent.map_or_else(|status| status.code(), |_| Code::Ok), connections.current)
    }

    #[tokio::test]
    async fn call_over_a_broken_connection_goes_to_the_next_and_stays_there() {
        let mut connections = three(1);
        assert_eq!(answered(&mut connections, &[Code::Unavailable, Code::Ok]).await, (Code::Ok, 1));
        assert_eq!(answered(&mut connections, &[Code::Ok]).await, (Code::Ok, 1));
        // The first one is known to be broken.
        assert_eq!(answered(&mut connections, &[Code::Unavailable, Code::Ok]).await, (Code::Ok, 2));
        assert_eq!(answered(&mut connections, &[Code::Unavailable, Code::Unavailable]).await, (Code::Unavailable, 1));
    }

    #[tokio::test]
    async fn what_one_caller_has_seen_break_others_do_not_try() {
        let mut one = three(0);
        let mut other = one.clone();
        assert_eq!(answered(&mut one, &[Code::Unavailable]).await, (Code::Unavailable, 1));
        assert_eq!(answered(&mut other, &[Code::Ok]).await, (Code::Ok, 1));
    }

    #[tokio::test]
    async fn answer_of_the_service_is_no_reason_to_leave() {
        let mut connections = three(3);
        assert_eq!(answered(&mut connections, &[Code::ResourceExhausted]).await, (Code::ResourceExhausted, 0));
    }
}
