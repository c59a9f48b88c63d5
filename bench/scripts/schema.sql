-- The order of the benchmarks as one database alone would keep it, for pgbench: the platform's tables (migrations/) without
-- what only two services and a lasting product need. Fewer columns, constraints and indexes than those have, so that the
-- comparison leans to this side.

create table stock (
    sku            text collate "C" not null primary key,
    name           text not null,
    price_currency text not null,
    price_units    bigint not null,
    price_nanos    integer not null,
    on_hand        bigint not null,
    reserved       bigint not null default 0,
    update_time    timestamptz not null,
    check (reserved between 0 and on_hand)
) with (fillfactor = 70);

create table orders (
    order_id       uuid not null primary key,
    customer_id    text collate "C" not null,
    request_id     text collate "C" not null,
    -- 1 pending, 2 confirmed.
    status         smallint not null,
    lines          jsonb not null,
    total_currency text,
    total_units    bigint,
    total_nanos    integer,
    create_time    timestamptz not null,
    decide_time    timestamptz,
    unique (customer_id, request_id)
) with (fillfactor = 75);

create table reservations (
    order_id    uuid not null primary key,
    lines       jsonb not null,
    create_time timestamptz not null
);

create table outbox (
    id         bigint generated always as identity primary key,
    topic      text not null,
    key        uuid not null,
    event_type text not null,
    event_time timestamptz not null,
    value      jsonb not null
);

-- The same articles as the platform gets.
insert into stock (sku, name, price_currency, price_units, price_nanos, on_hand, update_time)
select sku, 'article ' || sku, 'EUR', 12, 500000000, 1000000000, now()
from generate_series(10000001, 10010000) as sku;
