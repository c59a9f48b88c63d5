//! What an error says beside its text.

use std::collections::BTreeMap;

use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// Code and `google.rpc` details of a status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The code.
    pub code: Code,
    /// `ErrorInfo.reason`; empty without.
    pub reason: String,
    /// `ErrorInfo.domain`.
    pub domain: String,
    /// `ErrorInfo.metadata`.
    pub metadata: BTreeMap<String, String>,
    /// Fields that `BadRequest` names, sorted.
    pub fields: Vec<String>,
    /// Type and name of `ResourceInfo`.
    pub resource: Option<(String, String)>,
    /// Type and subject of each violation of `PreconditionFailure`.
    pub preconditions: Vec<(String, String)>,
    /// Whether `RetryInfo` says when to try again.
    pub retry: bool,
}

impl Refusal {
    /// What `status` says.
    #[must_use]
    pub fn of(status: &Status) -> Self {
        let details = status.get_error_details();
        let info = details.error_info();
        let mut fields: Vec<String> = details
            .bad_request()
            .map(|bad| bad.field_violations.iter().map(|violation| violation.field.clone()).collect())
            .unwrap_or_default();
        fields.sort_unstable();
        Self {
            code: status.code(),
            reason: info.map(|info| info.reason.clone()).unwrap_or_default(),
            domain: info.map(|info| info.domain.clone()).unwrap_or_default(),
            metadata: info.map(|info| info.metadata.clone().into_iter().collect()).unwrap_or_default(),
            fields,
            resource: details
                .resource_info()
                .map(|resource| (resource.resource_type.clone(), resource.resource_name.clone())),
            preconditions: details
                .precondition_failure()
                .map(|failure| failure.violations.iter().map(|one| (one.r#type.clone(), one.subject.clone())).collect())
                .unwrap_or_default(),
            retry: details.retry_info().is_some_and(|retry| retry.retry_delay.is_some()),
        }
    }
}
