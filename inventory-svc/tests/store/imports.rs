//! A chunk of an import that is submitted again because its commit was in doubt (T4).

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use devstack::{Postgres, StackOptions};
use inventory_svc::domain::import::{ChunkId, ImportRow};
use inventory_svc::domain::ledger::{Command, Outcome, RowOutcome};
use inventory_svc::store::{self, Submitted};
use observability::propagation::TraceHeaders;
use postgres::{Database, DatabaseSettings};
use proto::values::{Currency, ImportId, Money, Sku};
use uuid::Uuid;

fn database(url: &str) -> Database {
    let settings = DatabaseSettings {
        connect: url.parse().unwrap(),
        read_connections: 2,
        write_connections: 2,
        write_queue: 4096,
        write_batch: 64,
        statement_timeout: Duration::from_secs(5),
    };
    Database::connect_lazily(settings, "inventory-tests")
}

fn row(number: u64, quantity: i64) -> ImportRow {
    ImportRow {
        import_id: ImportId::parse("spring").unwrap(),
        row: number,
        sku: Sku::parse("kettle").unwrap(),
        name: None,
        unit_price: Money::from_parts(Currency::parse("EUR").unwrap(), 12, 0),
        quantity,
    }
}

/// The rows as a command of their own.
fn chunk(rows: Vec<ImportRow>) -> [Submitted; 1] {
    let command = Command::Import { chunk_id: ChunkId::from_uuid(Uuid::now_v7()), rows };
    [Submitted { command, trace: TraceHeaders::default() }]
}

async fn commit(database: &Database, commands: &[Submitted]) -> Vec<Outcome> {
    let mut transaction = database.begin().await.unwrap();
    let outcomes = store::apply(&mut transaction, commands).await.unwrap();
    transaction.commit().await.unwrap();
    outcomes
}

/// Units that are there, rows that were applied, and their units.
async fn stored(database: &Database) -> (i64, i64, i64) {
    let stored = "select (select on_hand from stock where sku = 'kettle'), count(*), sum(quantity)::bigint
                  from imported_rows";
    sqlx::query_as(stored).fetch_one(database.reads()).await.unwrap()
}

#[tokio::test]
async fn chunk_whose_commit_was_in_doubt_is_answered_the_same_when_it_is_submitted_again() {
    // The user that Postgres runs as has to get in.
    let folder = tempfile::Builder::new().permissions(Permissions::from_mode(0o755)).tempdir().unwrap();
    let mut options = StackOptions::new(folder.path());
    options.sources.postgres_url = None;
    let server = Postgres::start(&options).await.unwrap();
    eprintln!("{}", server.description());
    server.create_database("inventory").await.unwrap();
    let database = database(&server.database_url("inventory"));
    sqlx::migrate!("../migrations/inventory").run(database.writes()).await.unwrap();

    let submitted = chunk(vec![row(1, 5), row(2, -2), row(1, 5), row(3, -9)]);
    let told = commit(&database, &submitted).await;
    let Outcome::Imported(rows) = &told[0] else { panic!("an import is answered with rows: {told:?}") };
    assert_eq!(rows[..3], [RowOutcome::Applied, RowOutcome::Applied, RowOutcome::AlreadyApplied]);
    assert!(matches!(rows[3], RowOutcome::Refused(_)));
    // The server has committed and its answer was lost: the writer submits the same again.
    assert_eq!(commit(&database, &submitted).await, told);
    assert_eq!(stored(&database).await, (3, 2, 3));

    let another_call = commit(&database, &chunk(vec![row(1, 5), row(2, -2)])).await;
    assert_eq!(another_call, [Outcome::Imported(vec![RowOutcome::AlreadyApplied; 2])]);
    // Written by a version that did not know of chunks.
    sqlx::query("update imported_rows set chunk_id = null").execute(database.writes()).await.unwrap();
    let Outcome::Imported(rows) = &commit(&database, &submitted).await[0] else { panic!("no rows") };
    assert_eq!(rows[..2], [RowOutcome::AlreadyApplied; 2]);
    assert_eq!(stored(&database).await, (3, 2, 3));
    database.close().await;
}
