-- An order and everything that is needed to say what it was at each of its at most three versions: placed (1),
-- decided or cancelled (2), closed (3).
create table orders (
    -- UUIDv7: id order is placement order.
    order_id       uuid not null,
    customer_id    text collate "C" not null,
    -- The client's idempotency key; null when it gave none.
    request_id     text collate "C",
    -- SHA-256 of the canonical body, to tell a repetition from a reuse of the key.
    fingerprint    bytea not null,
    -- orders.v1.OrderStatus: 1 pending, 2 confirmed, 3 rejected, 4 cancelled, 5 fulfilled.
    status         smallint not null,
    version        smallint not null,
    -- [{"sku", "quantity"}], and with "units" and "nanos" of the unit price once confirmed. An order's lines are part of
    -- it: they are written, read and locked with it, never alone.
    lines          jsonb not null,
    create_time    timestamptz not null,
    -- Confirmed or rejected.
    decide_time    timestamptz,
    -- Cancelled or fulfilled.
    close_time     timestamptz,
    reject_reason  text,
    -- [{"sku", "requested", "available"}].
    shortages      jsonb,
    cancel_reason  text,
    cancel_note    text,
    total_currency text,
    total_units    bigint,
    total_nanos    integer,
    -- Trace context of the placement: what happens later in a trace of its own links to it.
    traceparent    text,
    tracestate     text,
    constraint orders_pkey primary key (order_id),
    constraint orders_request_key unique (customer_id, request_id),
    constraint orders_status_known check (status between 1 and 5),
    -- The version tells how many moves there were: I3.
    constraint orders_version_counts_moves check (
        version = 1 + (decide_time is not null)::int + (close_time is not null)::int
    ),
    constraint orders_status_matches_times check (
        case status
            when 1 then decide_time is null and close_time is null
            when 2 then decide_time is not null and close_time is null
            when 3 then decide_time is not null and close_time is null and reject_reason is not null
            when 4 then close_time is not null and cancel_reason is not null
            when 5 then decide_time is not null and close_time is not null
        end
    ),
    constraint orders_confirmed_have_total check (
        decide_time is null or status = 3 or (total_currency is not null and total_units is not null and total_nanos is not null)
    )
-- Status and prices change once or twice: room in the page keeps those updates off the indexes (HOT).
) with (fillfactor = 75);

-- ListOrders by customer, newest first.
create index orders_by_customer on orders (customer_id, order_id desc);

-- The sweep's work list: orders that are PENDING, and final ones whose stock has not been heard of yet. Kept apart from
-- orders so that settling one touches no index of the large table. Written only under the order's row lock, which
-- is why no foreign key is needed to keep the two together.
create table unfinished_orders (
    order_id        uuid not null,
    next_attempt_at timestamptz not null,
    attempts        integer not null default 0,
    constraint unfinished_orders_pkey primary key (order_id)
);
