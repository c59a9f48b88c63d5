//! Commands that can be counted: each adds an entry once, and one to a sum.

use std::sync::Arc;

use futures::future::BoxFuture;
use postgres::{Batch, Database, Transaction, Writer};
use runtime::tasks::{Supervisor, TaskGroup};
use uuid::Uuid;

use crate::server::eventually;

/// Adds an entry. An amount above 100 is refused by a constraint (class 23), one beyond an integer by the cast (class 22).
#[derive(Clone, Debug)]
pub(crate) struct Add {
    pub(crate) id: Uuid,
    pub(crate) amount: i64,
}

impl Add {
    pub(crate) fn new(amount: i64) -> Self {
        Self { id: Uuid::now_v7(), amount }
    }
}

/// The entry as it is, whoever wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) id: Uuid,
    pub(crate) position: i64,
    pub(crate) transaction: i64,
}

#[derive(Debug)]
pub(crate) struct Entries;

impl Batch for Entries {
    const OPERATION: &'static str = "add_entries";
    type Command = Add;
    type Outcome = Entry;

    fn goes_first(_: &Self::Command) -> bool {
        false
    }

    fn apply<'t>(
        &'t self,
        transaction: &'t mut Transaction,
        commands: &'t [Add],
    ) -> BoxFuture<'t, Result<Vec<Entry>, sqlx::Error>> {
        Box::pin(async move {
            let ids: Vec<Uuid> = commands.iter().map(|command| command.id).collect();
            let amounts: Vec<i64> = commands.iter().map(|command| command.amount).collect();
            let added = sqlx::query(
                "insert into entries (id, amount, transaction)
                 select id, amount::integer, txid_current()
                 from unnest($1::uuid[], $2::bigint[]) with ordinality as new (id, amount, place)
                 order by place
                 on conflict do nothing",
            )
            .bind(&ids)
            .bind(&amounts)
            .execute(transaction.connection())
            .await?
            .rows_affected();
            sqlx::query("update total set entries = entries + $1")
                .bind(i64::try_from(added).expect("a batch is small"))
                .execute(transaction.connection())
                .await?;
            let rows: Vec<(Uuid, i64, i64)> =
                sqlx::query_as("select id, position, transaction from entries where id = any($1)")
                    .bind(&ids)
                    .fetch_all(transaction.connection())
                    .await?;
            let entry = |id: &Uuid| {
                let found = rows.iter().find(|(found, ..)| found == id);
                found.map(|(id, position, transaction)| Entry {
                    id: *id,
                    position: *position,
                    transaction: *transaction,
                })
            };
            Ok(ids.iter().map(|id| entry(id).expect("it was just added, or before")).collect())
        })
    }

    fn committed(&self, _outcomes: &[Entry]) {}
}

/// A writer of entries and its tasks.
pub(crate) struct Running {
    pub(crate) writer: Writer<Entries>,
    pub(crate) database: Database,
    pub(crate) tasks: TaskGroup,
    pub(crate) supervisor: Supervisor,
}

pub(crate) async fn make_tables(database: &Database) {
    sqlx::raw_sql(
        "create table entries (
             id uuid primary key,
             position bigint generated always as identity,
             amount integer not null check (amount <= 100),
             transaction bigint not null
         );
         create table total (entries bigint not null);
         insert into total values (0);",
    )
    .execute(database.reads())
    .await
    .unwrap();
}

pub(crate) fn start(database: Database) -> Running {
    let supervisor = Supervisor::new();
    let tasks = TaskGroup::new("writer", &supervisor);
    let writer = Writer::start(Arc::new(Entries), &database, &tasks);
    Running { writer, database, tasks, supervisor }
}

/// Number of entries, and the sum that was kept beside them.
pub(crate) async fn counted(database: &Database) -> (i64, i64) {
    let count = "select (select count(*) from entries), (select entries from total)";
    // A connection that the pool had before the server was restarted fails once.
    eventually(async || Ok(sqlx::query_as(count).fetch_one(database.reads()).await?)).await
}
