use std::collections::{BTreeSet, HashSet};
use std::time::{Duration, Instant};

use anyhow::ensure;
use futures::future::join_all;
use postgres::WriteError;
use sqlx::Row as _;
use uuid::Uuid;

use crate::entries::{Add, Running, counted, make_tables, start};
use crate::server::{Server, database, eventually};

/// From 0 to below `end` microseconds.
fn random_moment(end: u128) -> Duration {
    Duration::from_micros(u64::try_from(Uuid::new_v4().as_u128() % end).unwrap())
}

/// Sessions that are inside a transaction and do nothing.
async fn forgotten_transactions(running: &Running) -> i64 {
    sqlx::query_scalar(
        "select count(*) from pg_stat_activity
         where datname = 'entries' and state like 'idle in transaction%' and pid <> pg_backend_pid()",
    )
    .fetch_one(running.database.reads())
    .await
    .unwrap()
}

#[tokio::test]
async fn callers_share_transactions_and_get_their_own_outcomes_in_order() {
    let server = Server::start().await;
    // With one connection, batches come one after the other.
    let running = start(database(&server.postgres.database_url("entries"), 1));
    make_tables(&running.database).await;
    let commands: Vec<Add> = (0..200).map(|_| Add::new(1)).collect();
    let outcomes = join_all(commands.iter().map(|command| running.writer.submit(command.clone()))).await;

    let entries: Vec<_> = outcomes.into_iter().map(Result::unwrap).collect();
    let ids: Vec<Uuid> = entries.iter().map(|entry| entry.id).collect();
    assert_eq!(ids, commands.iter().map(|command| command.id).collect::<Vec<_>>());
    assert!(entries.is_sorted_by_key(|entry| entry.position), "commands are applied in the order they came");
    let transactions: BTreeSet<i64> = entries.iter().map(|entry| entry.transaction).collect();
    assert_eq!(transactions.len(), 4, "200 commands are 3 batches of 64 and one of 8");
    assert_eq!(counted(&running.database).await, (200, 200));

    let again = running.writer.submit(commands[7].clone()).await.unwrap();
    assert_eq!(again, entries[7], "the same command again has the outcome of the first time");
    running.tasks.stop(Duration::from_secs(5)).await;
    assert_eq!(running.writer.submit(Add::new(1)).await, Err(WriteError::Stopping));
    assert!(running.supervisor.failure().is_none());
}

#[tokio::test]
async fn poisoned_command_alone_is_refused() {
    let server = Server::start().await;
    let running = start(database(&server.postgres.database_url("entries"), 1));
    make_tables(&running.database).await;
    for (what, amount) in [("a broken constraint, class 23", 101), ("a value out of range, class 22", 1 << 40)] {
        for poisoned in [0, 17, 39] {
            let before = counted(&running.database).await.0;
            let mut commands: Vec<Add> = (0..40).map(|_| Add::new(1)).collect();
            commands[poisoned].amount = amount;
            let outcomes = join_all(commands.iter().map(|command| running.writer.submit(command.clone()))).await;
            for (index, (command, outcome)) in commands.iter().zip(outcomes).enumerate() {
                match outcome {
                    Err(WriteError::Refused) => assert_eq!(index, poisoned, "{what}"),
                    Ok(entry) => assert_eq!(entry.id, command.id, "{what}"),
                    Err(error) => panic!("{what}: {error}"),
                }
            }
            assert_eq!(counted(&running.database).await, (before + 39, before + 39), "{what}");
        }
    }
    assert_eq!(forgotten_transactions(&running).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousand_cancelled_calls_leave_nothing_open_and_nothing_half_written() {
    let server = Server::start().await;
    let running = start(server.database());
    make_tables(&running.database).await;
    let wave = || (0..50).map(|_| Add::new(1)).collect::<Vec<_>>();
    join_all(wave().into_iter().map(|command| running.writer.submit(command))).await;
    let begun = Instant::now();
    join_all(wave().into_iter().map(|command| running.writer.submit(command))).await;
    let usual = begun.elapsed().as_micros();

    let (mut answered, mut given_up, mut waves) = (HashSet::new(), 0, 0);
    // A machine that is busier or less so than a moment ago answers nearly none in time, or nearly all.
    while waves < 20 || ((given_up <= 50 || answered.len() <= 50) && waves < 400) {
        waves += 1;
        let calls = wave().into_iter().map(|command| {
            let (writer, moment) = (running.writer.clone(), random_moment(2 * usual));
            tokio::spawn(async move { tokio::time::timeout(moment, writer.submit(command)).await })
        });
        for answer in join_all(calls).await {
            match answer.unwrap() {
                Ok(outcome) => drop(answered.insert(outcome.unwrap().id)),
                Err(_) => given_up += 1,
            }
        }
    }
    assert!(given_up > 50 && answered.len() > 50, "{given_up} calls given up, {} answered", answered.len());

    let next = join_all((0..100).map(|_| running.writer.submit(Add::new(2)))).await;
    assert!(next.iter().all(Result::is_ok), "the next calls work");
    assert_eq!(forgotten_transactions(&running).await, 0);
    let written: Vec<Uuid> = sqlx::query_scalar("select id from entries where amount = 1")
        .fetch_all(running.database.reads())
        .await
        .unwrap();
    let written = HashSet::from_iter(written);
    assert!(answered.is_subset(&written), "what was answered is written");
    let (entries, total) = counted(&running.database).await;
    assert_eq!(entries, total, "each command is written whole or not at all");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn begin_that_is_given_up_hands_no_open_transaction_to_the_next() {
    let server = Server::start().await;
    let running = start(server.database());
    make_tables(&running.database).await;
    for _ in 0..300 {
        drop(tokio::time::timeout(random_moment(1_500), running.database.begin()).await);
    }
    eventually(async || {
        let open = forgotten_transactions(&running).await;
        ensure!(open == 0, "{open} transactions are open");
        Ok(())
    })
    .await;
    for _ in 0..20 {
        // Outside of a transaction, a simple query begins one of its own.
        let mut connection = running.database.writes().acquire().await.unwrap();
        let row = sqlx::raw_sql("select now() = statement_timestamp()").fetch_one(&mut *connection).await.unwrap();
        let is_alone: bool = row.get(0);
        assert!(is_alone, "a connection of the pool is inside somebody's transaction");
    }
}

#[tokio::test]
async fn database_that_is_away_is_said_to_be_and_used_again_when_it_is_back() {
    let mut server = Server::start().await;
    let running = start(server.database());
    make_tables(&running.database).await;
    running.writer.submit(Add::new(1)).await.unwrap();

    server.postgres.kill().await.unwrap();
    for _ in 0..3 {
        assert_eq!(running.writer.submit(Add::new(1)).await, Err(WriteError::Unavailable));
    }
    server.postgres.restart().await.unwrap();
    eventually(async || Ok(running.writer.submit(Add::new(1)).await?)).await;
    let written = counted(&running.database).await;
    assert_eq!(written, (2, 2), "what was answered Unavailable was not written");
    assert!(running.supervisor.failure().is_none(), "the writer lives through it");
}
