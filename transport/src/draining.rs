//! Streams that last: they would hold up the end of a service, so they are told to go elsewhere.

use std::time::Duration;

use futures::stream::{self, BoxStream, Stream, StreamExt as _};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::error::ErrorDomain;

/// When to come back: at once, to another instance.
pub(crate) const RETRY_AFTER: Duration = Duration::from_millis(100);

/// `items` until they end, or until `stop`: then UNAVAILABLE with reason DRAINING as the last item.
pub fn until_draining<T: Send + 'static>(
    items: impl Stream<Item = Result<T, Status>> + Send + 'static,
    stop: CancellationToken,
    domain: ErrorDomain,
) -> BoxStream<'static, Result<T, Status>> {
    let open = Some(items.boxed());
    stream::unfold(open, move |open| {
        let stop = stop.clone();
        async move {
            let mut items = open?;
            tokio::select! {
                // First, because a busy stream always has a next item.
                biased;
                () = stop.cancelled() => Some((Err(domain.draining(RETRY_AFTER)), None)),
                item = items.next() => Some((item?, Some(items))),
            }
        }
    })
    .boxed()
}

/// What ends a stream after its last answers: UNAVAILABLE with reason DRAINING if `stop` was why it took no more requests.
pub fn farewell<T: Send + 'static>(
    stop: CancellationToken,
    domain: ErrorDomain,
) -> impl Stream<Item = Result<T, Status>> + Send + 'static {
    let last = async move { stop.is_cancelled().then(|| Err(domain.draining(RETRY_AFTER))) };
    stream::once(last).filter_map(std::future::ready)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stream_that_lasts_is_told_to_go_elsewhere_and_one_that_ends_is_not() {
        let stop = CancellationToken::new();
        let lasting = stream::iter([Ok(1)]).chain(stream::pending());
        let mut lasting = until_draining(lasting, stop.clone(), ErrorDomain::ORDERS);
        assert_eq!(lasting.next().await.unwrap().unwrap(), 1);
        stop.cancel();
        let last = lasting.next().await.unwrap().unwrap_err();
        assert_eq!(crate::error::reason_of(&last).as_deref(), Some(proto::reasons::DRAINING));
        assert!(lasting.next().await.is_none());

        let going_on = CancellationToken::new();
        let ending = until_draining(stream::iter([Ok(1)]), going_on, ErrorDomain::ORDERS);
        assert_eq!(ending.map(|item| item.unwrap()).collect::<Vec<i32>>().await, [1]);
    }
}
