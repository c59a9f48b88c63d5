use observability::names;
use postgres::{Database, contained};

use super::message::{Message, Row};
use crate::dead_letter::{self, Reason};
use crate::headers;

/// Bytes of values that are read at once.
const BYTES_AT_ONCE: i64 = 8 * 1_024 * 1_024;

/// The name of every prepared transaction among [`Table::writers`].
pub(super) const PREPARED: &str = "prepared";

/// The outbox as the relay uses it.
pub(super) struct Table {
    database: Database,
    source: &'static str,
}

impl Table {
    pub(super) fn new(database: Database, source: &'static str) -> Self {
        Self { database, source }
    }

    /// The next rows but those `in_flight`: by id from `low` on, `count` events or a few more, bounded in bytes, but at
    /// least one row.
    pub(super) async fn read(&self, low: i64, count: i64, in_flight: &[i64]) -> Result<Vec<Row>, sqlx::Error> {
        let read = sqlx::query_as!(
            Row,
            r#"select id as "id!", topics as "topics!", keys as "keys!: Vec<Option<Vec<u8>>>",
                      payloads as "payloads!: Vec<Option<Vec<u8>>>", event_ids as "event_ids!",
                      event_types as "event_types!", event_times as "event_times!",
                      traceparents as "traceparents!: Vec<Option<String>>",
                      tracestates as "tracestates!: Vec<Option<String>>", baggages as "baggages!: Vec<Option<String>>",
                      headers as "headers!: Vec<Option<Vec<u8>>>", found as "found!"
               from (
                   select head.*, count(*) over () as found,
                          (sum(bytes) over up_to_here)::bigint as bytes_with,
                          (sum(events) over up_to_here)::bigint - events as events_before,
                          row_number() over up_to_here as position
                   from (
                       -- A hashed subplan: <> ALL would compare each row with every id in flight.
                       select * from outbox
                       where id >= $4 and id not in (select unnest($3::bigint[]))
                       order by id limit $1
                   ) as head
                   window up_to_here as (order by id)
               ) as counted
               where (events_before < $1 and bytes_with <= $2) or position = 1
               order by id"#,
            count,
            BYTES_AT_ONCE,
            in_flight,
            low,
        );
        contained(read.fetch_all(self.database.writes())).await
    }

    /// The transactions that may have drawn an id and not ended: each holds this lock from before it draws one until it has
    /// ended.
    pub(super) async fn writers(&self) -> Result<Vec<String>, sqlx::Error> {
        let look = sqlx::query_scalar!(
            r#"select case when pid is null then $1 else virtualtransaction end as "writer!" from pg_locks
               where locktype = 'relation' and relation = 'outbox'::regclass and mode = 'RowExclusiveLock' and granted
                     and database = (select oid from pg_database where datname = current_database())"#,
            PREPARED,
        );
        contained(look.fetch_all(self.database.writes())).await
    }

    /// The lowest id from `low` on, in flight or not.
    pub(super) async fn lowest_from(&self, low: i64) -> Result<Option<i64>, sqlx::Error> {
        let look = sqlx::query_scalar!("select id from outbox where id >= $1 order by id limit 1", low);
        contained(look.fetch_optional(self.database.writes())).await
    }

    /// Deletes rows whose events are all acknowledged. Not waited for on disk: lost in a crash, the rows are sent again,
    /// which consumers bear; waited for, it would cost the writers a good part of the disk's fsyncs.
    pub(super) async fn delete(&self, rows: &[i64]) -> Result<(), sqlx::Error> {
        let delete = sqlx::query!(
            "with unsynced as materialized (select set_config('synchronous_commit', 'off', true))
             delete from outbox using unsynced where id = any($1)",
            rows,
        );
        contained(delete.execute(self.database.writes())).await.map(|_| ())
    }

    /// Replaces an event that its topic will never take by a dead letter without the value. One statement; a dead letter
    /// that is refused once more loses everything but the reason.
    pub(super) async fn give_up(
        &self,
        row: i64,
        place: usize,
        message: &Message,
        reason: Reason,
    ) -> Result<(), sqlx::Error> {
        tracing::error!(
            messaging.destination.name = message.topic,
            messaging.message.id = %message.event_id,
            bytes = message.value.as_ref().map_or(0, Vec::len),
            dlq.reason = reason.as_str(),
            "a record is refused by the broker and goes to the dead-letter topic without its value"
        );
        let topic = if message.topic.ends_with(dead_letter::SUFFIX) {
            message.topic.clone()
        } else {
            dead_letter::topic_for(&message.topic)
        };
        let key = message.key.as_deref().filter(|_| message.value.is_some());
        let update = sqlx::query!(
            "update outbox
             set topics[$2] = $3, keys[$2] = $4, payloads[$2] = null, headers[$2] = $5
             where id = $1",
            row,
            i32::try_from(place + 1).expect("a row has few events"),
            topic,
            key,
            headers::encode(&message.headers_of_dead_letter(self.source, reason)),
        );
        contained(update.execute(self.database.writes())).await?;
        metrics::counter!(
            names::DEAD_LETTERS,
            "messaging_destination_name" => message.topic.clone(),
            "reason" => reason.as_str(),
        )
        .increment(1);
        Ok(())
    }
}
