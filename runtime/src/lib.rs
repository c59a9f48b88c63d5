//! What every service of the platform does the same way, whatever its business is: read its settings, say whether it is
//! healthy, run named tasks, answer its operator, and stop in order.
//!
//! A tour, in reading order:
//!
//! - [`settings`]: a TOML file and the environment become one struct per concern; every mistake is reported at once.
//! - [`health`]: components say `up` or `down`; the service is serving, degraded or not serving because of them.
//! - [`tasks`]: every task has a name, belongs to a group and is joined; one that fails makes the process drain.
//! - [`listen`]: binding an address, with an error that names the setting it came from.
//! - [`admin`]: `/metrics`, `/livez` and `/readyz` for the operator.
//! - [`signals`]: the first SIGTERM or SIGINT drains, the second one exits at once.
//! - [`faults`]: crashes and mistakes on demand, for tests only.
//! - [`bootstrap`]: the one `main` of all services, made from the modules above.
//!
//! What a service *is* stands in its own crate; nothing here knows orders, stock, Postgres or Kafka.

pub mod admin;
pub mod bootstrap;
pub mod faults;
pub mod health;
pub mod listen;
pub mod settings;
pub mod signals;
pub mod tasks;
