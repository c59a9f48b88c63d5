//! P5 and P10: the whole server stack around a handler that does nothing, against a bare tonic server with that handler.

use anyhow::{Context as _, Result};
use figures::goal::{Bound, Goal, Verdict};
use figures::memory;
use figures::table::{row, table};
use proto::orders::v1::order_service_client::OrderServiceClient;
use proto::orders::v1::{GetOrderRequest, Order};
use serde::Serialize;
use tokio::process::Child;
use tonic::transport::Endpoint;

use crate::calls::{self, Round, Sides};
use crate::cost::float;
use crate::echo::{self, Kind};
use crate::rig::{Rig, progress};

const P5: Goal =
    Goal { name: "P5", ratio: "server stack / bare tonic", bound: Bound::AtLeast, must: 0.9, aim: Some(0.95) };
const P10: Goal = Goal {
    name: "P10",
    ratio: "memory of an idle connection / bare tonic",
    bound: Bound::AtMost,
    must: 1.3,
    aim: Some(1.1),
};
/// Connections whose memory is looked at, and those before them, after which an allocator has what it begins with.
const IDLE: usize = 2_000;
const FIRST: usize = 500;

/// Both goals, and what they were computed from.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Stack {
    verdicts: [Verdict; 2],
    rounds: Vec<Round>,
    /// For each connection, ours and theirs.
    idle_bytes: Vec<[f64; 2]>,
}

pub(crate) async fn measure(rig: &mut Rig) -> Result<Stack> {
    rig.services_up().await?;
    let order = rig.confirmed_order().await;
    rig.services_down().await?;
    let folder = rig.platform.folder();
    let (stacked, ours) = echo::start(Kind::Stacked, &order, folder).await?;
    let (plain, bare) = echo::start(Kind::Bare, &order, folder).await?;
    let rounds = calls::rounds(rig, "stack", Sides { call: "get", ours: &ours, bare: &bare }).await?;
    drop((stacked, plain));
    let mut idle_bytes = Vec::new();
    for number in 1..=rig.options.pairs {
        progress(&format!("idle connections, round {number} of {}", rig.options.pairs));
        idle_bytes.push([idle(rig, Kind::Stacked, &order).await?, idle(rig, Kind::Bare, &order).await?]);
    }
    let p5 = P5.judge(rounds.iter().map(Round::ratio));
    let p10 = P10.judge(idle_bytes.iter().map(|[ours, bare]| ours / bare));
    Ok(Stack { verdicts: [p5, p10], rounds, idle_bytes })
}

/// Bytes that a server needs for a connection which has made one call and makes no other.
async fn idle(rig: &Rig, kind: Kind, order: &Order) -> Result<f64> {
    let (server, address): (Child, String) = echo::start(kind, order, rig.platform.folder()).await?;
    let pid = server.id().context("it runs")?;
    let first = connect(&address, FIRST).await?;
    let before = memory::resident(pid)?;
    let others = connect(&address, IDLE).await?;
    let after = memory::resident(pid)?;
    drop((first, others));
    Ok(float(after.saturating_sub(before)) / float(IDLE as u64))
}

async fn connect(address: &str, count: usize) -> Result<Vec<OrderServiceClient<tonic::transport::Channel>>> {
    let endpoint = Endpoint::from_shared(address.to_owned())?;
    let mut connections = Vec::with_capacity(count);
    for _ in 0..count {
        let mut client = OrderServiceClient::new(endpoint.connect().await?);
        client.get_order(GetOrderRequest::default()).await?;
        connections.push(client);
    }
    Ok(connections)
}

impl Stack {
    pub(crate) fn text(&self) -> String {
        let mut memory = vec![row(["round", "stack KiB", "bare KiB", "ratio"])];
        for (number, [ours, bare]) in (1..).zip(&self.idle_bytes) {
            let kib = |bytes: f64| format!("{:.1}", bytes / 1_024.0);
            memory.push(vec![number.to_string(), kib(*ours), kib(*bare), format!("{:.2}", ours / bare)]);
        }
        format!(
            "The server stack around a handler that does nothing\n\n{}\n\nAn idle connection\n\n{}\n\n{}",
            table(&calls::rows(&self.rounds, "with the stack/s", "bare tonic/s"), &[]),
            table(&memory, &[]),
            table(&self.verdicts.map(|verdict| verdict.row()), &[0, 1, 2, 3, 4]),
        )
    }
}
