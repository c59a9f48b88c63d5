use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::join_all;
use postgres::lookup::{Query, Reading};
use postgres::{Database, Lookup, LookupError};
use runtime::tasks::{Supervisor, TaskGroup};
use sqlx::PgPool;

use crate::server::{Server, database};

/// Numbers by name; counts the queries.
#[derive(Debug, Default)]
struct Numbers(Arc<AtomicUsize>);

impl Query for Numbers {
    const OPERATION: &'static str = "get_number";
    type Key = i64;
    type Value = i64;

    fn read<'t>(&'t self, reads: &'t PgPool, names: &'t [i64]) -> Reading<'t, i64, i64> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Box::pin(async move {
            let rows: Vec<(i64, i64)> = sqlx::query_as("select name, number from numbers where name = any($1)")
                .bind(names)
                .fetch_all(reads)
                .await?;
            Ok(HashMap::from_iter(rows))
        })
    }
}

async fn numbers(server: &Server) -> Database {
    let database = database(&server.postgres.database_url("entries"), 1);
    sqlx::raw_sql(
        "create table numbers (name bigint primary key, number bigint not null);
         insert into numbers select name, 0 from generate_series(0, 99) as name;",
    )
    .execute(database.reads())
    .await
    .unwrap();
    database
}

#[tokio::test]
async fn callers_share_queries_and_get_their_own_answers() {
    let server = Server::start().await;
    let (database, supervisor) = (numbers(&server).await, Supervisor::new());
    sqlx::query("update numbers set number = name * 10").execute(database.reads()).await.unwrap();
    let (tasks, queries) = (TaskGroup::new("lookup", &supervisor), Arc::new(AtomicUsize::new(0)));
    let lookup = Lookup::start(Numbers(Arc::clone(&queries)), &database, &tasks);

    let answers = join_all((0..500).map(|caller| lookup.get(caller % 125))).await;
    for (caller, answer) in (0..500).zip(answers) {
        let name = caller % 125;
        assert_eq!(answer.unwrap(), (name < 100).then_some(name * 10));
    }
    let queries = queries.load(Ordering::Relaxed);
    assert!(queries <= 10, "500 callers took {queries} queries");

    tasks.stop(Duration::from_secs(5)).await;
    assert!(matches!(lookup.get(1).await, Err(LookupError::Overloaded)));
    assert!(supervisor.failure().is_none());
}

#[tokio::test]
async fn everyone_reads_their_own_writes() {
    let server = Server::start().await;
    let (database, supervisor) = (numbers(&server).await, Supervisor::new());
    let tasks = TaskGroup::new("lookup", &supervisor);
    let lookup = Lookup::start(Numbers::default(), &database, &tasks);

    // Everyone's number is looked up by someone else all the time: there is always a query to be wrongly shared.
    let callers = (0..40).map(|name| {
        let (database, lookup) = (database.clone(), lookup.clone());
        tokio::spawn(async move {
            for number in 1..=50_i64 {
                sqlx::query("update numbers set number = $2 where name = $1")
                    .bind(name)
                    .bind(number)
                    .execute(database.reads())
                    .await
                    .unwrap();
                let (own, _) = tokio::join!(lookup.get(name), lookup.get((name + 1) % 40));
                assert_eq!(own.unwrap(), Some(number), "{name} has written {number}");
            }
        })
    });
    for caller in join_all(callers).await {
        caller.expect("no caller reads less than they have written");
    }
    tasks.stop(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn a_query_that_fails_fails_for_all_who_shared_it_and_for_nobody_else() {
    let server = Server::start().await;
    let (database, supervisor) = (numbers(&server).await, Supervisor::new());
    let tasks = TaskGroup::new("lookup", &supervisor);
    let lookup = Lookup::start(Numbers::default(), &database, &tasks);
    sqlx::query("alter table numbers rename to others").execute(database.reads()).await.unwrap();
    let answers = join_all((0..20).map(|name| lookup.get(name))).await;
    assert!(answers.iter().all(|answer| matches!(answer, Err(LookupError::Database(_)))), "{answers:?}");
    sqlx::query("alter table others rename to numbers").execute(database.reads()).await.unwrap();
    assert_eq!(lookup.get(7).await.unwrap(), Some(0), "the next query is a new one");
    tasks.stop(Duration::from_secs(5)).await;
}
