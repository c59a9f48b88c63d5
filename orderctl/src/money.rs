//! Money as people write it (`12.90`) and as the contract carries it (units and billionths).

use proto::google::r#type::Money;

/// Digits after the point that `Money.nanos` can hold.
const DECIMALS: usize = 9;

/// Reads a decimal amount that is not negative, such as `12`, `12.9` or `12.90`, and a currency of three letters.
///
/// The error says what is wrong, for the person who wrote the text.
pub(crate) fn parse(amount: &str, currency: &str) -> Result<Money, String> {
    if currency.len() != 3 || !currency.bytes().all(|byte| byte.is_ascii_uppercase()) {
        return Err(format!("currency \"{currency}\" is not a code of three capital letters such as EUR"));
    }
    let refused = || format!("unit_price \"{amount}\" is not an amount such as 12.90");
    let (units, fraction) = amount.split_once('.').unwrap_or((amount, "0"));
    let all_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !all_digits(units) || !all_digits(fraction) {
        return Err(refused());
    }
    if fraction.len() > DECIMALS {
        return Err(format!("unit_price \"{amount}\" has more than {DECIMALS} digits after the point"));
    }
    let units = units.parse().map_err(|_| refused())?;
    let nanos = format!("{fraction:0<DECIMALS$}").parse().map_err(|_| refused())?;
    Ok(Money { currency_code: currency.to_owned(), units, nanos })
}

/// The amount with at least two decimals and its currency: `12.90 EUR`.
pub(crate) fn display(money: &Money) -> String {
    let negative = money.units < 0 || money.nanos < 0;
    let sign = if negative { "-" } else { "" };
    let fraction = format!("{:0>DECIMALS$}", money.nanos.unsigned_abs());
    let significant = fraction.trim_end_matches('0').len().max(2);
    format!("{sign}{}.{} {}", money.units.unsigned_abs(), &fraction[..significant], money.currency_code)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn euros(units: i64, nanos: i32) -> Money {
        Money { currency_code: "EUR".to_owned(), units, nanos }
    }

    #[test]
    fn decimal_amounts_become_units_and_nanos() {
        assert_eq!(parse("12.90", "EUR"), Ok(euros(12, 900_000_000)));
        assert_eq!(parse("12.9", "EUR"), Ok(euros(12, 900_000_000)));
        assert_eq!(parse("0", "EUR"), Ok(euros(0, 0)));
        assert_eq!(parse("0.000000001", "EUR"), Ok(euros(0, 1)));
        assert_eq!(parse("1000000000.05", "EUR"), Ok(euros(1_000_000_000, 50_000_000)));
    }

    #[test]
    fn what_is_no_amount_is_refused_with_its_text() {
        for amount in ["", ".", "5.", ".5", "-1", "+1", "1,50", "12.90 EUR", "1e3", "99999999999999999999"] {
            let refusal = parse(amount, "EUR").expect_err(amount);
            assert!(refusal.contains(&format!("\"{amount}\"")), "{refusal}");
        }
        assert!(parse("0.0000000001", "EUR").expect_err("ten digits").contains("more than 9 digits"));
    }

    #[test]
    fn currency_is_three_capital_letters() {
        for currency in ["", "eur", "EURO", "€", "E1R"] {
            assert!(parse("1", currency).expect_err(currency).contains("three capital letters"));
        }
    }

    #[test]
    fn amounts_are_shown_with_at_least_two_decimals() {
        assert_eq!(display(&euros(12, 900_000_000)), "12.90 EUR");
        assert_eq!(display(&euros(12, 0)), "12.00 EUR");
        assert_eq!(display(&euros(0, 5_000_000)), "0.005 EUR");
        assert_eq!(display(&euros(-1, -500_000_000)), "-1.50 EUR");
        assert_eq!(display(&euros(0, -500_000_000)), "-0.50 EUR");
    }
}
