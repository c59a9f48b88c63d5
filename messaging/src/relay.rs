//! The relay: publishes the outbox, in order, and deletes what the brokers acknowledged.
//!
//! One relay leads for each database, whatever number of replicas there is ([`leadership`]). It reads rows by id, and never
//! by a cursor, because a transaction that commits late has lower ids (R1); what it leaves out was proven to be empty
//! ([`low_water`]). It hands their events to an idempotent producer, awaits all acknowledgements together, and deletes
//! exactly the rows whose events were all acknowledged (R2). Everything else stays and is tried again: unknown topics,
//! brokers that are away, a producer that gave up. Only what no broker will ever take is final, and becomes a dead letter
//! (R4).

mod backlog;
mod delivery;
mod leadership;
mod low_water;
mod message;
mod notification;
mod publish;
mod table;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use observability::names;
use postgres::Database;
use runtime::tasks::TaskGroup;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::leadership::Leadership;
pub(crate) use self::leadership::{APPLICATION as LEADER_APPLICATION, LOCK as LEADER_LOCK};
use self::low_water::ShownMark;
use self::publish::{Publisher, Round, Suspects};
use crate::{KafkaSettings, pace, topics};

/// Pause after a round that failed; brokers that are away are asked again by librdkafka itself.
const BACK_OFF: Duration = Duration::from_millis(500);
/// How long a round may go on after the stop.
const LAST_ROUND: Duration = Duration::from_secs(2);

/// Wakes the relay that leads, in this process or another, so that what was just committed does not wait for its next look
/// at the table (R5).
#[derive(Clone, Debug, Default)]
pub struct RelayWaker(Arc<Notify>);

impl RelayWaker {
    /// There may be new rows. Cheap, never blocks, many calls count as one.
    pub fn wake(&self) {
        self.0.notify_one();
    }
}

/// A running relay.
#[derive(Debug)]
pub struct Relay {
    leading: watch::Receiver<bool>,
}

impl Relay {
    /// Spawns the relay's tasks. It begins once `schema_ready` says that there is an outbox. `source` is the service's
    /// name, as in `ce_source`.
    #[must_use]
    pub fn start(
        settings: KafkaSettings,
        source: &'static str,
        database: Database,
        waker: RelayWaker,
        schema_ready: CancellationToken,
        tasks: &TaskGroup,
    ) -> Self {
        let (say_leading, leading) = watch::channel(false);
        let stop = tasks.stop_token();
        let mark = ShownMark::new();
        backlog::watch(database.clone(), leading.clone(), mark.clone(), stop.clone(), tasks);
        notification::listen(database.clone(), waker.clone(), leading.clone(), stop.clone(), tasks);
        let lead = Leader { settings, source, database, waker, mark, stop: stop.clone() };
        tasks.spawn("relay", async move {
            // There from the start, so that "nobody leads" is a 0 and not a series that is missing.
            let gauge = metrics::gauge!(names::RELAY_LEADER);
            gauge.set(0.0);
            tokio::select! {
                () = schema_ready.cancelled() => {}
                () = stop.cancelled() => return Ok::<(), Infallible>(()),
            }
            while !stop.is_cancelled() {
                let leadership = tokio::select! {
                    leadership = Leadership::acquire(&lead.database, &stop) => leadership,
                    never = notification::tell_the_leader(&lead.database, &lead.waker) => match never {},
                };
                if let Some(mut leadership) = leadership {
                    tracing::info!("this replica's relay leads");
                    say_leading.send_replace(true);
                    gauge.set(1.0);
                    let publishing = lead.publish_until_stopped();
                    tokio::select! {
                        () = publishing => leadership.release().await,
                        () = leadership.lost() => tracing::warn!("leadership of the relay lost"),
                        // Brokers that are away must not hold up the end; what was not acknowledged stays in the outbox.
                        () = lead.patience_after_stop() => tracing::info!("the relay leaves records for the next one"),
                    }
                    say_leading.send_replace(false);
                    gauge.set(0.0);
                }
            }
            Ok(())
        });
        Self { leading }
    }

    /// Whether this replica's relay leads. Other work that one replica at a time should do follows it.
    #[must_use]
    pub fn leading(&self) -> watch::Receiver<bool> {
        self.leading.clone()
    }
}

struct Leader {
    settings: KafkaSettings,
    source: &'static str,
    database: Database,
    waker: RelayWaker,
    mark: ShownMark,
    stop: CancellationToken,
}

impl Leader {
    /// Dropped when leadership is lost: the producer goes with it, and with it everything that was not sent yet. No
    /// transaction is open across an await here, so nothing is cut in half.
    async fn publish_until_stopped(&self) {
        let mut publisher: Option<Publisher> = None;
        let mut suspects = Suspects::default();
        loop {
            // Asked before the round: what the writers committed while they ended goes out in a last one.
            let is_last = self.stop.is_cancelled();
            let mut ready = match publisher.take() {
                Some(publisher) => publisher,
                None => match self.new_publisher().await {
                    Ok(publisher) => publisher,
                    Err(problem) => {
                        tracing::warn!(problem, "the relay waits for kafka");
                        self.pause(BACK_OFF).await;
                        continue;
                    }
                },
            };
            let begun = Instant::now();
            match ready.round(&mut suspects).await {
                Round::MoreToDo => publisher = Some(ready),
                Round::AllDone { .. } if is_last => return,
                Round::AllDone { published } => {
                    publisher = Some(ready);
                    if published > 0 {
                        tokio::time::sleep_until(begun + pace::until_next_round(published)).await;
                    }
                    self.idle(self.settings.relay_poll_interval).await;
                }
                Round::Failed => {
                    publisher = Some(ready);
                    self.pause(BACK_OFF).await;
                }
                // A new producer is made after another look at the topics.
                Round::ProducerBroken => self.pause(BACK_OFF).await,
            }
        }
    }

    async fn patience_after_stop(&self) {
        self.stop.cancelled().await;
        tokio::time::sleep(LAST_ROUND).await;
    }

    async fn new_publisher(&self) -> Result<Publisher, String> {
        topics::ensure(&self.settings).await.map_err(|error| error.to_string())?;
        Publisher::new(&self.settings, self.source, self.database.clone(), self.mark.clone())
            .map_err(|error| error.to_string())
    }

    async fn idle(&self, longest: Duration) {
        tokio::select! {
            () = self.waker.0.notified() => {}
            () = self.stop.cancelled() => {}
            () = tokio::time::sleep(longest) => {}
        }
    }

    /// Not cut short by a stop, which would make a loop that fails spin: see [`Leader::patience_after_stop`].
    async fn pause(&self, length: Duration) {
        tokio::time::sleep(length).await;
    }
}
