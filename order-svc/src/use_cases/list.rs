use proto::values::OrderId;

use super::Orders;
use crate::domain::order::Order;
use crate::store::reads::{self, OrderFilter};

/// A page of a list of orders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderPage {
    /// Newest first. There may be fewer than were asked for, even none, and more on later pages
    /// ([AIP-158](https://google.aip.dev/158)).
    pub orders: Vec<Order>,
    /// The next page begins before this order; none: this is the last one.
    pub next_before: Option<OrderId>,
}

impl Orders {
    /// A page of up to `page_size` orders, newest first. A page in a status looks at [`reads::MOST_LOOKED_AT`] orders at
    /// most and goes on below them in the next, so that no page reads a table of which hardly a row matches.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn list(&self, filter: &OrderFilter, page_size: i64) -> Result<OrderPage, sqlx::Error> {
        // First where to stop, then the page: an order that commits late in between may be in the page, never left out.
        let last_looked_at = reads::last_looked_at(&self.database, filter).await?;
        let found = reads::orders(&self.database, filter, last_looked_at, page_size + 1).await?;
        let found = found.into_iter().map(|stored| stored.order).collect();
        Ok(OrderPage::of(found, usize::try_from(page_size).unwrap_or(usize::MAX), last_looked_at))
    }
}

impl OrderPage {
    /// From up to `page_size` + 1 orders, and the last one that was looked at unless all were.
    fn of(mut found: Vec<Order>, page_size: usize, last_looked_at: Option<OrderId>) -> Self {
        if found.len() <= page_size {
            return Self { orders: found, next_before: last_looked_at };
        }
        found.truncate(page_size);
        let next_before = found.last().map(|order| order.order_id);
        Self { orders: found, next_before }
    }
}

#[cfg(test)]
mod tests {
    use proto::values::CustomerId;
    use time::OffsetDateTime;
    use uuid::Uuid;

    use super::*;
    use crate::domain::decide::{NewOrder, place};

    fn id(number: u128) -> OrderId {
        OrderId::from_uuid(Uuid::from_u128(number))
    }

    /// Orders with these ids.
    fn orders(numbers: &[u128]) -> Vec<Order> {
        let order = |number: &u128| {
            let new = NewOrder {
                order_id: id(*number),
                customer_id: CustomerId::parse("ada").unwrap(),
                request_id: None,
                fingerprint: [0; 32],
                lines: Vec::new(),
            };
            place(&new, OffsetDateTime::UNIX_EPOCH)
        };
        numbers.iter().map(order).collect()
    }

    fn page(found: &[u128], last_looked_at: Option<u128>) -> (Vec<Order>, Option<OrderId>) {
        let OrderPage { orders, next_before } = OrderPage::of(orders(found), 2, last_looked_at.map(id));
        (orders, next_before)
    }

    #[test]
    fn a_full_page_goes_on_behind_its_last_order_wherever_the_look_ended() {
        assert_eq!(page(&[9, 7, 5], Some(1)), (orders(&[9, 7]), Some(id(7))));
        assert_eq!(page(&[9, 7, 5], None), (orders(&[9, 7]), Some(id(7))));
    }

    #[test]
    fn a_short_page_goes_on_behind_the_last_order_that_was_looked_at() {
        assert_eq!(page(&[9, 7], Some(1)), (orders(&[9, 7]), Some(id(1))));
        assert_eq!(page(&[1], Some(1)), (orders(&[1]), Some(id(1))));
        assert_eq!(page(&[], Some(1)), (Vec::new(), Some(id(1))));
    }

    #[test]
    fn a_page_that_looked_at_all_orders_is_the_last_unless_it_overflows() {
        assert_eq!(page(&[9, 7], None), (orders(&[9, 7]), None));
        assert_eq!(page(&[], None), (Vec::new(), None));
    }

    /// Pages to the end, over a list of which every third order matches.
    #[test]
    fn whoever_pages_to_the_end_sees_every_order_once() {
        for (count, page_size, most_looked_at) in (0..20).flat_map(|count| {
            (1..5).flat_map(move |page_size| (1..8).map(move |most_looked_at| (count, page_size, most_looked_at)))
        }) {
            let mut seen = Vec::new();
            let mut before = None;
            loop {
                let older = (1..=count).rev().filter(|number| before.is_none_or(|before| id(*number) < before));
                let looked_at: Vec<u128> = older.take(most_looked_at).collect();
                let last_looked_at = looked_at.get(most_looked_at - 1).copied().map(id);
                let matching = looked_at.into_iter().filter(|number| number % 3 == 0);
                let found: Vec<u128> = matching.take(page_size + 1).collect();
                let page = OrderPage::of(orders(&found), page_size, last_looked_at);
                seen.extend(page.orders);
                before = page.next_before;
                if before.is_none() {
                    break;
                }
            }
            let all: Vec<u128> = (1..=count).rev().filter(|number| number % 3 == 0).collect();
            assert_eq!(seen, orders(&all), "{count} orders, {page_size} on a page, {most_looked_at} looked at");
        }
    }
}
