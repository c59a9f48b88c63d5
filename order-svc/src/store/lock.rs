//! Every lock of a batch, in one order, then what they protect (T1).

use std::collections::{BTreeMap, BTreeSet, HashMap};

use observability::propagation::TraceHeaders;
use postgres::Transaction;
use proto::values::OrderId;
use time::OffsetDateTime;
use uuid::Uuid;

use super::rows::{OrderRow, lines_json};
use super::{StoredOrder, Submitted};
use crate::domain::decide::{self, NewOrder};
use crate::domain::ledger::{Command, Ledger};
use crate::domain::order::Order;

/// Locks and loads everything that `commands` are about, and the placements of those orders.
pub(super) async fn lock_and_load(
    transaction: &mut Transaction,
    commands: &[Submitted],
    now: OffsetDateTime,
    sweep_at: OffsetDateTime,
) -> Result<(Ledger, HashMap<OrderId, TraceHeaders>), sqlx::Error> {
    let mut ledger = Ledger::default();
    let mut placements = HashMap::new();
    let mut loaded = |ledger: &mut Ledger, StoredOrder { order, placement }: StoredOrder| {
        placements.insert(order.order_id, placement);
        ledger.load(order);
    };

    let new = first_of_each_key(commands);
    let claimed = if new.is_empty() { BTreeSet::new() } else { insert(transaction, &new, now, sweep_at).await? };

    let existing: BTreeMap<OrderId, Option<&StoredOrder>> = commands.iter().filter_map(target).collect();
    if !existing.is_empty() {
        let mut unknown = Vec::new();
        for (order_id, version) in lock_orders(transaction, existing.keys()).await? {
            match existing.get(&order_id).copied().flatten().filter(|known| known.order.version == version) {
                Some(known) => loaded(&mut ledger, known.clone()),
                None => unknown.push(order_id.uuid()),
            }
        }
        if !unknown.is_empty() {
            for stored in read_locked(transaction, &unknown).await? {
                loaded(&mut ledger, stored);
            }
        }
    }
    let refused: Vec<&NewOrder> =
        new.iter().map(|(order, _)| *order).filter(|order| !claimed.contains(&order.order_id)).collect();
    if !refused.is_empty() {
        for stored in read_placed_before(transaction, &refused).await? {
            // One that is locked, too, was read under its lock.
            if !existing.contains_key(&stored.order.order_id) {
                loaded(&mut ledger, stored);
            }
        }
    }
    for (order, trace) in new {
        if claimed.contains(&order.order_id) {
            placements.insert(order.order_id, trace.clone());
            ledger.claim(decide::place(order, now));
        }
    }
    Ok((ledger, placements))
}

fn target(submitted: &Submitted) -> Option<(OrderId, Option<&StoredOrder>)> {
    match &submitted.command {
        Command::Place(_) => None,
        Command::Happen { order_id, .. } => Some((*order_id, submitted.known.as_deref())),
    }
}

/// New orders in the order of their request keys, the first of each key (T2): the ledger answers the others as repetitions.
fn first_of_each_key(commands: &[Submitted]) -> Vec<(&NewOrder, &TraceHeaders)> {
    let mut keyed = BTreeMap::new();
    let mut keyless = Vec::new();
    for Submitted { command, trace, .. } in commands {
        match command {
            Command::Place(new) => match &new.request_id {
                Some(request_id) => {
                    keyed.entry((&new.customer_id, request_id)).or_insert((new, trace));
                }
                None => keyless.push((new, trace)),
            },
            Command::Happen { .. } => {}
        }
    }
    keyed.into_values().chain(keyless).collect()
}

/// Inserts the orders whose request keys are free, and puts them on the sweep's work list. A key that is being inserted by another transaction is waited for:
/// that transaction decides whether it is free.
async fn insert(
    transaction: &mut Transaction,
    new: &[(&NewOrder, &TraceHeaders)],
    now: OffsetDateTime,
    sweep_at: OffsetDateTime,
) -> Result<BTreeSet<OrderId>, sqlx::Error> {
    let orders: Vec<Order> = new.iter().map(|(order, _)| decide::place(order, now)).collect();
    let ids: Vec<Uuid> = orders.iter().map(|order| order.order_id.uuid()).collect();
    let customers: Vec<&str> = orders.iter().map(|order| order.customer_id.as_str()).collect();
    let requests: Vec<Option<&str>> =
        orders.iter().map(|order| order.request_id.as_ref().map(proto::values::RequestId::as_str)).collect();
    let fingerprints: Vec<&[u8]> = orders.iter().map(|order| order.fingerprint.as_slice()).collect();
    let lines: Vec<serde_json::Value> = orders.iter().map(|order| lines_json(&order.lines)).collect();
    let traceparents: Vec<Option<&str>> = new.iter().map(|(_, trace)| trace.traceparent.as_deref()).collect();
    let tracestates: Vec<Option<&str>> = new.iter().map(|(_, trace)| trace.tracestate.as_deref()).collect();
    let inserted = sqlx::query_scalar!(
        r#"with placed as (
               insert into orders
                   (order_id, customer_id, request_id, fingerprint, status, version, lines, create_time,
                    traceparent, tracestate)
               select order_id, customer_id, request_id, fingerprint, 1, 1, lines, $8, traceparent, tracestate
               from unnest($1::uuid[], $2::text[], $3::text[], $4::bytea[], $5::jsonb[], $6::text[], $7::text[])
                    with ordinality
                    as new (order_id, customer_id, request_id, fingerprint, lines, traceparent, tracestate, position)
               order by position
               on conflict do nothing
               returning order_id
           ),
           listed as (insert into unfinished_orders (order_id, next_attempt_at) select order_id, $9 from placed)
           select order_id from placed"#,
        &ids,
        &customers as &[&str],
        &requests as &[Option<&str>],
        &fingerprints as &[&[u8]],
        &lines,
        &traceparents as &[Option<&str>],
        &tracestates as &[Option<&str>],
        now,
        sweep_at,
    )
    .fetch_all(transaction.connection())
    .await?;
    Ok(inserted.into_iter().map(OrderId::from_uuid).collect())
}

/// Under READ COMMITTED the rows come as they are once the lock is granted. Only the version: most commands bring the
/// order as they know it, and what has not moved since need not be read.
async fn lock_orders(
    transaction: &mut Transaction,
    orders: impl Iterator<Item = &OrderId>,
) -> Result<Vec<(OrderId, u16)>, sqlx::Error> {
    let ids: Vec<Uuid> = orders.map(|order_id| order_id.uuid()).collect();
    let rows = sqlx::query!(
        "select order_id, version from orders where order_id = any($1) order by order_id for no key update",
        &ids,
    )
    .fetch_all(transaction.connection())
    .await?;
    Ok(rows.into_iter().map(|row| (OrderId::from_uuid(row.order_id), row.version.unsigned_abs())).collect())
}

/// Orders that this transaction has locked.
async fn read_locked(transaction: &mut Transaction, ids: &[Uuid]) -> Result<Vec<StoredOrder>, sqlx::Error> {
    let rows = sqlx::query_as!(
        OrderRow,
        "select order_id, customer_id, request_id, fingerprint, status, version, lines, create_time, decide_time,
                close_time, reject_reason, shortages, cancel_reason, cancel_note, total_currency, total_units,
                total_nanos, traceparent, tracestate
         from orders where order_id = any($1)",
        ids,
    )
    .fetch_all(transaction.connection())
    .await?;
    rows.into_iter().map(OrderRow::into_stored).collect()
}

/// Orders that were there before: by request key, or by order id when a commit in doubt was submitted again (T4); as one
/// list of ids, because an OR of the two would read the whole table. A statement of its own, after the insert: it sees what the transaction that was waited for has committed.
async fn read_placed_before(
    transaction: &mut Transaction,
    refused: &[&NewOrder],
) -> Result<Vec<StoredOrder>, sqlx::Error> {
    let ids: Vec<Uuid> = refused.iter().map(|order| order.order_id.uuid()).collect();
    let keyed =
        refused.iter().filter_map(|order| Some((order.customer_id.as_str(), order.request_id.as_ref()?.as_str())));
    let (customers, requests): (Vec<&str>, Vec<&str>) = keyed.unzip();
    let rows = sqlx::query_as!(
        OrderRow,
        "select order_id, customer_id, request_id, fingerprint, status, version, lines, create_time, decide_time,
                close_time, reject_reason, shortages, cancel_reason, cancel_note, total_currency, total_units,
                total_nanos, traceparent, tracestate
         from orders
         where order_id = any($1::uuid[] || array(
             select keyed.order_id
             from unnest($2::text[], $3::text[]) as given (customer_id, request_id)
             join orders as keyed using (customer_id, request_id)
         ))",
        &ids,
        &customers as &[&str],
        &requests as &[&str],
    )
    .fetch_all(transaction.connection())
    .await?;
    rows.into_iter().map(OrderRow::into_stored).collect()
}
