//! The stored position of each partition: the next offset to process (C1).

use postgres::{Database, Transaction, contained};

/// A partition as this consumer group knows it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Partition<'a> {
    pub(super) group: &'a str,
    pub(super) topic: &'a str,
    pub(super) partition: i32,
}

impl Partition<'_> {
    /// The stored position; a partition never seen before starts at `low`, the lowest offset that the broker still has.
    pub(super) async fn load(self, database: &Database, low: i64) -> Result<i64, sqlx::Error> {
        let insert = sqlx::query!(
            "insert into consumer_positions (consumer_group, topic, partition, next_offset) values ($1, $2, $3, $4)
             on conflict do nothing",
            self.group,
            self.topic,
            self.partition,
            low,
        );
        contained(insert.execute(database.writes())).await?;
        let select = sqlx::query_scalar!(
            "select next_offset from consumer_positions where consumer_group = $1 and topic = $2 and partition = $3",
            self.group,
            self.topic,
            self.partition,
        );
        contained(select.fetch_one(database.writes())).await
    }

    /// Moves the position if it is still where it is expected: the fence (T5). False: another consumer has moved it.
    pub(super) async fn advance(
        self,
        transaction: &mut Transaction,
        expected: i64,
        next: i64,
    ) -> Result<bool, sqlx::Error> {
        let moved = sqlx::query!(
            "update consumer_positions set next_offset = $5
             where consumer_group = $1 and topic = $2 and partition = $3 and next_offset = $4",
            self.group,
            self.topic,
            self.partition,
            expected,
            next,
        )
        .execute(transaction.connection())
        .await?;
        Ok(moved.rows_affected() == 1)
    }

    /// Sets the position back to `low` after the topic was created anew or lost what was next, fenced like any other move.
    pub(super) async fn reset(self, database: &Database, expected: i64, low: i64) -> Result<(), sqlx::Error> {
        let reset = sqlx::query!(
            "update consumer_positions set next_offset = $5
             where consumer_group = $1 and topic = $2 and partition = $3 and next_offset = $4",
            self.group,
            self.topic,
            self.partition,
            expected,
            low,
        );
        contained(reset.execute(database.writes())).await?;
        Ok(())
    }
}

/// A partition's position: where it is expected, and where it is to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Move {
    pub(super) partition: i32,
    pub(super) expected: i64,
    pub(super) next: i64,
}

/// Moves the positions of several partitions past records that changed nothing, each fenced by what is expected. Returns
/// the partitions that moved. Like [`need_not_be_durable`], not waited for on disk.
pub(super) async fn pass_over(
    database: &Database,
    group: &str,
    topic: &str,
    moves: &[Move],
) -> Result<Vec<i32>, sqlx::Error> {
    let partitions: Vec<i32> = moves.iter().map(|each| each.partition).collect();
    let expected: Vec<i64> = moves.iter().map(|each| each.expected).collect();
    let next: Vec<i64> = moves.iter().map(|each| each.next).collect();
    let update = sqlx::query_scalar!(
        "with unsynced as materialized (select set_config('synchronous_commit', 'off', true))
         update consumer_positions as stored
         set next_offset = given.next
         from unsynced, unnest($3::int[], $4::bigint[], $5::bigint[]) as given (partition, expected, next)
         where stored.consumer_group = $1 and stored.topic = $2 and stored.partition = given.partition
           and stored.next_offset = given.expected
         returning stored.partition",
        group,
        topic,
        &partitions,
        &expected,
        &next,
    );
    contained(update.fetch_all(database.writes())).await
}

/// The transaction need not be on disk when it is committed: it moves the position past records that changed nothing. Lost
/// in a crash, they are read again, and change nothing again. Most records are such: their call came first.
pub(super) async fn need_not_be_durable(transaction: &mut Transaction) -> Result<(), sqlx::Error> {
    sqlx::query!("select set_config('synchronous_commit', 'off', true) as applied")
        .fetch_one(transaction.connection())
        .await?;
    Ok(())
}
