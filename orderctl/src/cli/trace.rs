//! `orderctl trace`: where the time of an order went.

use anyhow::bail;
use clap::Args;

use crate::output;
use crate::waterfall::{self, Style, Trace};
use crate::{client::Address, jaeger};

/// Print an order's trace as a waterfall
///
/// The placement comes first, then the traces that link to it (cancelling, fulfilling, the sweep).
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  orderctl trace ORDER_ID --jaeger http://127.0.0.1:16686")]
pub(crate) struct TraceArguments {
    /// The order's id
    order_id: String,
    /// Where Jaeger's query API listens
    #[arg(long, env = "JAEGER_URL", default_value = "http://127.0.0.1:16686", value_name = "URL")]
    jaeger: Address,
    /// Draw the other traces too that touched the order, such as reads
    #[arg(long)]
    all: bool,
    /// Print Jaeger's answer as it came
    #[arg(long)]
    json: bool,
}

impl TraceArguments {
    /// Runs the command and prints the traces.
    ///
    /// # Errors
    /// Jaeger doesn't answer or has no trace of the order, or standard output can't be written.
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let answer = jaeger::fetch(&self.jaeger.to_string(), &self.order_id).await?;
        if self.json {
            return Ok(output::print_json(&answer)?);
        }
        let traces = jaeger::traces(answer)?;
        let Some((placement, others)) = traces.split_first() else {
            bail!(
                "{} has no trace of order {}\n  next: spans arrive with a delay of some seconds, so try again; or the \
                 call was not sampled, or is too old",
                self.jaeger,
                self.order_id
            );
        };
        Ok(output::print(&story(placement, others, self.all, current_style()))?)
    }
}

/// As wide and as colourful as standard output allows.
pub(crate) fn current_style() -> Style {
    Style { width: output::width(), colours: output::colours() }
}

/// The placement, then the traces that link to it, then how many others there are (or these too).
fn story(placement: &Trace, others: &[Trace], all: bool, style: Style) -> String {
    let (shown, left_out): (Vec<&Trace>, Vec<&Trace>) =
        others.iter().partition(|trace| all || trace.links_to(placement));
    let mut parts = vec![waterfall::draw(placement, style)];
    parts.extend(shown.into_iter().map(|trace| waterfall::draw(trace, style)));
    match left_out.len() {
        0 => {}
        1 => parts.push("1 other trace touched this order (--all draws it)".to_owned()),
        count => parts.push(format!("{count} other traces touched this order (--all draws them)")),
    }
    parts.join("\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linked_traces_follow_the_placement_and_reads_are_counted() {
        let answer = serde_json::from_str(include_str!("../../testdata/order.json")).expect("it is JSON");
        let traces = jaeger::traces(answer).expect("it has Jaeger's form");
        let (placement, others) = traces.split_first().expect("three traces");
        let style = Style { width: 100, colours: false };
        let text = story(placement, others, false, style);
        let place = text.find("OrderService/PlaceOrder").expect("the placement is drawn");
        let cancel = text.find("OrderService/CancelOrder").expect("the cancellation is drawn");
        assert!(place < cancel, "{text}");
        assert!(!text.contains("GetOrder"), "{text}");
        assert!(text.ends_with("1 other trace touched this order (--all draws it)"), "{text}");
        assert!(story(placement, others, true, style).contains("GetOrder"));
    }
}
