//! The one way to build a status: code, reason and `google.rpc` details of the contract's table of errors.
//!
//! Texts are for people: they name no internals and say whether repeating the call helps. Programs look at the code and
//! at [`ErrorInfo.reason`](proto::reasons).

use std::collections::HashMap;
use std::time::Duration;

use prost::Message as _;
use proto::reasons;
use tonic::{Code, Status};
use tonic_types::pb::Status as RpcStatus;
use tonic_types::{ErrorDetails, StatusExt as _};

pub use tonic_types::FieldViolation;

/// `ErrorInfo.domain`: whose reasons these are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorDomain(&'static str);

impl ErrorDomain {
    /// The order service's reasons.
    pub const ORDERS: Self = Self(reasons::ORDERS_DOMAIN);
    /// The inventory service's reasons.
    pub const INVENTORY: Self = Self(reasons::INVENTORY_DOMAIN);

    /// INVALID_ARGUMENT: fields are missing or malformed; `violations` names every one.
    pub fn invalid_fields(self, violations: Vec<FieldViolation>) -> Status {
        let fields: Vec<_> = violations.iter().map(|violation| violation.field.as_str()).collect();
        let text = format!("invalid fields: {}; correct them before trying again", fields.join(", "));
        let mut details = self.details(reasons::INVALID_FIELD, []);
        details.set_bad_request(violations);
        Status::with_error_details(Code::InvalidArgument, text, details)
    }

    /// INVALID_ARGUMENT: the page token is not one that this list has given out.
    pub fn invalid_page_token(self) -> Status {
        let mut details = self.details(reasons::INVALID_PAGE_TOKEN, []);
        details.add_bad_request_violation("page_token", "is not a token that this list has returned");
        let text = "invalid page token; begin again with the first page";
        Status::with_error_details(Code::InvalidArgument, text, details)
    }

    /// INVALID_ARGUMENT: the bytes are no message of this method.
    pub fn malformed_message(self) -> Status {
        let text = "the request is no message of this method; do not repeat it";
        self.plain(Code::InvalidArgument, reasons::MALFORMED_MESSAGE, text)
    }

    /// NOT_FOUND: no `resource_type` (`orders.v1.Order`) is called `name`.
    pub fn not_found(self, reason: &'static str, resource_type: &'static str, name: &str) -> Status {
        let mut details = self.details(reason, []);
        details.set_resource_info(resource_type, name, "", "does not exist");
        let text = format!("{resource_type} {name:?} does not exist; repeating the call does not help");
        Status::with_error_details(Code::NotFound, text, details)
    }

    /// ALREADY_EXISTS: the same key was used before, with something else. `text` says what to do.
    pub fn already_exists(self, reason: &'static str, text: &str) -> Status {
        self.plain(Code::AlreadyExists, reason, text)
    }

    /// FAILED_PRECONDITION: the state of `subject`, which is `status` now, does not allow the call. `text` says what
    /// would.
    pub fn failed_precondition(self, reason: &'static str, subject: &str, status: &str, text: &str) -> Status {
        let mut details = self.details(reason, [("status", status)]);
        details.add_precondition_failure_violation(reason, subject, text);
        Status::with_error_details(Code::FailedPrecondition, text, details)
    }

    /// RESOURCE_EXHAUSTED: too many requests at once.
    pub fn overloaded(self, retry_after: Duration) -> Status {
        let text = "too many requests at once; try again later";
        self.retryable(Code::ResourceExhausted, reasons::OVERLOADED, [], retry_after, text)
    }

    /// RESOURCE_EXHAUSTED: more requests in a time than allowed.
    pub fn rate_limited(self, retry_after: Duration) -> Status {
        let text = "too many requests in this time; try again later";
        self.retryable(Code::ResourceExhausted, reasons::RATE_LIMITED, [], retry_after, text)
    }

    /// RESOURCE_EXHAUSTED: the message is over the limit.
    pub fn message_too_large(self) -> Status {
        let text = "the message is larger than this service accepts; send less at once";
        self.plain(Code::ResourceExhausted, reasons::MESSAGE_TOO_LARGE, text)
    }

    /// RESOURCE_EXHAUSTED: the answer is over the limit.
    pub fn answer_too_large(self) -> Status {
        let text = "the answer is larger than this service sends; ask for less at once";
        self.plain(Code::ResourceExhausted, reasons::MESSAGE_TOO_LARGE, text)
    }

    /// UNAVAILABLE: `dependency` (`database`, `inventory`) is away.
    pub fn unavailable(self, dependency: &'static str, retry_after: Duration) -> Status {
        let metadata = [("dependency", dependency)];
        let text = format!("{dependency} is not available now; try again later");
        self.retryable(Code::Unavailable, reasons::DEPENDENCY_UNAVAILABLE, metadata, retry_after, &text)
    }

    /// UNAVAILABLE: this instance is going away, another one is there.
    pub fn draining(self, retry_after: Duration) -> Status {
        let text = "this instance is going away; try again, another one will answer";
        self.retryable(Code::Unavailable, reasons::DRAINING, [], retry_after, text)
    }

    /// DEADLINE_EXCEEDED: the caller's time ran out.
    pub fn deadline_exceeded(self) -> Status {
        let text = "the deadline passed before there was an answer; what was asked may still happen: \
                    try again with the same request";
        self.plain(Code::DeadlineExceeded, reasons::DEADLINE_EXCEEDED, text)
    }

    /// CANCELLED: the caller gave up.
    pub fn cancelled(self) -> Status {
        self.plain(Code::Cancelled, reasons::CANCELLED, "the call was cancelled; what was asked may still happen")
    }

    /// UNIMPLEMENTED: no such method.
    pub fn unimplemented(self) -> Status {
        let text = "this service has no such method; repeating the call does not help";
        self.plain(Code::Unimplemented, reasons::UNIMPLEMENTED, text)
    }

    /// UNAUTHENTICATED: no or bad credentials.
    pub fn unauthenticated(self) -> Status {
        let text = "credentials are missing or not valid; try again with valid ones";
        self.plain(Code::Unauthenticated, reasons::UNAUTHENTICATED, text)
    }

    /// PERMISSION_DENIED: these credentials do not allow it.
    pub fn permission_denied(self) -> Status {
        let text = "not allowed with these credentials; repeating the call does not help";
        self.plain(Code::PermissionDenied, reasons::PERMISSION_DENIED, text)
    }

    /// INTERNAL: a bug. Says nothing about it; the log line does.
    pub fn internal(self) -> Status {
        let text = "something went wrong in this service; trying again may help, reporting it does";
        self.plain(Code::Internal, reasons::INTERNAL, text)
    }

    fn plain(self, code: Code, reason: &'static str, text: &str) -> Status {
        Status::with_error_details(code, text, self.details(reason, []))
    }

    fn retryable<const N: usize>(
        self,
        code: Code,
        reason: &'static str,
        metadata: [(&str, &str); N],
        retry_after: Duration,
        text: &str,
    ) -> Status {
        let mut details = self.details(reason, metadata);
        details.set_retry_info(Some(retry_after));
        Status::with_error_details(code, text, details)
    }

    fn details<const N: usize>(self, reason: &'static str, metadata: [(&str, &str); N]) -> ErrorDetails {
        let metadata: HashMap<_, _> =
            metadata.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        ErrorDetails::with_error_info(reason, self.0, metadata)
    }
}

/// `ErrorInfo.reason` of a status, if it has one.
pub fn reason_of(status: &Status) -> Option<String> {
    status.get_details_error_info().map(|info| info.reason)
}

/// A status as a message, for a stream whose items fail one by one.
pub fn to_message(status: &Status) -> RpcStatus {
    // The details of a status of ours are that message already.
    let details = RpcStatus::decode(status.details()).unwrap_or_default().details;
    RpcStatus { code: status.code().into(), message: status.message().to_owned(), details }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_fields_names_every_field() {
        let violations =
            vec![FieldViolation::new("lines[0].sku", "is empty"), FieldViolation::new("customer_id", "is no UUID")];
        let status = ErrorDomain::ORDERS.invalid_fields(violations);
        assert_eq!(status.code(), Code::InvalidArgument);
        let details = status.get_error_details();
        let named: Vec<_> = details.bad_request().unwrap().field_violations.iter().map(|one| &one.field).collect();
        assert_eq!(named, ["lines[0].sku", "customer_id"]);
        let info = details.error_info().unwrap();
        assert_eq!((info.domain.as_str(), info.reason.as_str()), ("orders.v1", "INVALID_FIELD"));
    }

    #[test]
    fn precondition_says_the_status() {
        let text = "the order is SHIPPED; it can't be cancelled any more";
        let status = ErrorDomain::ORDERS.failed_precondition(reasons::ORDER_STATE, "orders/1", "FULFILLED", text);
        let details = status.get_error_details();
        assert_eq!(details.error_info().unwrap().metadata["status"], "FULFILLED");
        assert_eq!(details.precondition_failure().unwrap().violations[0].subject, "orders/1");
    }

    #[test]
    fn unavailable_says_what_is_away_and_when_to_retry() {
        let status = ErrorDomain::INVENTORY.unavailable("database", Duration::from_millis(250));
        let details = status.get_error_details();
        assert_eq!(details.error_info().unwrap().metadata["dependency"], "database");
        assert_eq!(details.retry_info().unwrap().retry_delay, Some(Duration::from_millis(250)));
    }

    #[test]
    fn message_of_a_status_keeps_code_text_and_details() {
        let status = ErrorDomain::ORDERS.not_found(reasons::ORDER_NOT_FOUND, "orders.v1.Order", "x");
        let message = to_message(&status);
        assert_eq!((message.code, message.message.as_str()), (5, status.message()));
        assert_eq!(message.details.len(), 2);
        assert!(to_message(&Status::internal("plain")).details.is_empty());
    }
}
