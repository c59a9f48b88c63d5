//! What commands write: text for people, one message as JSON for programs.

use std::io::{self, IsTerminal as _, Write as _};

use serde::Serialize;

/// Columns of a terminal that doesn't say how wide it is, and of files and pipes.
const DEFAULT_WIDTH: usize = 100;

/// Writes one text and a line end to standard output.
///
/// # Errors
/// Standard output can't be written, most often because its reader (`head`) has left.
pub(crate) fn print(text: &str) -> io::Result<()> {
    let mut output = io::stdout().lock();
    writeln!(output, "{text}")?;
    output.flush()
}

/// Writes one message as a line of JSON.
///
/// # Errors
/// As [`print()`].
pub(crate) fn print_json(message: &impl Serialize) -> io::Result<()> {
    print(&serde_json::to_string(message)?)
}

/// Columns of the terminal that standard output is, else `COLUMNS`, else 100.
pub(crate) fn width() -> usize {
    let terminal = rustix::termios::tcgetwinsize(io::stdout()).ok().map(|size| usize::from(size.ws_col));
    let variable = || std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    terminal.filter(|&columns| columns > 0).or_else(variable).unwrap_or(DEFAULT_WIDTH)
}

/// Whether colours help: standard output is a terminal and <https://no-color.org> isn't asked for.
pub(crate) fn colours() -> bool {
    io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Lines up columns, the first row being the header. `right` names the columns (from 0) that hold numbers.
pub(crate) fn table(rows: &[Vec<String>], right: &[usize]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width_of = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width_of(column).unwrap_or(0)).collect();
    let lines: Vec<String> =
        rows.iter()
            .map(|row| {
                let cells: Vec<String> =
                    row.iter()
                        .zip(&widths)
                        .enumerate()
                        .map(|(column, (cell, &width))| {
                            if right.contains(&column) { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
                        })
                        .collect();
                cells.join("  ").trim_end().to_owned()
            })
            .collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_by_characters_and_numbers_to_the_right() {
        let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
        let text =
            table(&[row(["SKU", "QTY", "NAME"]), row(["É-1", "5", "Cup"]), row(["LONG-SKU", "500", "Jug"])], &[1]);
        assert_eq!(text, "SKU       QTY  NAME\nÉ-1         5  Cup\nLONG-SKU  500  Jug");
    }
}
