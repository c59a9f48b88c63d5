//! The substitute: librdkafka's mock broker, inside this process.

use std::sync::mpsc;
use std::thread;

use anyhow::{Context, Result, anyhow};
use rdkafka::error::KafkaResult;
use rdkafka::mocking::MockCluster;

/// The contract's topics. The mock knows no admin requests, so nobody else can create them.
const TOPICS: [&str; 4] = ["orders.v1", "inventory.v1", "orders.v1.dlq", "inventory.v1.dlq"];
const PARTITIONS: i32 = 6;

/// Its only broker.
const BROKER: i32 = 1;

/// The mock broker and the thread that owns it: the cluster can't move between threads.
#[derive(Debug)]
pub(super) struct MockBroker {
    bootstrap_servers: String,
    orders: Option<mpsc::Sender<Order>>,
    thread: Option<thread::JoinHandle<()>>,
}

#[derive(Debug)]
enum Order {
    Down(mpsc::Sender<KafkaResult<()>>),
    Up(mpsc::Sender<KafkaResult<()>>),
}

impl MockBroker {
    pub(super) fn start() -> Result<Self> {
        let (orders, received) = mpsc::channel();
        let (started, start) = mpsc::channel();
        let thread = thread::Builder::new()
            .name("mock-kafka".to_owned())
            .spawn(move || match cluster() {
                Ok(cluster) => {
                    drop(started.send(Ok(cluster.bootstrap_servers())));
                    obey(&cluster, &received);
                }
                Err(error) => drop(started.send(Err(error))),
            })
            .context("can't start a thread for the mock broker")?;
        let bootstrap_servers = start.recv().context("the mock broker's thread panicked")??;
        Ok(Self { bootstrap_servers, orders: Some(orders), thread: Some(thread) })
    }

    pub(super) fn bootstrap_servers(&self) -> &str {
        &self.bootstrap_servers
    }

    /// Breaks every connection and accepts no more.
    pub(super) fn down(&self) -> Result<()> {
        self.tell(Order::Down)
    }

    /// Accepts connections again, with the same records.
    pub(super) fn up(&self) -> Result<()> {
        self.tell(Order::Up)
    }

    fn tell(&self, order: impl FnOnce(mpsc::Sender<KafkaResult<()>>) -> Order) -> Result<()> {
        let gone = || anyhow!("the mock broker's thread is gone");
        let (done, result) = mpsc::channel();
        self.orders.as_ref().and_then(|orders| orders.send(order(done)).ok()).ok_or_else(gone)?;
        result.recv().map_err(|_| gone())?.context("the mock broker refused")
    }
}

impl Drop for MockBroker {
    fn drop(&mut self) {
        // Without a sender the thread's loop ends; joining it means that the port is free afterwards.
        drop(self.orders.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn cluster() -> Result<MockCluster<'static, rdkafka::producer::DefaultProducerContext>> {
    let cluster = MockCluster::new(BROKER).context("can't start the mock broker")?;
    for topic in TOPICS {
        cluster
            .create_topic(topic, PARTITIONS, 1)
            .with_context(|| format!("can't create {topic} on the mock broker"))?;
    }
    Ok(cluster)
}

fn obey(cluster: &MockCluster<'static, rdkafka::producer::DefaultProducerContext>, orders: &mpsc::Receiver<Order>) {
    for order in orders {
        // Nobody waiting for the answer is fine.
        match order {
            Order::Down(done) => drop(done.send(cluster.broker_down(BROKER))),
            Order::Up(done) => drop(done.send(cluster.broker_up(BROKER))),
        }
    }
}
