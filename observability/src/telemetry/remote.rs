//! Asks Jaeger for sampling rates, again and again, over its remote sampling protocol
//! (`jaeger.api_v2.SamplingManager`).
//!
//! The SDK has a sampler for this (feature `jaeger_remote_sampler`). It asks over HTTP and reads names of strategies
//! where Jaeger 2 sends numbers, so it would stay at its first rate for ever; it has no time limit, and needs a second
//! HTTP client. The messages are few and stand here.

use std::time::{Duration, Instant};

use http::uri::PathAndQuery;
use tonic::client::Grpc;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};
use tonic_prost::ProstCodec;

use super::rates::{Bucket, Rate, Rates, RemoteSampler};
use super::sampler::RemoteSampling;
use crate::names;

const METHOD: &str = "/jaeger.api_v2.SamplingManager/GetSamplingStrategy";
/// A question that takes longer has failed. The rates stay as they are.
const PATIENCE: Duration = Duration::from_secs(5);
/// A Jaeger that is away fails every question; the log says so this often.
const REPORT_INTERVAL: Duration = Duration::from_mins(1);

#[derive(Clone, PartialEq, prost::Message)]
struct Parameters {
    #[prost(string, tag = "1")]
    service_name: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Answer {
    #[prost(message, optional, tag = "2")]
    probabilistic: Option<Probabilistic>,
    #[prost(message, optional, tag = "3")]
    rate_limiting: Option<RateLimiting>,
    #[prost(message, optional, tag = "4")]
    operations: Option<Operations>,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
struct Probabilistic {
    #[prost(double, tag = "1")]
    sampling_rate: f64,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
struct RateLimiting {
    #[prost(int32, tag = "1")]
    max_traces_per_second: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Operations {
    #[prost(double, tag = "1")]
    default_sampling_probability: f64,
    #[prost(message, repeated, tag = "3")]
    strategies: Vec<Operation>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Operation {
    #[prost(string, tag = "1")]
    operation: String,
    #[prost(message, optional, tag = "2")]
    probabilistic: Option<Probabilistic>,
}

/// Keeps the rates of `sampler` at what Jaeger says for `service`, for ever. What holds stays while it does not answer.
pub(super) async fn follow(settings: RemoteSampling, service: String, sampler: RemoteSampler) {
    let endpoint = match Endpoint::from_shared(settings.endpoint.clone()) {
        Ok(endpoint) => endpoint.connect_timeout(PATIENCE).timeout(PATIENCE),
        Err(error) => {
            tracing::error!(endpoint = settings.endpoint, error = %error, "sampling rates can't be asked for");
            return;
        }
    };
    let channel = endpoint.connect_lazy();
    let mut reported: Option<Instant> = None;
    show(&sampler);
    loop {
        match ask(channel.clone(), &service).await.map(rates) {
            Ok(Some(rates)) => {
                if !rates.are(&sampler.rates()) {
                    let (others, operations) = (rates.share_of_others(), rates.operations());
                    sampler.set(rates);
                    tracing::info!(share = others, operations, "sampling rates changed");
                    show(&sampler);
                }
                reported = None;
            }
            Ok(None) => tracing::debug!("Jaeger names no sampling rate"),
            Err(status) => {
                if reported.is_none_or(|last| last.elapsed() >= REPORT_INTERVAL) {
                    let (endpoint, error) = (&settings.endpoint, status.message());
                    tracing::warn!(endpoint, error, "sampling rates can't be had; they stay as they are");
                    reported = Some(Instant::now());
                }
            }
        }
        tokio::time::sleep(settings.polling_interval).await;
    }
}

async fn ask(channel: Channel, service: &str) -> Result<Answer, Status> {
    let mut client = Grpc::new(channel);
    client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
    let codec = ProstCodec::<Parameters, Answer>::default();
    let request = Request::new(Parameters { service_name: service.to_owned() });
    Ok(client.unary(request, PathAndQuery::from_static(METHOD), codec).await?.into_inner())
}

/// Rates by operation go before the others, as in Jaeger's own clients. `None` when there is none at all.
fn rates(answer: Answer) -> Option<Rates> {
    let share = |rate: f64| rate.clamp(0.0, 1.0);
    let Answer { probabilistic, rate_limiting, operations } = answer;
    if let Some(Operations { default_sampling_probability, strategies }) = operations {
        let of = |strategy: Operation| Some((strategy.operation, share(strategy.probabilistic?.sampling_rate)));
        let others = Rate::Share(share(default_sampling_probability));
        return Some(Rates::new(strategies.into_iter().filter_map(of), others));
    }
    let others = match (rate_limiting, probabilistic) {
        (Some(limit), _) => Rate::PerSecond(Bucket::new(f64::from(limit.max_traces_per_second.max(0)), Instant::now())),
        (None, Some(probabilistic)) => Rate::Share(share(probabilistic.sampling_rate)),
        (None, None) => return None,
    };
    Some(Rates::new([], others))
}

fn show(sampler: &RemoteSampler) {
    if let Some(share) = sampler.rates().share_of_others() {
        metrics::gauge!(names::TELEMETRY_SAMPLING_SHARE).set(share);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_by_operation_go_before_the_others_and_nonsense_is_cut() {
        let probabilistic = |sampling_rate| Some(Probabilistic { sampling_rate });
        let answer = Answer {
            probabilistic: probabilistic(0.5),
            rate_limiting: Some(RateLimiting { max_traces_per_second: 5 }),
            operations: Some(Operations {
                default_sampling_probability: 7.0,
                strategies: vec![
                    Operation { operation: "a".to_owned(), probabilistic: probabilistic(0.25) },
                    Operation { operation: "b".to_owned(), probabilistic: None },
                ],
            }),
        };
        let expected = Rates::new([("a".to_owned(), 0.25)], Rate::Share(1.0));
        assert!(rates(answer.clone()).unwrap().are(&expected));
        let limited = rates(Answer { operations: None, ..answer.clone() }).unwrap();
        assert!(limited.are(&Rates::new([], Rate::PerSecond(Bucket::new(5.0, Instant::now())))));
        let share = rates(Answer { operations: None, rate_limiting: None, ..answer }).unwrap();
        assert_eq!(share.share_of_others(), Some(0.5));
        assert!(rates(Answer::default()).is_none());
    }
}
