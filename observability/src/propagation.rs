//! W3C trace context and baggage: from headers to a [`Context`] and back.
//!
//! Used with the propagators named here and never through OpenTelemetry's global one, so that ids pass on whether or
//! not this process records spans. Headers that can't be read are as good as none: the trace begins anew. Of baggage only
//! what the settings name passes on: it comes from whoever calls, and would be stored with the order and sent with every
//! event.

use std::str::FromStr;
use std::sync::{PoisonError, RwLock};

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator as _};
use opentelemetry::{Context, Key, KeyValue, StringValue};
use opentelemetry_sdk::propagation::{BaggagePropagator, TraceContextPropagator};

const TRACEPARENT: &str = "traceparent";
const TRACESTATE: &str = "tracestate";
const BAGGAGE: &str = "baggage";
/// Bytes of a baggage value that pass on: what callers send along is stored with the order and goes into every record.
const LONGEST_BAGGAGE_VALUE: usize = 256;

/// What passes on of callers' baggage. Like the tracer, it belongs to the process.
static PASSED_ON: RwLock<BaggageKeys> = RwLock::new(BaggageKeys(Vec::new()));

/// Names of baggage entries that pass on (BAGGAGE_KEYS): `tenant,experiment`. Without any, no baggage does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BaggageKeys(Vec<String>);

/// BAGGAGE_KEYS is no list of names.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no name of a baggage entry: letters, digits, . _ and - only")]
pub struct BaggageKeysError(String);

impl FromStr for BaggageKeys {
    type Err = BaggageKeysError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let plain =
            |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'));
        let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
        let named = |name: &str| if plain(name) { Ok(name.to_owned()) } else { Err(BaggageKeysError(name.to_owned())) };
        names.map(named).collect::<Result<_, _>>().map(Self)
    }
}

/// Sets what passes on from now on.
pub(crate) fn pass_on(keys: &BaggageKeys) {
    *PASSED_ON.write().unwrap_or_else(PoisonError::into_inner) = keys.clone();
}

/// The same for [`HeaderMap`], which would parse a text for each look.
static HEADER_NAMES: [HeaderName; 3] =
    [HeaderName::from_static(TRACEPARENT), HeaderName::from_static(TRACESTATE), HeaderName::from_static(BAGGAGE)];

/// What the outbox stores and a Kafka record carries of a trace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TraceHeaders {
    /// Ids and the decision whether the trace is recorded.
    pub traceparent: Option<String>,
    /// What tracing systems on the way have added.
    pub tracestate: Option<String>,
    /// Name-value pairs that the first caller sends along.
    pub baggage: Option<String>,
}

impl TraceHeaders {
    /// The headers of `context`; empty ones if it belongs to no trace and carries no baggage.
    pub fn of(context: &Context) -> Self {
        let mut headers = Self::default();
        inject_into(context, &mut headers);
        headers
    }

    /// A context whose remote parent the headers name; an empty context if they name none or can't be read.
    pub fn to_context(&self) -> Context {
        extract_from(self)
    }

    fn slot(&mut self, name: &str) -> Option<&mut Option<String>> {
        match name {
            TRACEPARENT => Some(&mut self.traceparent),
            TRACESTATE => Some(&mut self.tracestate),
            BAGGAGE => Some(&mut self.baggage),
            _ => None,
        }
    }
}

/// The context that a request's metadata names; an empty one if there is none or it can't be read.
pub fn extract(headers: &HeaderMap) -> Context {
    extract_from(&HttpHeaders(headers))
}

/// Writes `context` into a request's metadata, in place of what was there.
pub fn inject(context: &Context, headers: &mut HeaderMap) {
    for name in &HEADER_NAMES {
        headers.remove(name);
    }
    inject_into(context, &mut HttpHeadersMut(headers));
}

fn extract_from(headers: &dyn Extractor) -> Context {
    let traced = TraceContextPropagator::new().extract_with_context(&Context::new(), headers);
    if headers.get(BAGGAGE).is_none() {
        return traced;
    }
    let keys = PASSED_ON.read().unwrap_or_else(PoisonError::into_inner);
    if keys.0.is_empty() {
        return traced;
    }
    let given = BaggagePropagator::new().extract_with_context(&traced, headers);
    let passes = |name: &Key, value: &StringValue| {
        keys.0.iter().any(|key| key == name.as_str()) && value.as_str().len() <= LONGEST_BAGGAGE_VALUE
    };
    // Without their properties, which could hold anything.
    let kept = given.baggage().iter().filter(|(name, (value, _))| passes(name, value));
    traced.with_baggage(kept.map(|(name, (value, _))| KeyValue::new(name.clone(), value.clone())))
}

fn inject_into(context: &Context, headers: &mut dyn Injector) {
    TraceContextPropagator::new().inject_context(context, headers);
    BaggagePropagator::new().inject_context(context, headers);
}

impl Extractor for TraceHeaders {
    fn get(&self, key: &str) -> Option<&str> {
        match key {
            TRACEPARENT => self.traceparent.as_deref(),
            TRACESTATE => self.tracestate.as_deref(),
            BAGGAGE => self.baggage.as_deref(),
            _ => None,
        }
    }

    fn keys(&self) -> Vec<&str> {
        [TRACEPARENT, TRACESTATE, BAGGAGE].into_iter().filter(|key| self.get(key).is_some()).collect()
    }
}

impl Injector for TraceHeaders {
    fn set(&mut self, key: &str, value: String) {
        // The propagator writes an empty tracestate when there is none.
        if let Some(slot) = self.slot(key).filter(|_| !value.is_empty()) {
            *slot = Some(value);
        }
    }
}

fn header_name(key: &str) -> Option<&'static HeaderName> {
    HEADER_NAMES.iter().find(|name| name.as_str() == key)
}

struct HttpHeaders<'headers>(&'headers HeaderMap);

impl Extractor for HttpHeaders<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(header_name(key)?).and_then(|value| value.to_str().ok())
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}

struct HttpHeadersMut<'headers>(&'headers mut HeaderMap);

impl Injector for HttpHeadersMut<'_> {
    fn set(&mut self, key: &str, value: String) {
        let value = HeaderValue::try_from(value).ok().filter(|value| !value.is_empty());
        if let Some((name, value)) = header_name(key).zip(value) {
            self.0.insert(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::TraceContextExt as _;

    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn headers(traceparent: &str) -> TraceHeaders {
        TraceHeaders { traceparent: Some(traceparent.to_owned()), ..TraceHeaders::default() }
    }

    #[test]
    fn headers_survive_the_way_through_a_context() {
        let sent = TraceHeaders {
            traceparent: Some(PARENT.to_owned()),
            tracestate: Some("vendor=1".to_owned()),
            baggage: None,
        };
        assert_eq!(TraceHeaders::of(&sent.to_context()), sent);
    }

    #[test]
    fn baggage_passes_on_by_name_only() {
        let long = "x".repeat(LONGEST_BAGGAGE_VALUE + 1);
        let sent = |baggage: String| TraceHeaders { baggage: Some(baggage), ..headers(PARENT) };
        let passed = |baggage: String| TraceHeaders::of(&sent(baggage).to_context()).baggage;
        assert_eq!(passed("tenant=a".to_owned()), None, "nothing does unless it was named");
        pass_on(&"tenant, test.run".parse().unwrap());
        assert_eq!(passed("token=secret,tenant=a;note=b,user=ada".to_owned()), Some("tenant=a".to_owned()));
        assert_eq!(passed(format!("tenant={long},test.run=7")), Some("test.run=7".to_owned()));
        assert_eq!(passed("token=secret".to_owned()), None);
        pass_on(&BaggageKeys::default());
        assert!("a b".parse::<BaggageKeys>().is_err());
    }

    #[test]
    fn unsampled_ids_pass_on_unsampled() {
        let unsampled = headers("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00");
        assert_eq!(TraceHeaders::of(&unsampled.to_context()), unsampled);
    }

    #[test]
    fn malformed_traceparent_is_no_parent() {
        for text in [
            "",
            "garbage",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ] {
            let context = headers(text).to_context();
            assert!(!context.span().span_context().is_valid(), "{text}");
            assert_eq!(TraceHeaders::of(&context), TraceHeaders::default(), "{text}");
        }
    }

    #[test]
    fn inject_replaces_the_caller_s_headers() {
        let mut metadata = HeaderMap::new();
        metadata.insert(TRACESTATE, HeaderValue::from_static("old=1"));
        inject(&headers(PARENT).to_context(), &mut metadata);
        assert_eq!(metadata.get(TRACEPARENT).unwrap(), PARENT);
        assert!(!metadata.contains_key(TRACESTATE));
        assert_eq!(TraceHeaders::of(&extract(&metadata)), headers(PARENT));
    }
}
