//! Processes that end with the one that started them, however that ends.

use std::io::Read as _;

/// Set for processes that are to end with the one that starts them: their standard input is a pipe that breaks then.
pub const LIFELINE: &str = "PLATFORM_ENDS_WITH_STANDARD_INPUT";

/// As of a process that was killed.
const EXIT_WITH_PARENT: i32 = 137;

/// In a process that was started with [`LIFELINE`]: ends it when its standard input breaks. Nobody writes into that pipe.
pub fn hold() {
    if std::env::var_os(LIFELINE).is_none() {
        return;
    }
    std::thread::spawn(|| {
        drop(std::io::stdin().read(&mut [0; 1]));
        std::process::exit(EXIT_WITH_PARENT);
    });
}
