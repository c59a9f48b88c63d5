//! Whole processes against real servers. One program: each more would be linked with everything for nothing.

#[cfg(test)]
mod cancel_and_fulfil;
#[cfg(test)]
mod crashes;
#[cfg(test)]
mod dead_letters;
#[cfg(test)]
mod dependencies;
#[cfg(test)]
mod errors;
#[cfg(test)]
mod imports;
#[cfg(test)]
mod inventory_away;
#[cfg(test)]
mod lists;
#[cfg(test)]
mod one_trace;
#[cfg(test)]
mod redelivery;
#[cfg(test)]
mod replicas;
#[cfg(test)]
mod settings;
#[cfg(test)]
mod streams;
#[cfg(test)]
mod support;
#[cfg(test)]
mod what_is_served;
