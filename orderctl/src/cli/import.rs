//! `orderctl stock import`: sends a CSV file of any size as one ImportStock stream.
//!
//! A thread reads the file into a short queue and waits while the server is slower than the disk, so memory stays the
//! same for ten rows and for ten million. Mistakes cost only their line: those found here and those that the server
//! refuses end up in one list, by line of the file.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use proto::inventory::v1::inventory_service_client::InventoryServiceClient;
use proto::inventory::v1::{ImportStockRequest, ImportStockResponse};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;

use super::CallOptions;
use crate::catalogue::{self, BadLine};
use crate::client::{self, Address};
use crate::failure::CallFailed;
use crate::output;

/// Rows that wait for the network; enough to keep it busy.
const QUEUE: usize = 256;
/// Bad lines that are kept to be shown, as many as the server names; all are counted.
const SHOWN: usize = 100;

/// What became of a file.
#[derive(Debug)]
pub(crate) struct ImportReport {
    read: ReadReport,
    pub(crate) response: ImportStockResponse,
}

/// Imports the file and prints the report.
///
/// # Errors
/// The file can't be read or has another header, or the call failed: then nothing says how far it came, and sending the
/// unchanged file again is safe.
pub(crate) async fn run(
    address: &Address,
    options: &CallOptions,
    path: &Path,
    import: Option<String>,
) -> anyhow::Result<ExitCode> {
    let open = || File::open(path).with_context(|| format!("{} can't be read", path.display()));
    let import = match import {
        Some(import) => import,
        None => import_id(open()?).with_context(|| format!("{} can't be read", path.display()))?,
    };
    let channel = client::connect(address).await?;
    let report = send(channel, address, import.clone(), open()?, options.import_timeout())
        .await
        .with_context(|| path.display().to_string())?;
    let bad = report.bad_lines();
    if options.json {
        output::print_json(&ReportJson::new(&report, &import, &bad))?;
    } else {
        for line in &bad {
            eprintln!("{}:{}: {}", path.display(), line.line, line.reason);
        }
        output::print(&report.summary(&import))?;
        if report.bad_count() > 0 {
            eprintln!(
                "next: put the corrected rows into a file of their own and import that; the good rows are in, and this \
                 file with changes in it would add them again."
            );
        }
    }
    Ok(if report.bad_count() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// An id that only a file with the same contents gets.
///
/// # Errors
/// The source can't be read.
pub(crate) fn import_id(mut source: impl Read) -> std::io::Result<String> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match source.read(&mut buffer)? {
            0 => break,
            length => hash.update(&buffer[..length]),
        }
    }
    let hexadecimal: String = hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("csv-{hexadecimal}"))
}

/// Sends the good rows of a CSV file as one import.
///
/// # Errors
/// The header is not the expected one, or the call failed.
pub(crate) async fn send(
    channel: Channel,
    address: &Address,
    import_id: String,
    source: impl Read + Send + 'static,
    timeout: Duration,
) -> anyhow::Result<ImportReport> {
    let (sender, receiver) = mpsc::channel(QUEUE);
    let reader = tokio::task::spawn_blocking(move || read_rows(source, &import_id, &sender));
    let request = client::request(ReceiverStream::new(receiver), timeout);
    let response = InventoryServiceClient::new(channel).import_stock(request).await;
    // The call has ended, so the queue is closed and the reader ends with its next row at the latest.
    let read = reader.await.context("reading the file failed")?.map_err(anyhow::Error::msg)?;
    let response = response.map_err(|status| {
        CallFailed::new("ImportStock", address, status)
            .with_advice("import the unchanged file again; rows that are in already are not added twice.")
    })?;
    Ok(ImportReport { read, response: response.into_inner() })
}

/// What the reading side found.
#[derive(Debug, Default)]
struct ReadReport {
    rows: u64,
    bad: Vec<BadLine>,
    bad_count: u64,
    lines: LineOfRow,
}

fn read_rows(
    source: impl Read,
    import_id: &str,
    rows: &mpsc::Sender<ImportStockRequest>,
) -> Result<ReadReport, String> {
    let mut report = ReadReport::default();
    for record in catalogue::read(source)? {
        match record {
            Ok((line, row)) => {
                report.rows += 1;
                report.lines.add(report.rows, line);
                let catalogue::Row { sku, name, unit_price, quantity } = row;
                let import_id = import_id.to_owned();
                let message = ImportStockRequest { import_id, row: report.rows, sku, name, unit_price, quantity };
                if rows.blocking_send(message).is_err() {
                    // The call ended early; its status says why.
                    return Ok(report);
                }
            }
            Err(bad) => {
                report.bad_count += 1;
                if report.bad.len() < SHOWN {
                    report.bad.push(bad);
                }
            }
        }
    }
    Ok(report)
}

/// Which line of the file a row was on: a point for each change of the distance between the two, so that a file without
/// mistakes needs one point.
#[derive(Debug, Default)]
struct LineOfRow(Vec<(u64, u64)>);

impl LineOfRow {
    /// Rows are added in rising order.
    fn add(&mut self, row: u64, line: u64) {
        if self.0.last().is_none_or(|&(known_row, known_line)| known_line + (row - known_row) != line) {
            self.0.push((row, line));
        }
    }

    fn get(&self, row: u64) -> Option<u64> {
        let behind = self.0.partition_point(|&(known_row, _)| known_row <= row);
        let &(known_row, known_line) = self.0.get(behind.checked_sub(1)?)?;
        Some(known_line + (row - known_row))
    }
}

impl ImportReport {
    /// Lines that are no rows and rows that were refused.
    pub(crate) fn bad_count(&self) -> u64 {
        self.read.bad_count + self.response.rows_rejected
    }

    /// The first bad lines and refused rows, by line.
    pub(crate) fn bad_lines(&self) -> Vec<BadLine> {
        let refused = self.response.errors.iter().map(|error| BadLine {
            line: self.read.lines.get(error.row).unwrap_or_default(),
            reason: format!("refused: {} ({})", error.message, error.reason),
        });
        let mut bad: Vec<BadLine> = self.read.bad.iter().cloned().chain(refused).collect();
        bad.sort_by_key(|bad| bad.line);
        bad
    }

    fn summary(&self, import_id: &str) -> String {
        let response = &self.response;
        let row = |name: &str, number: u64| vec![name.to_owned(), number.to_string()];
        let rows = [
            vec!["import".to_owned(), import_id.to_owned()],
            row("rows sent", self.read.rows),
            row("applied", response.rows_applied),
            row("applied earlier", response.rows_already_applied),
            row("refused", response.rows_rejected),
            row("bad lines", self.read.bad_count),
        ];
        output::table(&rows, &[])
    }
}

/// The report as `--json` prints it: ImportStockResponse's figures, and lines instead of rows.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ReportJson<'a> {
    import_id: &'a str,
    rows_sent: u64,
    rows_received: u64,
    rows_applied: u64,
    rows_already_applied: u64,
    rows_rejected: u64,
    bad_lines: u64,
    errors: Vec<LineJson<'a>>,
}

#[derive(Serialize)]
struct LineJson<'a> {
    line: u64,
    reason: &'a str,
}

impl<'a> ReportJson<'a> {
    fn new(report: &ImportReport, import_id: &'a str, bad: &'a [BadLine]) -> Self {
        Self {
            import_id,
            rows_sent: report.read.rows,
            rows_received: report.response.rows_received,
            rows_applied: report.response.rows_applied,
            rows_already_applied: report.response.rows_already_applied,
            rows_rejected: report.response.rows_rejected,
            bad_lines: report.read.bad_count,
            errors: bad.iter().map(|bad| LineJson { line: bad.line, reason: &bad.reason }).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proto::inventory::v1::RowError;

    use super::*;

    const FILE: &str = "sku,name,unit_price,currency,quantity\nA,Cup,1,EUR,1\nB,Mug,x,EUR,1\n\nC,Jug,1,EUR,1\nD,,,,1\n";

    #[tokio::test]
    async fn good_rows_are_numbered_without_gaps_and_bad_lines_are_kept() {
        let (sender, mut receiver) = mpsc::channel(1);
        let reader = tokio::task::spawn_blocking(move || read_rows(FILE.as_bytes(), "i", &sender));
        let mut sent = Vec::new();
        while let Some(message) = receiver.recv().await {
            sent.push((message.row, message.sku));
        }
        let report = reader.await.expect("no panic").expect("the header is right");
        assert_eq!(sent, [(1, "A".to_owned()), (2, "C".to_owned()), (3, "D".to_owned())]);
        assert_eq!(report.bad.iter().map(|bad| bad.line).collect::<Vec<_>>(), [3]);

        let errors = vec![RowError { row: 2, reason: "X".to_owned(), message: "too few".to_owned() }];
        let response = ImportStockResponse { rows_rejected: 1, errors, ..ImportStockResponse::default() };
        let report = ImportReport { read: report, response };
        assert_eq!(report.bad_count(), 2);
        let lines: Vec<(u64, String)> = report.bad_lines().into_iter().map(|bad| (bad.line, bad.reason)).collect();
        assert_eq!(lines[1], (5, "refused: too few (X)".to_owned()));
    }

    #[tokio::test]
    async fn reading_stops_when_the_call_has_ended() {
        let (sender, receiver) = mpsc::channel(1);
        drop(receiver);
        let endless = FILE.as_bytes().chain(std::io::repeat(b'\n'));
        let report = tokio::task::spawn_blocking(move || read_rows(endless, "i", &sender));
        let report = report.await.expect("no panic").expect("the header is right");
        assert_eq!(report.rows, 1);
    }

    #[test]
    fn only_equal_contents_have_equal_ids() {
        let id = |text: &str| import_id(text.as_bytes()).expect("it can be read");
        assert_eq!(id(FILE), id(FILE));
        assert_ne!(id(FILE), id(&FILE[1..]));
        assert!(id(FILE).len() <= 64, "the contract's limit");
    }
}
