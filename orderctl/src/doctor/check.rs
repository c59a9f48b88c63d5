//! Every check by name, and what it needs.

use crate::cli::Part;

/// One thing that is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Check {
    /// A service's database answers.
    Database(Part),
    /// It has every migration.
    Schema(Part),
    /// The brokers answer.
    Kafka,
    /// Every topic is there.
    Topics,
    /// The trace store answers.
    Jaeger,
    /// Both listeners of a service answer, and are that service's.
    Answers(Part),
    /// It says that it lacks nothing.
    Healthy(Part),
    /// Its consumers are in their group.
    Group(Part),
    /// Stock can be brought in.
    Import,
    /// An order is confirmed.
    Order,
    /// It can be cancelled.
    Cancel,
    /// Its events leave the outbox.
    Outbox(Part),
    /// A service's consumer reads to the end of its topic.
    Consumer(Part),
    /// Cancelling gave the stock back.
    StockBack,
    /// The order's trace is whole.
    Trace,
    /// A service has counted the calls.
    Metrics(Part),
    /// Prometheus scrapes both services.
    Prometheus,
    /// Every query of every dashboard returns something.
    Dashboards,
}

impl Check {
    /// As it is printed.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Database(Part::Order) => "orders database",
            Self::Database(Part::Inventory) => "inventory database",
            Self::Schema(Part::Order) => "orders schema",
            Self::Schema(Part::Inventory) => "inventory schema",
            Self::Kafka => "kafka",
            Self::Topics => "topics",
            Self::Jaeger => "jaeger",
            Self::Answers(part) => part.service(),
            Self::Healthy(Part::Order) => "order-svc health",
            Self::Healthy(Part::Inventory) => "inventory-svc health",
            Self::Group(Part::Order) => "order-svc group",
            Self::Group(Part::Inventory) => "inventory-svc group",
            Self::Import => "stock import",
            Self::Order => "order",
            Self::Cancel => "cancellation",
            Self::Outbox(Part::Order) => "order-svc outbox",
            Self::Outbox(Part::Inventory) => "inventory-svc outbox",
            Self::Consumer(Part::Order) => "order-svc consumer",
            Self::Consumer(Part::Inventory) => "inventory-svc consumer",
            Self::StockBack => "stock back",
            Self::Trace => "trace",
            Self::Metrics(Part::Order) => "order-svc metrics",
            Self::Metrics(Part::Inventory) => "inventory-svc metrics",
            Self::Prometheus => "prometheus",
            Self::Dashboards => "dashboards",
        }
    }

    /// What has to be fine before it makes sense.
    pub(super) fn needs(self) -> Vec<Self> {
        let each = |check: fn(Part) -> Self| [check(Part::Inventory), check(Part::Order)];
        match self {
            Self::Database(_) | Self::Kafka | Self::Jaeger | Self::Answers(_) | Self::Prometheus => Vec::new(),
            Self::Schema(part) => vec![Self::Database(part)],
            Self::Topics => vec![Self::Kafka],
            Self::Healthy(part) => vec![Self::Answers(part)],
            Self::Group(part) => vec![Self::Kafka, Self::Answers(part)],
            Self::Import => super::ready_for_an_order(),
            Self::Order => vec![Self::Import],
            Self::Cancel => vec![Self::Order],
            Self::Outbox(part) => vec![Self::Schema(part), Self::Cancel],
            // A consumer is seen working only where there is something to read.
            Self::Consumer(Part::Order) => vec![Self::Outbox(Part::Inventory)],
            Self::Consumer(Part::Inventory) => vec![Self::Outbox(Part::Order)],
            Self::StockBack => vec![Self::Consumer(Part::Inventory)],
            Self::Trace => {
                let mut needs = vec![Self::Jaeger];
                needs.extend(each(Self::Consumer));
                needs
            }
            Self::Metrics(part) => vec![Self::Answers(part), Self::Order],
            Self::Dashboards => vec![Self::Prometheus],
        }
    }
}
