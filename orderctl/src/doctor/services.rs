//! The services themselves: whether both listeners of each answer and are its own, and what it says of its health.

use std::collections::BTreeMap;
use std::time::Duration;

use hyper::StatusCode;
use serde::Deserialize;
use tonic::{Code, Request};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use super::Place;
use super::check::Check;
use super::examination::{Examination, Trouble, broken};
use crate::cli::Part;
use crate::client::{self, Address};
use crate::failure::innermost;
use crate::http;

/// A service that is well answers these questions at once.
const PATIENCE: Duration = Duration::from_secs(3);
/// Health follows what it is about after some seconds.
const HEALTH_FOLLOWS: Duration = Duration::from_secs(6);
const POLL: Duration = Duration::from_millis(250);

/// What one listener did when asked.
enum Listener {
    Fine,
    /// Nothing listens there.
    Refused(String),
    /// The connection is taken, and that is all.
    Silent,
    /// Somebody else is there.
    Stranger(String),
}

#[derive(Deserialize)]
struct Readiness {
    status: String,
    draining: bool,
    components: Vec<Component>,
}

#[derive(Deserialize)]
struct Component {
    name: String,
    status: String,
    #[serde(default)]
    reason: String,
}

/// Both listeners of a service.
pub(super) async fn answers(examination: &mut Examination, place: &Place<'_>) -> anyhow::Result<()> {
    let look = async {
        let (grpc, admin) = tokio::join!(ask_grpc(place), ask_admin(place));
        let ([grpc_option, admin_option], service) = (place.options(), place.service());
        let at = [(grpc, "gRPC", place.grpc, grpc_option), (admin, "/readyz", place.admin, admin_option)];
        let trouble = |(listener, name, address, option): &(Listener, &str, &Address, &str)| match listener {
            Listener::Fine => None,
            Listener::Refused(error) => Some((
                format!("{name} at {address}: {error}"),
                format!("is {service} running, and listening there? Or pass {option}"),
            )),
            Listener::Silent => Some((
                format!("{name} at {address} takes connections and does not answer within {PATIENCE:?}"),
                format!("{service} is frozen (`ps` shows state T: kill -CONT) or has no processor time left"),
            )),
            Listener::Stranger(who) => Some((
                format!("{name} at {address} is not that of {service}: {who}"),
                format!("pass the right address with {option}"),
            )),
        };
        let troubles: Vec<(String, String)> = at.iter().filter_map(trouble).collect();
        match troubles.as_slice() {
            [] => Ok((format!("gRPC at {}, admin at {}", place.grpc, place.admin), ())),
            [(what, next)] => Err(broken(what, next)),
            [(one, next), (other, _), ..] => Err(broken(format!("{one}; {other}"), next)),
        }
    };
    examination.check(Check::Answers(place.part), look).await?;
    Ok(())
}

async fn ask_grpc(place: &Place<'_>) -> Listener {
    let channel = match client::connect(place.grpc).await {
        Ok(channel) => channel,
        Err(failure) => return Listener::Refused(failure.cause()),
    };
    let ask = async |part: Part| {
        let mut request = Request::new(HealthCheckRequest { service: grpc_name(part).to_owned() });
        request.set_timeout(PATIENCE);
        HealthClient::new(channel.clone()).check(request).await
    };
    let other = match place.part {
        Part::Order => Part::Inventory,
        Part::Inventory => Part::Order,
    };
    match ask(place.part).await {
        Ok(_) => Listener::Fine,
        Err(status) if client::is_timed_out(&status) || status.code() == Code::DeadlineExceeded => Listener::Silent,
        Err(status) if status.code() == Code::NotFound => match ask(other).await {
            Ok(_) => Listener::Stranger(format!("there is {}", other.service())),
            Err(_) => Listener::Stranger(format!("there is no {}", grpc_name(place.part))),
        },
        Err(status) if status.code() == Code::Unimplemented => {
            Listener::Stranger("what listens there has no grpc.health.v1".to_owned())
        }
        Err(status) => {
            let cause = std::error::Error::source(&status).map_or_else(|| status.message().to_owned(), innermost);
            Listener::Stranger(format!("what listens there speaks no gRPC ({cause})"))
        }
    }
}

async fn ask_admin(place: &Place<'_>) -> Listener {
    match page(place, "readyz").await {
        Err(error) if error.downcast_ref::<tokio::time::error::Elapsed>().is_some() => return Listener::Silent,
        Err(error) => return Listener::Refused(format!("{error:#}")),
        Ok((_, body)) if serde_json::from_slice::<Readiness>(&body).is_err() => {
            return Listener::Stranger("what listens there has no such page".to_owned());
        }
        Ok(_) => {}
    }
    // Its metrics name the service; /readyz looks alike for both.
    let is_its_own = format!("build_info{{service=\"{}\"", place.service());
    match page(place, "metrics").await {
        Ok((StatusCode::OK, body)) if String::from_utf8_lossy(&body).contains(&is_its_own) => Listener::Fine,
        Ok((StatusCode::OK, _)) => Listener::Stranger("its build_info names another service".to_owned()),
        Ok((status, _)) => Listener::Stranger(format!("/metrics answers {status}")),
        Err(error) => Listener::Refused(format!("/metrics: {error:#}")),
    }
}

/// What the service says that it lacks.
pub(super) async fn is_healthy(examination: &mut Examination, place: &Place<'_>) -> anyhow::Result<()> {
    let fine: Vec<Check> = [
        Check::Schema(place.part),
        Check::Database(place.part),
        Check::Kafka,
        Check::Topics,
        Check::Answers(Part::Inventory),
        Check::Healthy(Part::Inventory),
    ]
    .into_iter()
    .filter(|check| examination.is_fine(*check))
    .collect();
    let look = async {
        let begun = tokio::time::Instant::now();
        loop {
            match health(place, &fine).await {
                Err(Trouble::Broken { .. }) if begun.elapsed() < HEALTH_FOLLOWS => tokio::time::sleep(POLL).await,
                outcome => return outcome,
            }
        }
    };
    examination.check(Check::Healthy(place.part), look).await?;
    Ok(())
}

async fn health(place: &Place<'_>, fine: &[Check]) -> Result<(String, ()), Trouble> {
    let service = place.service();
    let (_, body) = page(place, "readyz")
        .await
        .map_err(|error| broken(format!("/readyz stopped answering: {error:#}"), format!("look at {service}'s log")))?;
    let readiness: Readiness = serde_json::from_slice(&body)
        .map_err(|error| broken(format!("/readyz is no report: {error}"), "is this the doctor of another version?"))?;
    if readiness.draining {
        return Err(broken("it is stopping (draining)", format!("wait for {service}'s successor, or start one")));
    }
    let Some(down) = readiness.components.iter().find(|component| component.status != "up") else {
        return Ok((readiness.status, ()));
    };
    let (cause, setting) = match down.name.as_str() {
        "database" => (Some(Check::Database(place.part)), "DATABASE_URL"),
        "migrations" => (Some(Check::Schema(place.part)), "DATABASE_URL"),
        "kafka" => (Some(Check::Kafka), "KAFKA_BOOTSTRAP_SERVERS"),
        "inventory" if fine.contains(&Check::Healthy(Part::Inventory)) => (None, "INVENTORY_ENDPOINTS"),
        "inventory" if fine.contains(&Check::Answers(Part::Inventory)) => {
            (Some(Check::Healthy(Part::Inventory)), "INVENTORY_ENDPOINTS")
        }
        "inventory" => (Some(Check::Answers(Part::Inventory)), "INVENTORY_ENDPOINTS"),
        _ => (None, "settings"),
    };
    if let Some(cause) = cause
        && !fine.contains(&cause)
    {
        return Err(Trouble::FollowsFrom(cause));
    }
    Err(broken(
        format!("it can't reach its {}: {}", down.name, down.reason),
        format!("from here it is fine: look at {setting} of {service}, and at the network between them"),
    ))
}

/// Whether a service has counted what it did, under the contract's names.
pub(super) async fn counts_calls(examination: &mut Examination, place: &Place<'_>) -> anyhow::Result<()> {
    let method = match place.part {
        Part::Order => "orders.v1.OrderService/PlaceOrder",
        Part::Inventory => "inventory.v1.InventoryService/Reserve",
    };
    let look = async {
        let next = format!("look at {}/metrics: the doctor's own order was answered there", place.admin);
        let (status, body) = page(place, "metrics").await.map_err(|error| broken(format!("{error:#}"), &*next))?;
        let text = String::from_utf8_lossy(&body);
        let series = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).count();
        let counted = text.lines().any(|line| {
            line.starts_with("rpc_server_call_duration_seconds_count{")
                && line.contains(&format!("rpc_method=\"{method}\""))
        });
        if counted {
            Ok((format!("{series} lines, {method} among them"), ()))
        } else {
            Err(broken(format!("{status}, and no rpc_server_call_duration_seconds of {method}"), next))
        }
    };
    examination.check(Check::Metrics(place.part), look).await?;
    Ok(())
}

/// Spans that each service has dropped so far, as far as it says.
pub(super) async fn dropped_spans(places: &[Place<'_>]) -> BTreeMap<&'static str, f64> {
    let mut dropped = BTreeMap::new();
    for place in places {
        let Ok((_, body)) = page(place, "metrics").await else { continue };
        let text = String::from_utf8_lossy(&body);
        let lines = text.lines().filter(|line| line.starts_with("telemetry_dropped_spans_total"));
        let values = lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok());
        dropped.insert(place.service(), values.sum());
    }
    dropped
}

async fn page(place: &Place<'_>, path: &str) -> anyhow::Result<(StatusCode, Vec<u8>)> {
    http::get(&format!("{}/{path}", place.admin), PATIENCE).await
}

fn grpc_name(part: Part) -> &'static str {
    match part {
        Part::Order => proto::orders::v1::order_service_server::SERVICE_NAME,
        Part::Inventory => proto::inventory::v1::inventory_service_server::SERVICE_NAME,
    }
}
