-- The usual good outbox: a row for each event, marked once it is published, and an index of those that are not yet.
create table usual_outbox (
    id           bigint generated always as identity primary key,
    topic        text not null,
    key          bytea,
    payload      bytea,
    event_id     uuid not null,
    event_type   text not null,
    event_time   timestamptz not null,
    traceparent  text,
    published_at timestamptz
);
create index usual_outbox_unpublished on usual_outbox (id) where published_at is null;
