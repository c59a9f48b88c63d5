-- An order of one line as one statement: one round trip, one commit.
\set sku random(10000001, 10010000)
with new as materialized (
    select gen_random_uuid() as order_id, gen_random_uuid()::text as request_id
),
item as (
    update stock set reserved = reserved + 1, update_time = now()
    where sku = :sku::text and reserved < on_hand
    returning sku, price_currency, price_units, price_nanos
),
priced as materialized (
    select order_id, request_id, price_currency, price_units, price_nanos,
           jsonb_build_array(
               jsonb_build_object('sku', sku, 'quantity', 1, 'units', price_units, 'nanos', price_nanos)
           ) as lines
    from new, item
),
reservation as (
    insert into reservations (order_id, lines, create_time) select order_id, lines, now() from priced
),
confirmed as (
    insert into orders
        (order_id, customer_id, request_id, status, lines, total_currency, total_units, total_nanos, create_time,
         decide_time)
    select order_id, 'load', request_id, 2, lines, price_currency, price_units, price_nanos, now(), now() from priced
)
insert into outbox (topic, key, event_type, event_time, value)
select 'orders.v1', order_id, 'OrderConfirmed', now(), jsonb_build_object('orderId', order_id, 'lines', lines)
from priced;
