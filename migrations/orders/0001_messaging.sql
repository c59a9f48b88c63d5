-- What messaging/ needs in the database of each service: the same statements stand in inventory/0001_messaging.sql.

-- Events and dead letters on their way to Kafka. A row is written in the transaction whose effect it tells of, and deleted
-- once the broker has acknowledged it.
create table outbox (
    -- Drawn while the row lock of what the event tells of is held, one by one (cache 1): per order, id order is version
    -- order. Across orders it is no order of commit, so nobody may keep a cursor on it.
    id          bigint generated always as identity (cache 1),
    topic       text not null,
    -- The order id as text; a dead letter keeps the key it had, which may be none.
    key         bytea,
    value       bytea,
    -- CloudEvents attributes; a dead letter has no type of its own.
    event_id    uuid not null,
    event_type  text not null,
    event_time  timestamptz not null,
    -- W3C trace context of the request or record that caused the event.
    traceparent text,
    tracestate  text,
    baggage     text,
    -- Dead letters only: all headers, encoded by messaging/ (they may hold bytes that are no text).
    headers     bytea,
    constraint outbox_pkey primary key (id)
);

-- The next offset of each partition, moved by the transaction that writes the effects of the records before it.
create table consumer_positions (
    consumer_group text not null,
    topic          text not null,
    partition      integer not null,
    next_offset    bigint not null,
    constraint consumer_positions_pkey primary key (consumer_group, topic, partition),
    constraint consumer_positions_next_offset_not_negative check (next_offset >= 0)
) with (fillfactor = 50);
