//! Stock lists: CSV files with the header `sku,name,unit_price,currency,quantity`.
//!
//! Reading goes line by line, so a file of any size takes no memory. A bad line costs only itself: it is handed over with
//! its number and reason, and reading goes on behind it.

use std::io::{self, BufRead as _, BufReader, Read};

use proto::google::r#type::Money;

use crate::money;

/// The catalogue that `orderctl up` imports, inside the binary so that `up` works in any folder.
pub(crate) const DEMO_CATALOGUE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../data/catalogue.csv"));

/// The columns, in the order that the header must have.
pub(crate) const COLUMNS: [&str; 5] = ["sku", "name", "unit_price", "currency", "quantity"];

/// Bytes that a line may have; a file without line ends must not fill the memory.
const LONGEST_LINE: u64 = 64 * 1024;

/// One row of stock to add.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    pub(crate) sku: String,
    /// Empty: the name stays as it is.
    pub(crate) name: String,
    /// `None`: the price stays as it is.
    pub(crate) unit_price: Option<Money>,
    /// Negative takes stock away.
    pub(crate) quantity: i64,
}

/// A line of the file that is no row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BadLine {
    /// Counted from 1, the header included.
    pub(crate) line: u64,
    pub(crate) reason: String,
}

/// A row with the line it starts on.
pub(crate) type Record = Result<(u64, Row), BadLine>;

/// Checks the header and returns the records behind it. Empty lines are no records.
///
/// Every record is one line: no field may hold a line break, and a quote that somebody forgot to close must not swallow
/// what follows.
///
/// The error says what is wrong with the header, or that the file can't be read.
pub(crate) fn read<R: Read>(source: R) -> Result<impl Iterator<Item = Record>, String> {
    let mut lines = Lines { source: BufReader::new(source), number: 0, failed: false };
    let (_, header) = lines.next().unwrap_or((1, Ok(String::new())));
    let header = header.map_err(|reason| format!("line 1 {reason}"))?;
    // Spreadsheets put a byte order mark before the first name.
    let header = header.trim_start_matches('\u{feff}');
    if fields(header)? != COLUMNS {
        return Err(format!("line 1 must be \"{}\", but is \"{header}\"", COLUMNS.join(",")));
    }
    let filled = lines.filter(|(_, text)| text.as_ref().map_or(true, |text| !text.is_empty()));
    Ok(filled.map(|(line, text)| {
        let row = text.and_then(|text| parse_row(&fields(&text)?));
        row.map(|row| (line, row)).map_err(|reason| BadLine { line, reason })
    }))
}

/// The lines of a file with their numbers; a line that can't be read comes with the reason.
struct Lines<R> {
    source: BufReader<R>,
    number: u64,
    failed: bool,
}

impl<R: Read> Iterator for Lines<R> {
    type Item = (u64, Result<String, String>);

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        self.number += 1;
        let text = self.read_line().unwrap_or_else(|error| {
            self.failed = true;
            Some(Err(format!("can't be read: {error}")))
        })?;
        Some((self.number, text))
    }
}

impl<R: Read> Lines<R> {
    fn read_line(&mut self) -> io::Result<Option<Result<String, String>>> {
        let mut bytes = Vec::new();
        self.source.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut bytes)?;
        if bytes.is_empty() {
            return Ok(None);
        }
        if bytes.last() != Some(&b'\n') && bytes.len() as u64 == LONGEST_LINE {
            self.source.skip_until(b'\n')?;
            return Ok(Some(Err(format!("is longer than {LONGEST_LINE} bytes"))));
        }
        let text = String::from_utf8(bytes).map_err(|_| "is not valid UTF-8".to_owned());
        Ok(Some(text.map(|text| text.trim().to_owned())))
    }
}

/// Splits one line at its commas.
fn fields(line: &str) -> Result<Vec<String>, String> {
    if line.bytes().filter(|&byte| byte == b'"').count() % 2 == 1 {
        return Err("has a quote that is not closed".to_owned());
    }
    let mut reader = csv::ReaderBuilder::new().has_headers(false).trim(csv::Trim::All).from_reader(line.as_bytes());
    let record = reader.records().next().transpose().map_err(|error| error.to_string())?.unwrap_or_default();
    Ok(record.iter().map(str::to_owned).collect())
}

fn parse_row(fields: &[String]) -> Result<Row, String> {
    let [sku, name, unit_price, currency, quantity] = fields else {
        let wrong = format!("has {} fields instead of {}", fields.len(), COLUMNS.len());
        let hint = if fields.len() > COLUMNS.len() { " (put quotes around a name with a comma in it)" } else { "" };
        return Err(format!("{wrong}{hint}"));
    };
    check_sku(sku)?;
    if name.chars().any(char::is_control) {
        return Err("name has a control character in it".to_owned());
    }
    let unit_price = match (unit_price.as_str(), currency.as_str()) {
        ("", "") => None,
        ("", _) => return Err("has a currency but no unit_price".to_owned()),
        (_, "") => return Err("has a unit_price but no currency".to_owned()),
        (amount, currency) => Some(money::parse(amount, currency)?),
    };
    let quantity =
        quantity.parse().map_err(|_| format!("quantity \"{quantity}\" is not a whole number such as 25 or -3"))?;
    Ok(Row { sku: sku.clone(), name: name.clone(), unit_price, quantity })
}

/// The contract's rule for SKUs.
pub(crate) fn check_sku(sku: &str) -> Result<(), String> {
    let fits = (1..=64).contains(&sku.len());
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if fits && sku.bytes().all(allowed) {
        Ok(())
    } else {
        Err(format!("sku \"{sku}\" is not 1 to 64 characters of A-Z a-z 0-9 . _ -"))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn records(lines: &str) -> Vec<Record> {
        let file = format!("sku,name,unit_price,currency,quantity\n{lines}");
        read(file.as_bytes()).expect("the header is right").collect()
    }

    fn refusal(line: &str) -> String {
        let mut records = records(line);
        records.remove(0).expect_err(line).reason
    }

    #[test]
    fn bad_lines_are_named_and_the_others_are_kept() {
        let records = records("A,\"Cup, blue\",1.50,EUR,3\nB,Mug,x,EUR,3\n\nC,Jug,2,EUR,many\nD,,,,-2\n");
        let lines: Vec<(u64, bool)> = records
            .iter()
            .map(|record| match record {
                Ok((line, _)) => (*line, true),
                Err(bad) => (bad.line, false),
            })
            .collect();
        assert_eq!(lines, [(2, true), (3, false), (5, false), (6, true)]);
        let (_, first) = records[0].clone().expect("line 2 is good");
        assert_eq!(first.name, "Cup, blue");
        assert_eq!(first.unit_price.map(|price| price.nanos), Some(500_000_000));
        let (_, last) = records[3].clone().expect("line 6 is good");
        assert_eq!(last, Row { sku: "D".to_owned(), name: String::new(), unit_price: None, quantity: -2 });
    }

    #[test]
    fn each_mistake_has_a_reason_of_its_own() {
        assert!(refusal("A,Cup, blue,1.50,EUR,3").contains("6 fields instead of 5 (put quotes"));
        assert!(refusal("A,Cup").contains("2 fields instead of 5"));
        assert!(refusal("A/B,Cup,1,EUR,3").contains("sku \"A/B\""));
        assert!(refusal(",Cup,1,EUR,3").contains("sku \"\""));
        assert!(refusal("A,Cup,1,,3").contains("no currency"));
        assert!(refusal("A,Cup,,EUR,3").contains("no unit_price"));
        assert!(refusal("A,Cup,1,eur,3").contains("currency \"eur\""));
        assert!(refusal("A,Cup,1,EUR,1.5").contains("quantity \"1.5\""));
    }

    #[test]
    fn bytes_that_are_no_text_spoil_only_their_line() {
        let file = b"sku,name,unit_price,currency,quantity\nA,C\xffp,1,EUR,3\nB,Mug,1,EUR,3\n";
        let records: Vec<Record> = read(file.as_slice()).expect("the header is right").collect();
        assert!(records[0].as_ref().expect_err("line 2").reason.contains("UTF-8"));
        assert_eq!(records[1].as_ref().map(|(line, _)| *line), Ok(3));
    }

    #[test]
    fn open_quotes_and_endless_lines_spoil_only_their_line() {
        let long = "x".repeat(200_000);
        let records = records(&format!("A,\"Cup,1,EUR,3\n{long}\nB,Mug,1,EUR,3\r\nC,\"The \"\"big\"\" jug\",1,EUR,3"));
        let lines: Vec<Result<u64, &str>> = records
            .iter()
            .map(|record| record.as_ref().map(|(line, _)| *line).map_err(|bad| bad.reason.as_str()))
            .collect();
        let expected = [Err("has a quote that is not closed"), Err("is longer than 65536 bytes"), Ok(4), Ok(5)];
        assert_eq!(lines, expected);
        assert_eq!(records[3].as_ref().map(|(_, row)| row.name.as_str()), Ok("The \"big\" jug"));
    }

    #[test]
    fn another_header_is_refused() {
        let refusal = read("sku,quantity\n".as_bytes()).err().expect("two columns are missing");
        assert!(refusal.contains("must be \"sku,name,unit_price,currency,quantity\""), "{refusal}");
        assert!(read("\u{feff}sku,name,unit_price,currency,quantity\n".as_bytes()).is_ok());
    }

    #[test]
    fn the_demo_catalogue_is_whole() {
        let rows: Vec<Row> = read(DEMO_CATALOGUE.as_bytes())
            .expect("the header is right")
            .map(|record| record.expect("every line is a row").1)
            .collect();
        assert!(rows.len() >= 200, "{} rows", rows.len());
        let skus: HashSet<&str> = rows.iter().map(|row| row.sku.as_str()).collect();
        assert_eq!(skus.len(), rows.len(), "a SKU comes twice");
        assert!(rows.iter().all(|row| row.quantity > 0 && !row.name.is_empty()));
        let currencies: HashSet<String> =
            rows.iter().filter_map(|row| row.unit_price.as_ref()).map(|price| price.currency_code.clone()).collect();
        assert_eq!(currencies.len(), 2, "two currencies, so that MIXED_CURRENCY can be tried");
    }
}
