use std::time::Duration;

use devstack::{Embedded, Kafka};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{Consumer, StreamConsumer};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{ClientConfig, Message};

use crate::support::{eventually, options};

const TOPIC: &str = "orders.v1";

fn client(kafka: &Kafka) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", kafka.bootstrap_servers()).set("reconnect.backoff.max.ms", "100");
    config
}

async fn create_topic(kafka: &Kafka) {
    let admin: AdminClient<DefaultClientContext> = client(kafka).create().unwrap();
    let topic = NewTopic::new(TOPIC, 6, TopicReplication::Fixed(1));
    let results = admin.create_topics([&topic], &AdminOptions::new()).await.unwrap();
    assert!(results.iter().all(Result::is_ok), "{results:?}");
}

async fn produce(kafka: &Kafka, value: &str) {
    let producer: FutureProducer = client(kafka).set("message.timeout.ms", "20000").create().unwrap();
    let record = FutureRecord::to(TOPIC).key("order-1").payload(value);
    producer.send(record, Duration::from_secs(20)).await.unwrap();
}

/// The first `count` values of the topic, read by a consumer group of its own.
async fn consume(kafka: &Kafka, group: &str, count: usize) -> Vec<String> {
    let consumer: StreamConsumer = client(kafka)
        .set("group.id", group)
        .set("auto.offset.reset", "earliest")
        .set("fetch.wait.max.ms", "5")
        .create()
        .unwrap();
    consumer.subscribe(&[TOPIC]).unwrap();
    let mut values = Vec::new();
    while values.len() < count {
        let record = tokio::time::timeout(Duration::from_secs(30), consumer.recv()).await.expect("a record").unwrap();
        values.push(record.payload_view::<str>().unwrap().unwrap().to_owned());
    }
    values
}

#[tokio::test]
async fn record_survives_a_crash_and_a_stop_of_its_broker() {
    let (options, _folder) = options();
    let mut kafka = Kafka::start(&options).await.unwrap();
    if kafka.is_substitute() || kafka.pid().is_none() {
        eprintln!("SKIPPED: not a broker of ours: {}", kafka.description());
        return;
    }
    create_topic(&kafka).await;
    produce(&kafka, "first").await;
    assert_eq!(consume(&kafka, "before", 1).await, ["first"]);

    let before = kafka.bootstrap_servers().to_owned();
    kafka.kill().await.unwrap();
    assert!(tokio::net::TcpStream::connect(&before).await.is_err(), "a killed broker still listens");
    let start = std::time::Instant::now();
    kafka.restart().await.unwrap();
    eprintln!("kafka: up {} ms after a crash", start.elapsed().as_millis());
    assert_eq!(kafka.bootstrap_servers(), before);
    produce(&kafka, "second").await;
    assert_eq!(consume(&kafka, "after", 2).await, ["first", "second"]);
    eprintln!("kafka: usable {} ms after a crash", start.elapsed().as_millis());
    kafka.stop().await.unwrap();

    // On other ports: the storage must not hold on to the old ones.
    let again = Kafka::start(&options).await.unwrap();
    assert_ne!(again.bootstrap_servers(), before);
    assert_eq!(consume(&again, "later", 2).await, ["first", "second"]);
    again.stop().await.unwrap();
}

#[tokio::test]
async fn mock_broker_has_the_topics_keeps_records_while_down_and_says_that_it_is_a_substitute() {
    let (mut options, _folder) = options();
    options.sources.kafka_bootstrap_servers = None;
    options.sources.embedded = Embedded { kafka: true, ..Embedded::default() };
    let mut kafka = Kafka::start(&options).await.unwrap();
    assert!(kafka.is_substitute() && kafka.description().contains("SUBSTITUTE"));
    assert!(kafka.bootstrap_servers().starts_with("127.0.0.1:"), "{}", kafka.bootstrap_servers());
    produce(&kafka, "first").await;

    kafka.kill().await.unwrap();
    let consumer: StreamConsumer = client(&kafka).create().unwrap();
    let partitions = |consumer: &StreamConsumer| {
        let metadata = consumer.fetch_metadata(Some(TOPIC), Duration::from_millis(500)).ok()?;
        Some(metadata.topics()[0].partitions().len())
    };
    assert_eq!(partitions(&consumer), None, "a broker that is down still answers");
    kafka.restart().await.unwrap();
    let count = eventually("the broker answers again", async || partitions(&consumer)).await;
    assert_eq!(count, 6);
    assert_eq!(consume(&kafka, "after", 1).await, ["first"]);
    kafka.stop().await.unwrap();
}

#[tokio::test]
async fn missing_java_is_an_error_when_the_real_broker_is_required_and_a_substitute_otherwise() {
    let (mut options, _folder) = options();
    options.sources.kafka_bootstrap_servers = None;
    options.sources.path = None;
    options.sources.java_home = None;
    options.sources.require_real = true;
    let error = Kafka::start(&options).await.unwrap_err().to_string();
    assert!(error.contains("java") && error.contains("DEVSTACK_REQUIRE_REAL"), "{error}");

    options.sources.require_real = false;
    let kafka = Kafka::start(&options).await.unwrap();
    assert!(kafka.is_substitute());
    kafka.stop().await.unwrap();
}
