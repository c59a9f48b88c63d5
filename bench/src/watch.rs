//! P5: what WatchOrder delivers, against a bare tonic server stream that sends the same; and what an idle watch takes.

use anyhow::{Result, ensure};
use figures::goal::{Bound, Goal, Verdict};
use figures::memory;
use figures::table::table;
use proto::orders::v1::order_service_client::OrderServiceClient;
use proto::orders::v1::{Order, WatchOrderRequest};
use serde::Serialize;

use crate::calls::{self, Round, Sides};
use crate::cost::float;
use crate::echo::{self, Kind};
use crate::rig::{Rig, progress};

const P5: Goal =
    Goal { name: "P5", ratio: "WatchOrder / bare server stream", bound: Bound::AtLeast, must: 0.5, aim: Some(0.8) };
/// Watches that are open at once and wait, and how many connections they share.
const IDLE: usize = 1_000;
const CONNECTIONS: usize = 4;

/// The goal, and what it was computed from.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Watch {
    verdict: Verdict,
    rounds: Vec<Round>,
    /// Of order-svc, for each watch of an order that does not change.
    idle_bytes: f64,
}

pub(crate) async fn measure(rig: &mut Rig) -> Result<Watch> {
    rig.services_up().await?;
    let order = rig.confirmed_order().await;
    let (_running, bare) = echo::start(Kind::Bare, &order, rig.platform.folder()).await?;
    let ours = rig.platform.orders.address();
    let rounds = calls::rounds(rig, "watch", Sides { call: "watch", ours: &ours, bare: &bare }).await?;
    let idle_bytes = idle_bytes(rig).await?;
    Ok(Watch { verdict: P5.judge(rounds.iter().map(Round::ratio)), rounds, idle_bytes })
}

/// Opens watches of an order each, and looks at what they take once they have given what there is.
async fn idle_bytes(rig: &Rig) -> Result<f64> {
    progress(&format!("{IDLE} idle watches"));
    let mut orders: Vec<Order> = Vec::with_capacity(IDLE);
    for _ in 0..IDLE {
        orders.push(rig.confirmed_order().await);
    }
    let pid = rig.platform.orders.pid().expect("order-svc runs");
    let clients: Vec<_> = (0..CONNECTIONS).map(|_| OrderServiceClient::new(rig.platform.orders.channel())).collect();
    for client in &clients {
        // So that what a connection takes is not counted.
        let first = WatchOrderRequest { order_id: orders[0].order_id.clone(), after_version: 1 };
        client.clone().watch_order(first).await?.into_inner().message().await?;
    }
    let before = memory::resident(pid)?;
    let mut watches = Vec::with_capacity(IDLE);
    for (order, client) in orders.iter().zip(clients.iter().cycle()) {
        let request = WatchOrderRequest { order_id: order.order_id.clone(), after_version: 0 };
        let mut watch = client.clone().watch_order(request).await?.into_inner();
        let now = watch.message().await?.and_then(|answer| answer.order);
        ensure!(now.as_ref() == Some(order), "a watch begins with {now:?}");
        watches.push(watch);
    }
    let after = memory::resident(pid)?;
    drop(watches);
    Ok(float(after.saturating_sub(before)) / float(IDLE as u64))
}

impl Watch {
    pub(crate) fn text(&self) -> String {
        format!(
            "WatchOrder: streams of two versions, from the call to the end\n\n{}\n\n{}\n\nfor information: an idle watch takes {:.1} KiB of order-svc",
            table(&calls::rows(&self.rounds, "WatchOrder/s", "bare stream/s"), &[]),
            table(&[self.verdict.row()], &[0, 1, 2, 3, 4]),
            self.idle_bytes / 1_024.0,
        )
    }
}
