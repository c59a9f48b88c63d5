//! Whole processes against real servers. One program: each more would be linked with everything for nothing.

#[cfg(test)]
mod cancel_and_fulfil;
#[cfg(test)]
mod cancelled_calls;
#[cfg(test)]
mod chaos;
#[cfg(test)]
mod contention;
#[cfg(test)]
mod crash_points;
#[cfg(test)]
mod crashes;
#[cfg(test)]
mod dead_letters;
#[cfg(test)]
mod deadlocks;
#[cfg(test)]
mod dependencies;
#[cfg(test)]
mod doctor;
#[cfg(test)]
mod errors;
#[cfg(test)]
mod every_call_is_counted;
#[cfg(test)]
mod every_method;
#[cfg(test)]
mod imports;
#[cfg(test)]
mod inventory_away;
#[cfg(test)]
mod lists;
#[cfg(test)]
mod logs;
#[cfg(test)]
mod many_streams;
#[cfg(test)]
mod mistakes;
#[cfg(test)]
mod one_trace;
#[cfg(test)]
mod one_writer;
#[cfg(test)]
mod outbox;
#[cfg(test)]
mod poison;
#[cfg(test)]
mod raw;
#[cfg(test)]
mod redelivery;
#[cfg(test)]
mod replays;
#[cfg(test)]
mod replicas;
#[cfg(test)]
mod restarts;
#[cfg(test)]
mod same_batch;
#[cfg(test)]
mod sampling;
#[cfg(test)]
mod settings;
#[cfg(test)]
mod slow_inventory;
#[cfg(test)]
mod streams;
#[cfg(test)]
mod support;
#[cfg(test)]
mod terminated_sessions;
#[cfg(test)]
mod topics;
#[cfg(test)]
mod transcripts;
#[cfg(test)]
mod what_is_released;
#[cfg(test)]
mod what_is_served;
#[cfg(test)]
mod zombies;
