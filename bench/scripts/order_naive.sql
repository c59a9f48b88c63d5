-- The same order as the usual transaction: eight round trips, one commit.
\set sku random(10000001, 10010000)
begin;
insert into orders (order_id, customer_id, request_id, status, lines, create_time)
values (gen_random_uuid(), 'load', gen_random_uuid()::text, 1,
        jsonb_build_array(jsonb_build_object('sku', :sku::text, 'quantity', 1)), now())
returning order_id \gset
select price_currency, price_units, price_nanos, on_hand - reserved as available
from stock where sku = :sku::text for update \gset
update stock set reserved = reserved + 1, update_time = now() where sku = :sku::text;
insert into reservations (order_id, lines, create_time)
values (:order_id::uuid,
        jsonb_build_array(jsonb_build_object('sku', :sku::text, 'quantity', 1, 'units', :price_units::bigint,
                                             'nanos', :price_nanos::integer)),
        now());
update orders
set status = 2, decide_time = now(), total_currency = :price_currency::text, total_units = :price_units::bigint,
    total_nanos = :price_nanos::integer,
    lines = jsonb_build_array(jsonb_build_object('sku', :sku::text, 'quantity', 1, 'units', :price_units::bigint,
                                                 'nanos', :price_nanos::integer))
where order_id = :order_id::uuid;
insert into outbox (topic, key, event_type, event_time, value)
values ('orders.v1', :order_id::uuid, 'OrderConfirmed', now(),
        jsonb_build_object('orderId', :order_id::uuid, 'lines',
                           jsonb_build_array(jsonb_build_object('sku', :sku::text, 'quantity', 1,
                                                                'units', :price_units::bigint,
                                                                'nanos', :price_nanos::integer))));
commit;
