//! What all tests share: the program that they were built with.

use tests::shared::{self, Calm, Faults};

/// Both services.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_platform");

/// The platform that nobody harms.
pub(crate) async fn calm() -> Calm {
    shared::calm(PROGRAM).await
}

/// The platform that this test alone may break.
pub(crate) async fn faults() -> Faults {
    shared::faults(PROGRAM).await
}
