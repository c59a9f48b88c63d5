//! Where everything listens: the contract's ports unless told otherwise, checked before anything is started.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::str::FromStr;

use anyhow::{Context as _, bail};

use super::holder;

/// Every port of the platform. All listeners are on 127.0.0.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ports {
    pub(crate) orders: u16,
    pub(crate) inventory: u16,
    pub(crate) orders_admin: u16,
    pub(crate) inventory_admin: u16,
    pub(crate) jaeger: u16,
    pub(crate) otlp: u16,
    pub(crate) kafka: u16,
    pub(crate) postgres: u16,
}

/// Names that `--ports` takes, with the ports that hold without it. Kafka and Postgres leave their customary ports to
/// the ones that many machines run anyway.
const DEFAULTS: [(&str, u16); 8] = [
    ("orders", 50051),
    ("inventory", 50052),
    ("orders-admin", 9464),
    ("inventory-admin", 9465),
    ("jaeger", 16686),
    ("otlp", 4317),
    ("kafka", 19092),
    ("postgres", 15432),
];

/// What `--ports` asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct PortChoice {
    any: bool,
    chosen: HashMap<&'static str, u16>,
}

impl FromStr for PortChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "any" {
            return Ok(Self { any: true, chosen: HashMap::new() });
        }
        let names = || DEFAULTS.map(|(name, _)| name).join(", ");
        let mut chosen = HashMap::new();
        for pair in text.split(',') {
            let (name, port) = pair
                .split_once('=')
                .ok_or_else(|| format!("expected \"any\" or NAME=PORT,… with the names {}", names()))?;
            let &(name, _) = DEFAULTS
                .iter()
                .find(|(known, _)| *known == name)
                .ok_or_else(|| format!("\"{name}\" is none of {}", names()))?;
            let port = port.parse().map_err(|_| format!("\"{port}\" is not a port from 1 to 65535, or 0 for any"))?;
            chosen.insert(name, port);
        }
        Ok(Self { any: false, chosen })
    }
}

impl PortChoice {
    /// Fixes every port and makes sure that each is free. `unused` names those of servers that run elsewhere.
    ///
    /// # Errors
    /// Ports are taken; the text names all of them, who has them and how to choose others.
    pub(crate) fn settle(&self, unused: &[&str]) -> anyhow::Result<Ports> {
        // Free ports stay bound until all are found: none is handed out twice.
        let mut held = Vec::new();
        let mut settled = HashMap::new();
        let mut taken = Vec::new();
        for (name, default) in DEFAULTS {
            let wanted = if self.any { 0 } else { self.chosen.get(name).copied().unwrap_or(default) };
            if unused.contains(&name) {
                settled.insert(name, wanted);
                continue;
            }
            match TcpListener::bind((Ipv4Addr::LOCALHOST, wanted)) {
                Ok(listener) => {
                    settled.insert(name, listener.local_addr().context("a bound port has no number")?.port());
                    held.push(listener);
                }
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => taken.push((name, wanted)),
                Err(error) => bail!("port {wanted} ({name}) can't be used: {error}\n  next: --ports {name}=PORT"),
            }
        }
        if !taken.is_empty() {
            bail!("{}", describe_taken(&taken));
        }
        let port = |name: &str| settled.get(name).copied().expect("every name of DEFAULTS was settled");
        Ok(Ports {
            orders: port("orders"),
            inventory: port("inventory"),
            orders_admin: port("orders-admin"),
            inventory_admin: port("inventory-admin"),
            jaeger: port("jaeger"),
            otlp: port("otlp"),
            kafka: port("kafka"),
            postgres: port("postgres"),
        })
    }
}

fn describe_taken(taken: &[(&str, u16)]) -> String {
    let lines: Vec<String> = taken
        .iter()
        .map(|&(name, port)| {
            let holder = holder::of(port).map(|holder| format!(" by {holder}")).unwrap_or_default();
            format!("port {port} ({name}) is taken{holder}")
        })
        .collect();
    let example: Vec<String> = taken.iter().map(|(name, _)| format!("{name}=0")).collect();
    format!(
        "{}\n  next: stop what listens there, or choose other ports: --ports {} (0 takes a free one; \
         --ports any: all of them)",
        lines.join("\n       "),
        example.join(",")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn any() -> PortChoice {
        "any".parse().expect("a word of its own")
    }

    #[test]
    fn choices_name_known_ports_only() {
        let choice: PortChoice = "orders=50151,kafka=0".parse().expect("two names");
        assert_eq!(choice.chosen, HashMap::from([("orders", 50151), ("kafka", 0)]));
        for wrong in ["", "50051", "order=1", "orders=x", "orders=70000", "any,orders=1"] {
            assert!(wrong.parse::<PortChoice>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn free_ports_differ_from_each_other() {
        let ports = any().settle(&[]).expect("some ports are free");
        let all = [
            ports.orders,
            ports.inventory,
            ports.orders_admin,
            ports.inventory_admin,
            ports.jaeger,
            ports.otlp,
            ports.kafka,
            ports.postgres,
        ];
        let different: std::collections::HashSet<u16> = all.into_iter().collect();
        assert_eq!(different.len(), all.len());
        assert!(!different.contains(&0));
    }

    #[test]
    fn taken_port_is_named_with_its_holder_and_the_way_out() {
        let stranger = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("some port is free");
        let port = stranger.local_addr().expect("it is bound").port();
        let rest =
            DEFAULTS.map(|(name, _)| if name == "kafka" { format!("kafka={port}") } else { format!("{name}=0") });
        let choice: PortChoice = rest.join(",").parse().expect("all names");
        let text = choice.settle(&[]).expect_err("kafka's port is taken").to_string();
        assert!(text.starts_with(&format!("port {port} (kafka) is taken")), "{text}");
        assert!(text.contains("--ports kafka=0"), "{text}");
        if cfg!(target_os = "linux") {
            assert!(text.contains(&format!("pid {}", std::process::id())), "{text}");
        }
        assert!(choice.settle(&["kafka"]).is_ok(), "a Kafka that runs elsewhere needs no port");
    }
}
