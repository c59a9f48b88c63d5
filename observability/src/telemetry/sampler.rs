//! Which traces are recorded, as OTEL_TRACES_SAMPLER and OTEL_TRACES_SAMPLER_ARG say.

use std::str::FromStr;
use std::time::Duration;

/// Which traces are recorded (OTEL_TRACES_SAMPLER). Parses from the names of the OpenTelemetry specification that this
/// platform supports; others, `xray` among them, are refused rather than silently replaced.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Sampler {
    /// `always_on`: every span, whatever the caller decided.
    AlwaysOn,
    /// `always_off`: no span.
    AlwaysOff,
    /// `traceidratio`: a share of the traces, whatever the caller decided.
    TraceIdRatio(Ratio),
    /// `jaeger_remote`: as Jaeger says at the moment, whatever the caller decided.
    JaegerRemote(RemoteSampling),
    /// `parentbased_always_on`: as the caller decided; every trace that begins here.
    #[default]
    ParentBasedAlwaysOn,
    /// `parentbased_always_off`: as the caller decided; no trace that begins here.
    ParentBasedAlwaysOff,
    /// `parentbased_traceidratio`: as the caller decided; a share of the traces that begin here.
    ParentBasedTraceIdRatio(Ratio),
    /// `parentbased_jaeger_remote`: as the caller decided; for traces that begin here as Jaeger says at the moment.
    ParentBasedJaegerRemote(RemoteSampling),
}

/// OTEL_TRACES_SAMPLER is not one of the supported names.
#[derive(Debug, thiserror::Error)]
#[error(
    "{0:?} is no supported sampler: use always_on, always_off, traceidratio or jaeger_remote, or one of these behind \
     parentbased_"
)]
pub struct SamplerError(String);

/// A share of all traces, from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ratio(f64);

/// Text that is no share.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no number from 0 to 1")]
pub struct RatioError(String);

/// Where shares are asked for, and how often (OTEL_TRACES_SAMPLER_ARG of `jaeger_remote`).
#[derive(Debug, Clone, PartialEq)]
pub struct RemoteSampling {
    /// `endpoint`: Jaeger's remote sampling over gRPC, `http://host:port`.
    pub endpoint: String,
    /// `pollingIntervalMs`: time between two questions.
    pub polling_interval: Duration,
    /// `initialSamplingRate`: what holds until the first answer.
    pub initial: Ratio,
}

/// OTEL_TRACES_SAMPLER_ARG does not fit the sampler.
#[derive(Debug, thiserror::Error)]
pub enum SamplerArgumentError {
    /// Not a share, where the sampler wants one or the list has one.
    #[error(transparent)]
    Ratio(#[from] RatioError),
    /// Not the list that `jaeger_remote` wants.
    #[error(
        "{0:?} is none of endpoint=http://HOST:PORT, pollingIntervalMs=N and initialSamplingRate=SHARE, with commas between"
    )]
    Remote(String),
}

impl Sampler {
    /// The same sampler with OTEL_TRACES_SAMPLER_ARG, which samplers without an argument ignore, as the specification
    /// wants.
    ///
    /// # Errors
    /// It is not of the form that this sampler takes.
    pub fn with_argument(self, argument: &str) -> Result<Self, SamplerArgumentError> {
        Ok(match self {
            Self::TraceIdRatio(_) => Self::TraceIdRatio(argument.parse()?),
            Self::ParentBasedTraceIdRatio(_) => Self::ParentBasedTraceIdRatio(argument.parse()?),
            Self::JaegerRemote(_) => Self::JaegerRemote(argument.parse()?),
            Self::ParentBasedJaegerRemote(_) => Self::ParentBasedJaegerRemote(argument.parse()?),
            other @ (Self::AlwaysOn | Self::AlwaysOff | Self::ParentBasedAlwaysOn | Self::ParentBasedAlwaysOff) => {
                other
            }
        })
    }

    /// Whether a caller that does not record its trace is followed.
    pub(crate) fn follows_parent(&self) -> bool {
        match self {
            Self::AlwaysOn | Self::AlwaysOff | Self::TraceIdRatio(_) | Self::JaegerRemote(_) => false,
            Self::ParentBasedAlwaysOn
            | Self::ParentBasedAlwaysOff
            | Self::ParentBasedTraceIdRatio(_)
            | Self::ParentBasedJaegerRemote(_) => true,
        }
    }
}

impl FromStr for Sampler {
    type Err = SamplerError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "always_on" => Ok(Self::AlwaysOn),
            "always_off" => Ok(Self::AlwaysOff),
            "traceidratio" => Ok(Self::TraceIdRatio(Ratio::ALL)),
            "jaeger_remote" => Ok(Self::JaegerRemote(RemoteSampling::default())),
            "parentbased_always_on" => Ok(Self::ParentBasedAlwaysOn),
            "parentbased_always_off" => Ok(Self::ParentBasedAlwaysOff),
            "parentbased_traceidratio" => Ok(Self::ParentBasedTraceIdRatio(Ratio::ALL)),
            "parentbased_jaeger_remote" => Ok(Self::ParentBasedJaegerRemote(RemoteSampling::default())),
            other => Err(SamplerError(other.to_owned())),
        }
    }
}

impl Ratio {
    /// Every trace.
    pub const ALL: Self = Self(1.0);

    /// From 0 to 1.
    pub(crate) fn share(self) -> f64 {
        self.0
    }
}

impl FromStr for Ratio {
    type Err = RatioError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse::<f64>() {
            Ok(share) if (0.0..=1.0).contains(&share) => Ok(Self(share)),
            Ok(_) | Err(_) => Err(RatioError(text.to_owned())),
        }
    }
}

impl Default for RemoteSampling {
    /// A Jaeger on this machine, asked often enough that a change holds within seconds; one trace in a thousand until it
    /// answers, so that a service which can't reach it does not begin to record everything.
    fn default() -> Self {
        Self {
            endpoint: "http://127.0.0.1:5779".to_owned(),
            polling_interval: Duration::from_secs(10),
            initial: Ratio(0.001),
        }
    }
}

impl FromStr for RemoteSampling {
    type Err = SamplerArgumentError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut remote = Self::default();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let bad = || SamplerArgumentError::Remote(part.to_owned());
            let (name, value) = part.split_once('=').ok_or_else(bad)?;
            match name {
                "endpoint" if is_address(value) => remote.endpoint = value.to_owned(),
                "pollingIntervalMs" => {
                    let milliseconds = value.parse().ok().filter(|&milliseconds| milliseconds > 0).ok_or_else(bad)?;
                    remote.polling_interval = Duration::from_millis(milliseconds);
                }
                "initialSamplingRate" => remote.initial = value.parse()?,
                _ => return Err(bad()),
            }
        }
        Ok(remote)
    }
}

/// Plain HTTP/2, as the collector's address.
fn is_address(text: &str) -> bool {
    text.parse::<http::Uri>().is_ok_and(|uri| uri.scheme_str() == Some("http") && uri.host().is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sampler_takes_the_specification_s_names_and_no_others() {
        let sampler: Sampler = "parentbased_traceidratio".parse().unwrap();
        assert_eq!(sampler.with_argument("0.25").unwrap(), Sampler::ParentBasedTraceIdRatio(Ratio(0.25)));
        assert_eq!("always_off".parse::<Sampler>().unwrap().with_argument("?").unwrap(), Sampler::AlwaysOff);
        assert!("xray".parse::<Sampler>().is_err());
    }

    #[test]
    fn ratio_outside_of_zero_to_one_is_refused() {
        for text in ["-0.1", "1.1", "NaN", "inf", "half", ""] {
            assert!(text.parse::<Ratio>().is_err(), "{text}");
        }
    }

    #[test]
    fn remote_sampler_s_argument_is_a_list_whose_parts_may_be_left_out() {
        let sampler: Sampler = "parentbased_jaeger_remote".parse().unwrap();
        let argument = "endpoint=http://jaeger:5779, pollingIntervalMs=5000,initialSamplingRate=0.25";
        let expected = RemoteSampling {
            endpoint: "http://jaeger:5779".to_owned(),
            polling_interval: Duration::from_secs(5),
            initial: Ratio(0.25),
        };
        assert_eq!(sampler.clone().with_argument(argument).unwrap(), Sampler::ParentBasedJaegerRemote(expected));
        assert_eq!(sampler.clone().with_argument("").unwrap(), sampler);
        for wrong in ["0.25", "endpoint=jaeger:5779", "pollingIntervalMs=0", "initialSamplingRate=2", "rate=1"] {
            assert!(sampler.clone().with_argument(wrong).is_err(), "{wrong}");
        }
    }
}
