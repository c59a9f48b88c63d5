-- The outbox keeps one row for each transaction instead of one for each event: a group commit writes, reads and deletes its
-- events together. The same statements stand in inventory/0004_outbox_by_transaction.sql.
alter table outbox rename to outbox_by_event;
alter table outbox_by_event rename constraint outbox_pkey to outbox_by_event_pkey;

-- Events and dead letters on their way to Kafka. A row is written in the transaction whose effects it tells of, and deleted
-- once the broker has acknowledged all of it. Element n of each array belongs to its event n.
create table outbox (
    -- Drawn while the row locks of what the events tell of are held, one by one (cache 1): per order, id order and then
    -- the order in the row is version order. Across orders it is no order of commit, so nobody may keep a cursor on it.
    id           bigint generated always as identity (cache 1),
    -- How many events, and the bytes of their payloads: what a reader takes on, before it reads.
    events       integer not null,
    bytes        bigint not null,
    topics       text[] not null,
    -- The order id as text; a dead letter keeps the key it had, which may be none.
    keys         bytea[] not null,
    payloads     bytea[] not null,
    -- CloudEvents attributes; a dead letter has no type of its own.
    event_ids    uuid[] not null,
    event_types  text[] not null,
    event_times  timestamptz[] not null,
    -- W3C trace context of the request or record that caused the event.
    traceparents text[] not null,
    tracestates  text[] not null,
    baggages     text[] not null,
    -- Dead letters only: all headers, encoded by messaging/ (they may hold bytes that are no text).
    headers      bytea[] not null,
    constraint outbox_pkey primary key (id),
    constraint outbox_holds_events check (events > 0 and bytes >= 0)
);
-- A row lives for milliseconds: packing it costs more than it saves.
alter table outbox
    alter column topics set storage external, alter column keys set storage external,
    alter column payloads set storage external, alter column event_ids set storage external,
    alter column event_types set storage external, alter column event_times set storage external,
    alter column traceparents set storage external, alter column tracestates set storage external,
    alter column baggages set storage external, alter column headers set storage external;

insert into outbox
    (events, bytes, topics, keys, payloads, event_ids, event_types, event_times, traceparents, tracestates, baggages,
     headers)
select 1, coalesce(octet_length(value), 0), array[topic], array[key], array[value], array[event_id], array[event_type],
       array[event_time], array[traceparent], array[tracestate], array[baggage], array[headers]
from outbox_by_event
order by id;
drop table outbox_by_event;
