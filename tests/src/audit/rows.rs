//! Orders and reservations as the databases have them.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use anyhow::{Result, ensure};
use futures::TryStreamExt as _;
use serde_json::Value;
use sqlx::PgPool;
use uuid::Uuid;

use super::Of;

/// What the database says of an order or a reservation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    pub(super) status: i16,
    pub(super) version: usize,
    /// SKUs and quantities, in any order; 0 without lines.
    lines: u64,
}

/// By order id.
pub(super) struct Rows(HashMap<Uuid, Row>);

impl Rows {
    pub(super) async fn orders(database: &PgPool, of: Of<'_>) -> Result<Self> {
        let customer = match of {
            Of::Everybody => None,
            Of::Customer(customer) => Some(customer),
        };
        let rows = sqlx::query_as(
            "select order_id, status, version, lines from orders where $1::text is null or customer_id = $1",
        )
        .bind(customer)
        .fetch(database);
        Ok(Self(rows.map_ok(row).try_collect().await?))
    }

    pub(super) async fn reservations(database: &PgPool, orders: &Self) -> Result<Self> {
        let rows = sqlx::query_as("select order_id, status, version, lines from reservations where order_id = any($1)")
            .bind(orders.0.keys().copied().collect::<Vec<Uuid>>())
            .fetch(database);
        Ok(Self(rows.map_ok(row).try_collect().await?))
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Uuid, &Row)> {
        self.0.iter()
    }

    pub(super) fn contains(&self, order_id: &Uuid) -> bool {
        self.0.contains_key(order_id)
    }
}

fn row((order_id, status, version, lines): (Uuid, i16, i16, Value)) -> (Uuid, Row) {
    let version = usize::try_from(version).expect("versions count up from 1");
    let hash = |line: &Value| {
        let mut hasher = DefaultHasher::new();
        line["sku"].as_str().expect("a line has a SKU").hash(&mut hasher);
        line["quantity"].as_u64().expect("a line has a quantity").hash(&mut hasher);
        hasher.finish()
    };
    let lines = lines.as_array().expect("lines are a list").iter().map(hash).fold(0, u64::wrapping_add);
    (order_id, Row { status, version, lines })
}

/// Whether inventory holds for each order what it should.
pub(super) fn agree(orders: &Rows, reservations: &Rows) -> Result<()> {
    for (id, order) in &orders.0 {
        let reservation = reservations.0.get(id);
        let status = reservation.map(|reservation| reservation.status);
        // Numbers as in the contract's enums.
        let fits = match order.status {
            1 => true,
            2 => status == Some(1),
            3 => status == Some(4),
            4 => matches!(status, Some(2 | 4)),
            5 => status == Some(3),
            _ => false,
        };
        ensure!(fits, "order {id} has status {} and its reservation {status:?}", order.status);
        if let Some(reservation) = reservation.filter(|reservation| reservation.lines != 0) {
            ensure!(reservation.lines == order.lines, "order {id} and its reservation have different lines");
        }
    }
    Ok(())
}
