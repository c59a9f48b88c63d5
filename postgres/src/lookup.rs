//! Lookups: reads of many callers, one query.
//!
//! A caller asks for a key and waits. What is waiting is looked up together, in one query; while it runs, the next
//! gathers. A key joins a query only before it is sent (O7), so that everyone reads their own writes, and everything else
//! that was committed before they asked.

use std::collections::HashMap;
use std::convert::Infallible;
use std::hash::Hash;
use std::sync::Arc;
use std::time::SystemTime;

use futures::future::BoxFuture;
use observability::{names, spans};
use opentelemetry::Context;
use runtime::tasks::TaskGroup;
use sqlx::PgPool;
use tokio::sync::oneshot;

use crate::queue::{Limits, Queue, Refused, Waiting};
use crate::{Database, contained, telemetry};

/// Keys that may wait; more are refused.
const CAPACITY: usize = 10_000;
/// Keys of one query.
const KEYS: usize = 128;
/// Queries at the same time.
const QUERIES: usize = 2;

/// What is looked up.
pub trait Query: Send + Sync + 'static {
    /// Name of the operation, for metrics and spans; from a closed list.
    const OPERATION: &'static str;
    /// What it is found by.
    type Key: Clone + Eq + Hash + Send + Sync + 'static;
    /// What is found.
    type Value: Clone + Send + Sync + 'static;

    /// Reads the values of `keys`, each given once; those that don't exist are left out.
    fn read<'t>(&'t self, reads: &'t PgPool, keys: &'t [Self::Key]) -> Reading<'t, Self::Key, Self::Value>;
}

/// Values by key, on their way.
pub type Reading<'t, K, V> = BoxFuture<'t, Result<HashMap<K, V>, sqlx::Error>>;

/// Why there is no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LookupError {
    /// Too many callers are waiting, or the service is stopping.
    #[error("too many lookups are waiting")]
    Overloaded,
    /// The query failed, for all that shared it.
    #[error(transparent)]
    Database(#[from] Arc<sqlx::Error>),
}

/// Hands keys to the lookup's tasks. Cheap to clone.
#[derive(Debug)]
pub struct Lookup<Q: Query> {
    queue: Arc<Queue<Asked<Q>>>,
}

impl<Q: Query> Clone for Lookup<Q> {
    fn clone(&self) -> Self {
        Self { queue: Arc::clone(&self.queue) }
    }
}

type Callers<Q> = Vec<(Context, oneshot::Sender<Answer<Q>>)>;
type Answer<Q> = Result<Option<<Q as Query>::Value>, LookupError>;

/// A caller that waits for a key.
struct Asked<Q: Query> {
    key: Q::Key,
    context: Context,
    reply: oneshot::Sender<Answer<Q>>,
}

impl<Q: Query> Waiting for Asked<Q> {
    fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }
}

impl<Q: Query> Lookup<Q> {
    /// Starts the tasks. They end when `tasks` is stopped and everyone has their answer.
    #[must_use]
    pub fn start(query: Q, database: &Database, tasks: &TaskGroup) -> Self {
        let limits = Limits { capacity: CAPACITY, batch: KEYS, overlap: 1 };
        let depth = metrics::gauge!(names::LOOKUP_QUEUE_KEYS, "db_operation_name" => Q::OPERATION);
        let (queue, query) = (Arc::new(Queue::new(limits, depth)), Arc::new(query));
        for _ in 0..QUERIES {
            let (queue, query, database) = (Arc::clone(&queue), Arc::clone(&query), database.clone());
            tasks.spawn("lookup", async move {
                while let Some(mut taken) = queue.take().await {
                    look_up(&*query, &database, std::mem::take(&mut taken.items)).await;
                }
                Ok::<(), Infallible>(())
            });
        }
        let (closing, stop) = (Arc::clone(&queue), tasks.stop_token());
        tasks.spawn("lookup-stop", async move {
            stop.cancelled().await;
            closing.close();
            Ok::<(), Infallible>(())
        });
        Self { queue }
    }

    /// The value of `key`, as it is at a moment after this call; `None` if there is none. In the current trace context.
    ///
    /// # Errors
    /// [`LookupError`].
    pub async fn get(&self, key: Q::Key) -> Answer<Q> {
        let (reply, answer) = oneshot::channel();
        let asked = Asked { key, context: Context::current(), reply };
        self.queue.put(asked, false).map_err(|refused| match refused {
            Refused::Full | Refused::Closed => LookupError::Overloaded,
        })?;
        answer.await.unwrap_or(Err(LookupError::Overloaded))
    }
}

async fn look_up<Q: Query>(query: &Q, database: &Database, asked: Vec<Asked<Q>>) {
    let mut waiting: HashMap<Q::Key, Callers<Q>> = HashMap::with_capacity(asked.len());
    for Asked { key, context, reply } in asked {
        waiting.entry(key).or_default().push((context, reply));
    }
    if waiting.is_empty() {
        return;
    }
    let keys: Vec<Q::Key> = waiting.keys().cloned().collect();
    let started = SystemTime::now();
    let found = contained(query.read(database.reads(), &keys)).await.map_err(Arc::new);
    let ended = SystemTime::now();
    telemetry::operation(Q::OPERATION, started, ended, found.is_ok());
    let error = found.as_ref().err().map(ToString::to_string);
    for (key, callers) in waiting {
        let answer = found.as_ref().map(|found| found.get(&key).cloned());
        for (context, reply) in callers {
            spans::database(Q::OPERATION, &context, started, ended, keys.len(), error.as_deref());
            // The caller may be gone.
            drop(reply.send(answer.clone().map_err(|error| LookupError::Database(Arc::clone(error)))));
        }
    }
}
