//! Crash points and mistakes are in no program but those of the tests.

use std::process::Command;

/// Features of `runtime` in a build of these packages alone.
fn features_of_runtime(packages: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO"));
    command.args(["tree", "--locked", "--offline", "--edges", "normal,features", "--invert", "runtime"]);
    for package in packages {
        command.args(["--package", package]);
    }
    let output = command.current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn released_programs_have_no_crash_points() {
    const FEATURE: &str = "runtime feature \"faults\"";
    for program in ["orderctl", "order-svc", "inventory-svc", "bench"] {
        let features = features_of_runtime(&[program]);
        assert!(features.contains(program) && !features.contains(FEATURE), "{program}: {features}");
    }
    assert!(features_of_runtime(&["tests"]).contains(FEATURE), "this test would see the feature");
}
