//! Failed calls as people read them: code, message, reason, every detail that the server sent, and what to do next.

use std::error::Error;
use std::fmt;
use std::io;

use proto::codes;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::client::{self, Address};

/// A gRPC call that failed.
#[derive(Debug)]
pub(crate) struct CallFailed {
    call: &'static str,
    address: String,
    status: Box<Status>,
    advice: Option<String>,
}

impl CallFailed {
    /// `call` is the method's name, as the reader knows it.
    pub(crate) fn new(call: &'static str, address: &Address, status: Status) -> Self {
        Self { call, address: address.to_string(), status: Box::new(status), advice: None }
    }

    /// Replaces the hint that the code alone would give.
    pub(crate) fn with_advice(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }

    /// What went wrong, without what to do about it.
    pub(crate) fn cause(&self) -> String {
        message(&self.status)
    }

    /// Code, reason and message in one line.
    pub(crate) fn summary(&self) -> String {
        self.to_string().lines().next().unwrap_or_default().to_owned()
    }

    fn hint(&self, details: &ErrorDetails) -> Option<String> {
        if is_refused(&self.status) {
            let address = &self.address;
            return Some(format!("nothing listens on {address}: is `orderctl up` running? Or pass --address."));
        }
        if let Some(advice) = &self.advice {
            return Some(advice.clone());
        }
        let reason = details.error_info().map_or("", |info| info.reason.as_str());
        let hint = match (self.code(), reason) {
            (_, proto::reasons::ORDER_NOT_FOUND) => "`orderctl order list` shows the orders that there are.",
            (_, proto::reasons::SKU_NOT_FOUND) => "`orderctl stock list` shows the SKUs that there are.",
            (_, proto::reasons::REQUEST_ID_REUSED) => "take another --request-id, or leave it out.",
            (_, proto::reasons::INVALID_PAGE_TOKEN) => "leave --page-token out to start at the first page.",
            (Code::DeadlineExceeded, _) => "call again, or allow more time with --timeout.",
            (Code::Unavailable | Code::ResourceExhausted, _) => "try again in a moment; /readyz says what is missing.",
            (Code::Unimplemented, _) => "the server has no such method: does --address name the right service?",
            (Code::Internal | Code::Unknown, _) => "the service's log says more.",
            _ => return None,
        };
        Some(hint.to_owned())
    }

    /// The code, where tonic's own timer must not look as if somebody had cancelled the call.
    fn code(&self) -> Code {
        let timed_out = client::is_timed_out(&self.status);
        if timed_out { Code::DeadlineExceeded } else { self.status.code() }
    }
}

impl fmt::Display for CallFailed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let details = self.status.get_error_details();
        write!(formatter, "{}: {}", self.call, codes::name(self.code()))?;
        if let Some(info) = details.error_info() {
            write!(formatter, " ({})", info.reason)?;
        }
        write!(formatter, ": {}", message(&self.status))?;
        for line in detail_lines(&details) {
            write!(formatter, "\n  {line}")?;
        }
        if let Some(hint) = self.hint(&details) {
            write!(formatter, "\n  next: {hint}")?;
        }
        Ok(())
    }
}

impl Error for CallFailed {}

fn detail_lines(details: &ErrorDetails) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(bad_request) = details.bad_request() {
        lines
            .extend(bad_request.field_violations.iter().map(|field| format!("{}: {}", field.field, field.description)));
    }
    if let Some(failure) = details.precondition_failure() {
        let line = |violation: &tonic_types::PreconditionViolation| {
            format!("{} {}: {}", violation.r#type, violation.subject, violation.description)
        };
        lines.extend(failure.violations.iter().map(line));
    }
    if let Some(resource) = details.resource_info() {
        lines.push(format!("{}: {}", resource.resource_type, resource.resource_name));
    }
    if let Some(info) = details.error_info() {
        let mut metadata: Vec<String> = info.metadata.iter().map(|(key, value)| format!("{key}: {value}")).collect();
        metadata.sort();
        lines.extend(metadata);
    }
    if let Some(delay) = details.retry_info().and_then(|retry| retry.retry_delay) {
        lines.push(format!("retry after: {delay:?}"));
    }
    lines
}

/// The server's message; for a broken connection the innermost cause, which says more than "transport error".
fn message(status: &Status) -> String {
    match status.source() {
        Some(cause) => innermost(cause),
        None if status.message().is_empty() => "no message".to_owned(),
        None => status.message().to_owned(),
    }
}

/// What went wrong in the end, below the layers that only pass it on.
pub(crate) fn innermost(error: &dyn Error) -> String {
    let mut innermost = error;
    while let Some(deeper) = innermost.source() {
        innermost = deeper;
    }
    innermost.to_string()
}

fn is_refused(status: &Status) -> bool {
    let mut cause = status.source();
    while let Some(error) = cause {
        if error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::ConnectionRefused) {
            return true;
        }
        cause = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::time::Duration;

    use super::*;

    fn address() -> Address {
        "127.0.0.1:50051".parse().expect("an address")
    }

    fn shown(code: Code, message: &str, details: ErrorDetails) -> String {
        CallFailed::new("PlaceOrder", &address(), Status::with_error_details(code, message, details)).to_string()
    }

    #[test]
    fn every_bad_field_is_named_under_code_reason_and_message() {
        let mut details = ErrorDetails::with_error_info("INVALID_FIELD", "orders.v1", HashMap::new());
        details.add_bad_request_violation("customer_id", "must not be empty");
        details.add_bad_request_violation("lines[0].quantity", "must be 1 to 10000");
        let text = shown(Code::InvalidArgument, "the order has bad fields", details);
        assert_eq!(
            text,
            "PlaceOrder: INVALID_ARGUMENT (INVALID_FIELD): the order has bad fields\n  \
             customer_id: must not be empty\n  lines[0].quantity: must be 1 to 10000"
        );
    }

    #[test]
    fn retry_delay_metadata_and_hint_are_shown() {
        let metadata = HashMap::from([("dependency".to_owned(), "database".to_owned())]);
        let mut details = ErrorDetails::with_error_info("DEPENDENCY_UNAVAILABLE", "orders.v1", metadata);
        details.set_retry_info(Some(Duration::from_millis(500)));
        let text = shown(Code::Unavailable, "the database is away, try again", details);
        assert!(text.contains("UNAVAILABLE (DEPENDENCY_UNAVAILABLE)"), "{text}");
        assert!(text.contains("\n  dependency: database\n  retry after: 500ms\n  next: try again"), "{text}");
    }

    #[tokio::test]
    async fn where_nothing_listens_up_is_suggested() {
        // Port 1 (tcpmux) needs a privileged server that no machine runs any more.
        let address: Address = "127.0.0.1:1".parse().expect("an address");
        let failure = client::connect(&address).await.expect_err("nothing listens on port 1");
        let text = failure.with_advice("other advice").to_string();
        assert!(text.contains("next: nothing listens on http://127.0.0.1:1: is `orderctl up` running?"), "{text}");
    }
}
