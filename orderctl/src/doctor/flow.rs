//! Events on their way: out of the outbox, through Kafka, into the other service.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use messaging::inspection::{self, Brokers};
use proto::orders::v1::Order;
use proto::topics;
use sqlx::PgConnection;

use super::check::Check;
use super::examination::{Examination, Trouble, broken};
use crate::cli::Part;

const POLL: Duration = Duration::from_millis(100);

/// What there is to look at: whatever answered.
pub(super) struct Flow {
    pub(super) databases: Vec<Option<(Part, PgConnection)>>,
    pub(super) brokers: Option<Brokers>,
    pub(super) wait: Duration,
}

impl Flow {
    /// Whether a service's consumers are in their group.
    pub(super) async fn group(&mut self, examination: &mut Examination, part: Part) -> anyhow::Result<()> {
        let (service, wait) = (part.service(), self.wait);
        let look = async {
            let brokers = self.brokers.as_ref().ok_or(Trouble::FollowsFrom(Check::Topics))?;
            let begun = Instant::now();
            loop {
                // Brokers that were just started have to read up on their groups first.
                let seen = match brokers.group(service).await {
                    Ok(Some(group)) if group.members > 0 && group.state == "Stable" => {
                        return Ok((format!("{} in group {service}", counted(group.members, "consumer")), ()));
                    }
                    Ok(Some(group)) => format!("{}, {}", counted(group.members, "consumer"), group.state),
                    Ok(None) => "there is none".to_owned(),
                    Err(error) => error.to_string(),
                };
                if begun.elapsed() >= wait {
                    return Err(broken(
                        format!("group {service} does not work: {seen}"),
                        format!("look at {service}'s log; does its KAFKA_BOOTSTRAP_SERVERS name these brokers?"),
                    ));
                }
                tokio::time::sleep(POLL).await;
            }
        };
        examination.check(Check::Group(part), look).await?;
        Ok(())
    }

    /// Whether the order's events leave a service's outbox.
    pub(super) async fn outbox(
        &mut self,
        examination: &mut Examination,
        part: Part,
        order: Option<&Order>,
    ) -> anyhow::Result<()> {
        let (service, wait) = (part.service(), self.wait);
        let order_id = order.map(|order| order.order_id.as_str()).unwrap_or_default();
        let look = async {
            let connection = self.database(part).ok_or(Trouble::FollowsFrom(Check::Schema(part)))?;
            let unreadable =
                |error: sqlx::Error| broken(format!("the outbox can't be read: {error}"), "look at the database");
            let begun = Instant::now();
            loop {
                let waiting = inspection::waiting_events(connection, order_id).await.map_err(unreadable)?;
                if waiting == 0 {
                    return Ok(("the order's events were published".to_owned(), ()));
                }
                if begun.elapsed() >= wait {
                    let leader = inspection::leader(connection).await.map_err(unreadable)?;
                    let waiting = counted(usize::try_from(waiting).unwrap_or_default(), "event");
                    return Err(stuck(
                        service,
                        &format!("{waiting} of the order still waiting after {wait:?}"),
                        leader,
                    ));
                }
                tokio::time::sleep(POLL).await;
            }
        };
        examination.check(Check::Outbox(part), look).await?;
        Ok(())
    }

    /// Whether a service reads to where its topic ends now.
    pub(super) async fn consumer(&mut self, examination: &mut Examination, part: Part) -> anyhow::Result<()> {
        let (service, wait) = (part.service(), self.wait);
        let topic = match part {
            Part::Order => topics::INVENTORY,
            Part::Inventory => topics::ORDERS,
        };
        let look = async {
            let Self { databases, brokers, .. } = self;
            let brokers = brokers.as_ref().ok_or(Trouble::FollowsFrom(Check::Topics))?;
            let connection = database(databases, part).ok_or(Trouble::FollowsFrom(Check::Schema(part)))?;
            let ends = brokers.ends(topic).await.map_err(|error| {
                broken(format!("the brokers do not tell where {topic} ends: {error}"), "look at their log")
            })?;
            let mut positions = async || {
                inspection::positions(connection, service, topic).await.map_err(|error| {
                    broken(format!("the stored positions can't be read: {error}"), "look at the database")
                })
            };
            let first = behind(&ends, &positions().await?);
            let begun = Instant::now();
            loop {
                let now = behind(&ends, &positions().await?);
                if now.is_empty() {
                    return Ok((format!("has read {topic} to its end"), ()));
                }
                if begun.elapsed() >= wait {
                    return Err(late(service, topic, &first, &now, wait));
                }
                tokio::time::sleep(POLL).await;
            }
        };
        examination.check(Check::Consumer(part), look).await?;
        Ok(())
    }

    fn database(&mut self, part: Part) -> Option<&mut PgConnection> {
        database(&mut self.databases, part)
    }
}

fn database(databases: &mut [Option<(Part, PgConnection)>], part: Part) -> Option<&mut PgConnection> {
    databases.iter_mut().flatten().find(|(of, _)| *of == part).map(|(_, connection)| connection)
}

fn stuck(service: &str, waiting: &str, leader: Option<inspection::Leader>) -> Trouble {
    match leader {
        None => broken(
            format!("{waiting}, and no relay of {service} leads"),
            format!("look at {service}'s log for its relay; relay_leader in its metrics says 1 where one leads"),
        ),
        Some(leader) if leader.is_relay => broken(
            format!("{waiting}, although a relay leads (session {})", leader.process_id),
            format!("look at {service}'s log: does Kafka take its records? It does not drop any, and goes on trying"),
        ),
        Some(leader) => broken(
            format!(
                "{waiting}, and no relay leads: session {} of the database (\"{}\") holds the relay's lock",
                leader.process_id, leader.application
            ),
            format!("end that session: select pg_terminate_backend({})", leader.process_id),
        ),
    }
}

/// Records of each partition that were not read yet.
fn behind(ends: &BTreeMap<i32, i64>, positions: &BTreeMap<i32, i64>) -> BTreeMap<i32, i64> {
    let lag =
        |(partition, end): (&i32, &i64)| (*partition, end - positions.get(partition).copied().unwrap_or_default());
    ends.iter().map(lag).filter(|(_, lag)| *lag > 0).collect()
}

fn late(service: &str, topic: &str, first: &BTreeMap<i32, i64>, now: &BTreeMap<i32, i64>, wait: Duration) -> Trouble {
    let still: Vec<String> = now
        .iter()
        .filter(|(partition, lag)| first.get(partition) == Some(lag))
        .map(|(partition, lag)| {
            format!("{topic}/{partition} ({} behind)", counted(usize::try_from(*lag).unwrap_or_default(), "record"))
        })
        .collect();
    if still.is_empty() {
        return broken(
            format!("{} records behind after {wait:?}, of {}", now.values().sum::<i64>(), first.values().sum::<i64>()),
            format!("it works a backlog off: wait, or start more replicas of {service}"),
        );
    }
    broken(
        format!("stands still for {wait:?} in {}", still.join(", ")),
        format!(
            "look at {service}'s log: a transaction that fails is tried again and again; then at locks in its database \
             (pg_stat_activity), and whether another consumer of its group holds the partition"
        ),
    )
}

fn counted(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partition_that_was_never_read_is_behind_only_if_something_is_in_it() {
        let ends = BTreeMap::from([(0, 0), (1, 5), (2, 7)]);
        assert_eq!(behind(&ends, &BTreeMap::from([(2, 7)])), BTreeMap::from([(1, 5)]));
    }

    #[test]
    fn consumer_that_moves_is_told_from_one_that_does_not() {
        let said = |first: [(i32, i64); 2], now: [(i32, i64); 1]| match late(
            "s",
            "t",
            &BTreeMap::from(first),
            &BTreeMap::from(now),
            Duration::from_secs(1),
        ) {
            Trouble::Broken { what, .. } => what,
            other => panic!("{other:?}"),
        };
        assert!(said([(0, 9), (1, 4)], [(1, 4)]).starts_with("stands still for 1s in t/1 (4 records"));
        assert_eq!(said([(0, 9), (1, 4)], [(0, 3)]), "3 records behind after 1s, of 13");
    }
}
