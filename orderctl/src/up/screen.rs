//! What a person sees while things start: a line per part with the time it takes, redrawn in place on a terminal and
//! written once per step anywhere else.

use std::io::{self, IsTerminal as _, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use crate::output;

const REDRAW: Duration = Duration::from_millis(100);

/// The lines of all parts. Cheap to clone; [`Screen::finish`] ends the redrawing.
#[derive(Clone)]
pub(crate) struct Screen {
    shared: Arc<Mutex<Shared>>,
}

struct Shared {
    started: Instant,
    live: bool,
    parts: Vec<PartLine>,
    /// Lines of the last drawing, to go back over.
    drawn: usize,
    ticker: Option<JoinHandle<()>>,
}

struct PartLine {
    name: &'static str,
    text: String,
    since: Instant,
    changed: Instant,
    took: Option<Duration>,
}

impl Screen {
    /// Starts to draw.
    pub(crate) fn start() -> Self {
        let live = io::stdout().is_terminal();
        let shared = Shared { started: Instant::now(), live, parts: Vec::new(), drawn: 0, ticker: None };
        let screen = Self { shared: Arc::new(Mutex::new(shared)) };
        if live {
            let ticking = screen.clone();
            let ticker = tokio::spawn(async move {
                loop {
                    tokio::time::sleep(REDRAW).await;
                    ticking.with(|shared| shared.redraw());
                }
            });
            screen.with(|shared| shared.ticker = Some(ticker));
        }
        screen
    }

    /// A part is at work.
    pub(crate) fn working(&self, part: &'static str, text: impl Into<String>) {
        self.with(|shared| shared.set(part, text.into(), false));
    }

    /// A part is up.
    pub(crate) fn ready(&self, part: &'static str, text: impl Into<String>) {
        self.with(|shared| shared.set(part, text.into(), true));
    }

    /// Time since the start.
    pub(crate) fn elapsed(&self) -> Duration {
        self.with(|shared| shared.started.elapsed())
    }

    /// Leaves the lines as they are; what follows is written below them.
    pub(crate) fn finish(&self) {
        self.with(|shared| {
            if let Some(ticker) = shared.ticker.take() {
                ticker.abort();
                shared.redraw();
            }
        });
    }

    fn with<T>(&self, action: impl FnOnce(&mut Shared) -> T) -> T {
        action(&mut self.shared.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Shared {
    fn set(&mut self, name: &'static str, text: String, ready: bool) {
        let index = match self.parts.iter().position(|part| part.name == name) {
            Some(index) => index,
            None => {
                let now = Instant::now();
                self.parts.push(PartLine { name, text: String::new(), since: now, changed: now, took: None });
                self.parts.len() - 1
            }
        };
        let part = &mut self.parts[index];
        // A part's last word may come before anybody knows that it was the last: it took until then.
        let is_news = part.text != text;
        if is_news {
            part.text = text;
            part.changed = Instant::now();
        }
        part.took = ready.then(|| part.changed - part.since);
        if self.live {
            self.redraw();
        } else if is_news {
            let line = line(&self.parts[index], usize::MAX);
            write_all(&format!("{line}\n"));
        }
    }

    fn redraw(&mut self) {
        if self.ticker.is_none() {
            return;
        }
        let width = output::width().saturating_sub(1);
        let mut text = if self.drawn == 0 { String::new() } else { format!("\x1b[{}A", self.drawn) };
        for part in &self.parts {
            text.push_str(&format!("\r\x1b[2K{}\n", line(part, width)));
        }
        self.drawn = self.parts.len();
        write_all(&text);
    }
}

/// `✓ postgres         1.2 s  PostgreSQL 15.3 from …`
fn line(part: &PartLine, width: usize) -> String {
    let mark = if part.took.is_some() { '✓' } else { '·' };
    let took = part.took.unwrap_or_else(|| part.since.elapsed());
    let text = format!("{mark} {:<13} {:>5.1} s  {}", part.name, took.as_secs_f64(), part.text);
    if text.chars().count() <= width {
        return text;
    }
    let kept: String = text.chars().take(width.saturating_sub(1)).collect();
    format!("{kept}…")
}

/// Progress that nobody can read any more must not end what is in progress.
fn write_all(text: &str) {
    let mut output = io::stdout().lock();
    if output.write_all(text.as_bytes()).and_then(|()| output.flush()).is_err() {
        // Whoever read it has left.
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_to_the_terminal() {
        let now = Instant::now();
        let mut part = PartLine { name: "kafka", text: "x".repeat(200), since: now, changed: now, took: None };
        assert_eq!(line(&part, 80).chars().count(), 80);
        assert!(line(&part, 80).starts_with("· kafka"));
        part.took = Some(Duration::from_millis(1234));
        part.text = "Apache Kafka".to_owned();
        assert_eq!(line(&part, 80), "✓ kafka           1.2 s  Apache Kafka");
    }
}
