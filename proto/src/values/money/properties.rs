//! Amounts against plain whole numbers of billionths: never a wrong sum, and never another price than the message says.

use proptest::prelude::*;

use super::*;

/// The highest total in billionths, as a number of its own: the code under test must not be asked.
const HIGHEST_TOTAL: i128 = 1_000_000_000_000 * 1_000_000_000;
/// The highest price in billionths.
const HIGHEST_PRICE: i128 = 1_000_000_000 * 1_000_000_000;

/// Units and nanos of an amount: small ones, those around both bounds, and any at all.
fn parts() -> impl Strategy<Value = (i64, i32)> {
    let units =
        prop_oneof![0..4_i64, 999_999_998..=1_000_000_001_i64, 999_999_999_998..=1_000_000_000_001_i64, 0..=i64::MAX,];
    let nanos = prop_oneof![Just(0), Just(1), Just(999_999_999), 0..1_000_000_000];
    (units, nanos)
}

/// Quantities of orders, those that reach the highest total, and any at all.
fn quantity() -> impl Strategy<Value = u32> {
    prop_oneof![0..4_u32, 999..=1001_u32, 9_999..=10_001_u32, any::<u32>()]
}

fn eur((units, nanos): (i64, i32)) -> Money {
    Money::from_parts(Currency::parse("EUR").unwrap(), units, nanos).unwrap()
}

fn billionths((units, nanos): (i64, i32)) -> i128 {
    i128::from(units) * 1_000_000_000 + i128::from(nanos)
}

/// What the sum has to be, as parts.
fn expected(sum: i128) -> Result<(i128, i128), AmountTooLarge> {
    if sum > HIGHEST_TOTAL { Err(AmountTooLarge) } else { Ok((sum / 1_000_000_000, sum % 1_000_000_000)) }
}

fn parts_of(money: Money) -> (i128, i128) {
    (money.units().into(), money.nanos().into())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn a_sum_is_exact_or_an_error(total in parts(), price in parts(), quantity in quantity()) {
        let sum = billionths(total) + billionths(price) * i128::from(quantity);
        prop_assert_eq!(eur(total).plus(eur(price), quantity).map(parts_of), expected(sum));
    }

    #[test]
    fn lines_add_up_exactly_or_are_an_error(lines in prop::collection::vec((parts(), quantity()), 0..5)) {
        let sum = lines.iter().map(|(price, quantity)| billionths(*price) * i128::from(*quantity)).sum();
        let zero = Money::zero(Currency::parse("EUR").unwrap());
        let added = lines.iter().try_fold(zero, |total, (price, quantity)| total.plus(eur(*price), *quantity));
        prop_assert_eq!(added.map(parts_of), expected(sum));
    }

    #[test]
    fn a_message_is_a_price_as_it_stands_or_an_error(
        currency_code in prop_oneof![Just("EUR"), Just("USD"), Just("eur"), Just("EURO"), Just("")],
        (units, nanos) in prop_oneof![
            4 => parts(),
            1 => (Just(-1_i64), Just(0)),
            1 => (0..4_i64, prop_oneof![Just(-1), Just(1_000_000_000)]),
            1 => (any::<i64>(), any::<i32>()),
        ],
    ) {
        let message = MoneyMessage { currency_code: currency_code.to_owned(), units, nanos };
        let price = units >= 0
            && (0..=999_999_999).contains(&nanos)
            && billionths((units, nanos)) <= HIGHEST_PRICE
            && ["EUR", "USD"].contains(&currency_code);
        prop_assert_eq!(Money::parse_price(&message).ok().map(MoneyMessage::from), price.then_some(message));
    }
}
