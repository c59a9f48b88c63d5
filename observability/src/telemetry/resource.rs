//! What every span of this process says about the process.

use std::str::FromStr;

use opentelemetry::KeyValue;
use opentelemetry_sdk::Resource;
use opentelemetry_semantic_conventions::attribute::{SERVICE_INSTANCE_ID, SERVICE_NAME, SERVICE_VERSION};

/// OTEL_RESOURCE_ATTRIBUTES: `key=value,key=value`, values percent-encoded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResourceAttributes(pub Vec<(String, String)>);

/// OTEL_RESOURCE_ATTRIBUTES can't be read. The specification wants all of it discarded then; here it is refused, as any
/// other bad setting.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no list of key=value pairs with percent-encoded values")]
pub struct ResourceAttributesError(String);

impl ResourceAttributes {
    /// `service.name`, which counts when OTEL_SERVICE_NAME is not set. Of two, the last.
    #[must_use]
    pub fn service_name(&self) -> Option<&str> {
        let named = self.0.iter().rfind(|(key, _)| key == SERVICE_NAME);
        named.map(|(_, name)| name.as_str()).filter(|name| !name.is_empty())
    }
}

impl FromStr for ResourceAttributes {
    type Err = ResourceAttributesError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.split(',')
            .map(str::trim)
            .filter(|pair| !pair.is_empty())
            .map(|pair| {
                let (key, value) = pair.split_once('=')?;
                let (key, value) = (key.trim(), percent_decode(value.trim())?);
                (!key.is_empty()).then(|| (key.to_owned(), value))
            })
            .collect::<Option<Vec<_>>>()
            .map(Self)
            .ok_or_else(|| ResourceAttributesError(text.to_owned()))
    }
}

/// OTEL_RESOURCE_ATTRIBUTES wins over what the service says of itself, an instance id given by an orchestrator above all;
/// the name has been chosen already.
pub(super) fn build(name: &str, version: &str, instance_id: &str, configured: &ResourceAttributes) -> Resource {
    let configured = configured.0.iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone()));
    // Not `Resource::builder()`: its detectors read the environment, which is the settings' job.
    Resource::builder_empty()
        .with_attributes([
            KeyValue::new(SERVICE_VERSION, version.to_owned()),
            KeyValue::new(SERVICE_INSTANCE_ID, instance_id.to_owned()),
        ])
        .with_attributes(configured)
        .with_attribute(KeyValue::new(SERVICE_NAME, name.to_owned()))
        .build()
}

fn percent_decode(text: &str) -> Option<String> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let high = char::from(rest.next()?).to_digit(16)?;
            let low = char::from(rest.next()?).to_digit(16)?;
            decoded.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            decoded.push(byte);
        }
    }
    String::from_utf8(decoded).ok()
}

#[cfg(test)]
mod tests {
    use opentelemetry::Key;

    use super::*;

    #[test]
    fn resource_attributes_are_split_and_decoded() {
        let attributes: ResourceAttributes = "deployment.environment.name=dev, note=a%2Cb%20c,".parse().unwrap();
        let expected = [("deployment.environment.name", "dev"), ("note", "a,b c")];
        assert_eq!(attributes.0, expected.map(|(key, value)| (key.to_owned(), value.to_owned())));
    }

    #[test]
    fn name_of_the_service_is_the_last_one_given() {
        let name = |text: &str| text.parse::<ResourceAttributes>().unwrap().service_name().map(str::to_owned);
        assert_eq!(name("service.name=a,service.name=b,x=y"), Some("b".to_owned()));
        assert_eq!(name("service.namespace=shop"), None);
        assert_eq!(name("service.name="), None);
    }

    #[test]
    fn given_attributes_win_over_our_own_and_the_chosen_name_over_both() {
        let given = "service.name=other,service.instance.id=pod-1".parse().unwrap();
        let resource = build("chosen", "1.2.3", "drawn", &given);
        let said = [SERVICE_NAME, SERVICE_VERSION, SERVICE_INSTANCE_ID]
            .map(|key| resource.get(&Key::new(key)).map(|value| value.to_string()).unwrap_or_default());
        assert_eq!(said, ["chosen", "1.2.3", "pod-1"]);
    }

    #[test]
    fn broken_resource_attributes_are_refused() {
        for text in ["novalue", "=value", "key=%zz", "key=%2", "key=%ff"] {
            assert!(text.parse::<ResourceAttributes>().is_err(), "{text}");
        }
    }
}
