create table stock (
    sku            text collate "C" not null,
    name           text not null,
    price_currency text not null,
    price_units    bigint not null,
    price_nanos    integer not null,
    on_hand        bigint not null,
    reserved       bigint not null default 0,
    update_time    timestamptz not null,
    constraint stock_pkey primary key (sku),
    -- I2: never promised more than there is, whatever the code believes.
    constraint stock_reserved_within_on_hand check (reserved between 0 and on_hand),
    constraint stock_price_not_negative check (price_units >= 0 and price_nanos between 0 and 999999999)
-- Quantities change with every order and are in no index: room in the page keeps those updates HOT.
) with (fillfactor = 70);

-- One per order that asked for stock, for as long as the order exists.
create table reservations (
    order_id         uuid not null,
    -- inventory.v1.ReservationStatus: 1 held, 2 released, 3 shipped, 4 rejected.
    status           smallint not null,
    version          smallint not null,
    -- [{"sku", "quantity"}] as asked for, with "currency", "units" and "nanos" of the unit price once held; empty in the
    -- tombstone of an order that was cancelled before anything was held.
    lines            jsonb not null,
    rejection_reason text,
    -- [{"sku", "requested", "available"}].
    shortages        jsonb,
    create_time      timestamptz not null,
    update_time      timestamptz not null,
    constraint reservations_pkey primary key (order_id),
    constraint reservations_status_known check (status between 1 and 4),
    constraint reservations_rejected_have_reason check ((status = 4) = (rejection_reason is not null))
) with (fillfactor = 75);

-- Rows of imports that were applied: makes an import exactly-once per row, and lets the audit add up what came in.
create table imported_rows (
    import_id text collate "C" not null,
    row       bigint not null,
    sku       text collate "C" not null,
    quantity  bigint not null,
    constraint imported_rows_pkey primary key (import_id, row)
);
