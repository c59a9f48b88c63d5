//! What the services stand on: databases, brokers, the trace store.

use std::collections::BTreeMap;
use std::str::FromStr as _;
use std::time::{Duration, Instant};

use messaging::inspection::{Brokers, KafkaError, Partition};
use proto::topics;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, PgConnection};

use super::Place;
use super::check::Check;
use super::examination::{Examination, Trouble, broken};
use crate::cli::Part;
use crate::client::Address;
use crate::jaeger;

/// A server that is there answers sooner.
const PATIENCE: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(250);

/// A service's database and its migrations; the connection, if both are fine.
pub(super) async fn database(
    examination: &mut Examination,
    place: &Place<'_>,
) -> anyhow::Result<Option<(Part, PgConnection)>> {
    let (part, service) = (place.part, place.service());
    let Some(mut connection) = examination.check(Check::Database(part), connect(place)).await? else {
        // The check of its migrations says what it waits for.
        let unasked = async { Ok::<_, Trouble>((String::new(), ())) };
        examination.check(Check::Schema(part), unasked).await?;
        return Ok(None);
    };
    let migrations = match part {
        Part::Order => order_svc::migrations(),
        Part::Inventory => inventory_svc::migrations(),
    };
    let look = async {
        let asked = postgres::schema::missing_migrations(&mut connection, &migrations).await;
        let missing = asked.map_err(|error| {
            broken(
                format!("the list of migrations can't be read: {error}"),
                format!("look at the user that {service} has"),
            )
        })?;
        if missing.is_empty() {
            return Ok((format!("{} migrations", migrations.iter().count()), ()));
        }
        Err(broken(
            format!("lacks {}", missing.join(", ")),
            format!(
                "start a {service} of this version: it migrates at its start, and its log says what is in the way; or the \
                 database was set back"
            ),
        ))
    };
    let fine = examination.check(Check::Schema(part), look).await?;
    Ok(fine.map(|()| (part, connection)))
}

async fn connect(place: &Place<'_>) -> Result<(String, PgConnection), Trouble> {
    let [option, variable] = match place.part {
        Part::Order => ["--orders-database", "ORDERS_DATABASE_URL"],
        Part::Inventory => ["--inventory-database", "INVENTORY_DATABASE_URL"],
    };
    // Neither the text nor the error of a URL that can't be read is shown: it may hold a password.
    let options = PgConnectOptions::from_str(place.database)
        .map_err(|_| broken("its address is no postgres:// URL", format!("correct {option} or {variable}")))?
        .disable_statement_logging()
        .application_name("orderctl doctor");
    let host = match options.get_socket() {
        Some(folder) => folder.display().to_string(),
        None => format!("{}:{}", options.get_host(), options.get_port()),
    };
    let name = options.get_database().unwrap_or("(default)");
    let advice = |text: &str| format!("{text}; or pass {option}");
    let mut connection = match tokio::time::timeout(PATIENCE, options.connect()).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(sqlx::Error::Database(refusal))) => {
            return Err(broken(
                format!("{host}/{name} refuses: {}", refusal.message()),
                advice("the server runs: look at user, password and the database's name"),
            ));
        }
        Ok(Err(error)) => {
            return Err(broken(format!("{host}/{name}: {error}"), advice("is Postgres running there?")));
        }
        Err(_) => {
            return Err(broken(
                format!("{host}/{name} does not answer within {PATIENCE:?}"),
                advice("is Postgres overloaded, or a firewall in between?"),
            ));
        }
    };
    let version: Result<String, sqlx::Error> =
        sqlx::query_scalar("select current_setting('server_version')").fetch_one(&mut connection).await;
    let version = version.map_err(|error| {
        broken(format!("{host}/{name} takes connections and no query: {error}"), advice("look at the server's log"))
    })?;
    let version = version.split(' ').next().unwrap_or_default();
    Ok((format!("PostgreSQL {version} at {host}/{name}"), connection))
}

/// Brokers and topics; a client, if both are fine.
pub(super) async fn kafka(
    examination: &mut Examination,
    servers: &str,
    wait: Duration,
) -> anyhow::Result<Option<Brokers>> {
    let next =
        "is Kafka running? A broker must also be reachable under the address that it advertises. Or pass --kafka";
    let failed = |error: KafkaError| broken(format!("{servers}: {error}"), next);
    let ask = async {
        let brokers = Brokers::new(servers, PATIENCE).map_err(failed)?;
        brokers.topics().await.map_err(failed)?;
        Ok((format!("brokers at {servers}"), brokers))
    };
    let brokers = examination.check(Check::Kafka, ask).await?;
    let look = async {
        let brokers = brokers.as_ref().ok_or(Trouble::FollowsFrom(Check::Kafka))?;
        let begun = Instant::now();
        loop {
            match are_there(&brokers.topics().await.map_err(failed)?) {
                // A service that was just started for the first time is about to make them.
                Err(_) if begun.elapsed() < wait => tokio::time::sleep(POLL).await,
                found => return found.map(|text| (text, ())),
            }
        }
    };
    let fine = examination.check(Check::Topics, look).await?;
    Ok(brokers.filter(|_| fine.is_some()))
}

/// Whether every topic is there and can be written and read.
fn are_there(found: &BTreeMap<String, Vec<Partition>>) -> Result<String, Trouble> {
    let wanted = [topics::ORDERS, topics::INVENTORY, topics::ORDERS_DEAD_LETTERS, topics::INVENTORY_DEAD_LETTERS];
    let missing: Vec<&str> = wanted.into_iter().filter(|topic| !found.contains_key(*topic)).collect();
    if !missing.is_empty() {
        return Err(broken(
            format!("there is no topic {}", missing.join(", ")),
            "restart a service: it makes the topics that are missing when it starts",
        ));
    }
    let partitions = || wanted.into_iter().flat_map(|topic| found[topic].iter().map(move |it| (topic, it)));
    let leaderless: Vec<String> = partitions()
        .filter(|(_, partition)| !partition.has_leader)
        .map(|(topic, partition)| format!("{topic}/{}", partition.id))
        .collect();
    if !leaderless.is_empty() {
        return Err(broken(
            format!("no broker leads {}", leaderless.join(", ")),
            "a broker is away that has the only copy: start it, or look at its log",
        ));
    }
    Ok(format!("{} with {} partitions, each with a leader", wanted.join(", "), partitions().count()))
}

/// The trace store.
pub(super) async fn jaeger(examination: &mut Examination, address: &Address) -> anyhow::Result<()> {
    let ask = async {
        let services = jaeger::count_services(&address.to_string()).await.map_err(|error| {
            // The advice that `orderctl trace` gives is another.
            let text = error.to_string();
            let what = text.lines().next().unwrap_or_default();
            broken(what, "is Jaeger running? Orders go on without it, and their spans are lost. Or pass --jaeger")
        })?;
        Ok((format!("query API at {address}, {services} services"), ()))
    };
    examination.check(Check::Jaeger, ask).await?;
    Ok(())
}
