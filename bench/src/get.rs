//! P4: GetOrder, against a bare tonic server that answers with the same bytes.

use anyhow::Result;
use figures::goal::{Bound, Goal, Verdict};
use figures::table::table;
use serde::Serialize;

use crate::calls::{self, Round, Sides};
use crate::echo::{self, Kind};
use crate::rig::Rig;

const P4: Goal = Goal { name: "P4", ratio: "GetOrder / bare tonic", bound: Bound::AtLeast, must: 0.5, aim: Some(0.7) };

/// The goal, and what it was computed from.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Get {
    verdict: Verdict,
    rounds: Vec<Round>,
    answer_bytes: usize,
}

pub(crate) async fn measure(rig: &mut Rig) -> Result<Get> {
    rig.services_up().await?;
    let order = rig.confirmed_order().await;
    let answer_bytes = prost::Message::encoded_len(&order);
    let (_running, bare) = echo::start(Kind::Bare, &order, rig.platform.folder()).await?;
    let ours = rig.platform.orders.address();
    let rounds = calls::rounds(rig, "get", Sides { call: "get", ours: &ours, bare: &bare }).await?;
    Ok(Get { verdict: P4.judge(rounds.iter().map(Round::ratio)), rounds, answer_bytes })
}

impl Get {
    pub(crate) fn text(&self) -> String {
        format!(
            "GetOrder, {} bytes of answer\n\n{}\n\n{}",
            self.answer_bytes,
            table(&calls::rows(&self.rounds, "GetOrder/s", "bare tonic/s"), &[]),
            table(&[self.verdict.row()], &[0, 1, 2, 3, 4]),
        )
    }
}
