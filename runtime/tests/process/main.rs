//! The smallest service as a process of its own: command line, exit codes, signals, drain.
//!
//! The service is the example of that name, which `cargo test` builds. `--test process` alone does not: add
//! `--examples`.

#[cfg(test)]
mod service;

use std::net::TcpListener;
use std::time::Instant;

use service::{PATIENCE, Service, run};

const DATABASE_URL: (&str, &str) = ("DATABASE_URL", "postgres://shop:s3cret@127.0.0.1:5432/orders");

#[test]
fn help_lists_every_setting() {
    let output = run(&["--help"], &[]);
    assert_eq!(output.code, 0, "{output:?}");
    for setting in ["DATABASE_URL", "GRPC_LISTEN", "FAULT", "ADMIN_LISTEN", "SHUTDOWN_GRACE", "RUST_LOG"] {
        assert!(output.stdout.contains(setting), "{setting} is missing: {}", output.stdout);
    }
}

#[test]
fn version_is_printed() {
    let output = run(&["--version"], &[]);
    assert_eq!((output.code, output.stdout.as_str()), (0, "smallest-service 0.1.0\n"));
}

#[test]
fn wrong_command_line_exits_with_64() {
    assert_eq!(run(&["--colour"], &[]).code, 64);
    assert_eq!(run(&["migrate"], &[]).code, 64);
}

#[test]
fn check_config_prints_what_is_in_effect_without_secrets() {
    let output = run(&["check-config"], &[DATABASE_URL, ("SHUTDOWN_GRACE", "5s")]);
    assert_eq!(output.code, 0, "{output:?}");
    let assignments: Vec<&str> = output.stdout.lines().filter_map(|line| line.split("  ").next()).collect();
    assert!(assignments.contains(&"DATABASE_URL=postgres://shop:***@127.0.0.1:5432/orders"), "{output:?}");
    assert!(assignments.contains(&"SHUTDOWN_GRACE=5s"), "{output:?}");
    assert!(assignments.contains(&"OTEL_TRACES_SAMPLER=parentbased_always_on"), "{output:?}");
}

#[test]
fn wrong_settings_are_all_named_and_exit_with_78() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "shutdown_grase = \"5s\"\n").unwrap();
    let config = file.path().to_str().unwrap();
    let environment = [
        ("GRPC_LISTEN", "everywhere"),
        ("DRAIN_DELAY", "30s"),
        ("RUST_LOG", "info,=="),
        ("LOG_FORMAT", "xml"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "localhost:4317"),
        ("OTEL_TRACES_SAMPLER", "xray"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "100"),
    ];
    for arguments in [vec!["--config", config], vec!["check-config", "--config", config]] {
        let output = run(&arguments, &environment);
        assert_eq!(output.code, 78, "{output:?}");
        let named: Vec<&str> = output.stderr.lines().skip(1).filter_map(|line| line.split(':').next()).collect();
        assert_eq!(
            named,
            [
                "DATABASE_URL",
                "GRPC_LISTEN",
                "DRAIN_DELAY",
                "RUST_LOG",
                "LOG_FORMAT",
                "OTEL_EXPORTER_OTLP_ENDPOINT",
                "OTEL_TRACES_SAMPLER",
                "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
                "shutdown_grase",
            ],
            "{output:?}"
        );
    }
}

#[test]
fn address_in_use_is_named_and_exits_with_1() {
    for variable in ["ADMIN_LISTEN", "GRPC_LISTEN"] {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap().to_string();
        let other = if variable == "ADMIN_LISTEN" { "GRPC_LISTEN" } else { "ADMIN_LISTEN" };
        let output = run(&[], &[DATABASE_URL, (variable, &address), (other, "127.0.0.1:0")]);
        assert_eq!(output.code, 1, "{output:?}");
        assert!(output.stderr.contains(&format!("{variable}: cannot listen on {address}: ")), "{output:?}");
        assert!(output.stdout.contains(&format!("{variable}: cannot listen on {address}: ")), "not logged: {output:?}");
    }
}

#[test]
fn healthcheck_follows_the_service() {
    let mut service = Service::start(&[DATABASE_URL, ("DRAIN_DELAY", "15s")]);
    let address = service.grpc.clone();
    let environment = [("GRPC_LISTEN", address.as_str())];
    assert_eq!(run(&["healthcheck"], &environment).code, 0);

    service.signal("TERM");
    service.wait_for_line("draining");
    let draining = run(&["healthcheck"], &environment);
    assert_eq!(draining.code, 1, "{draining:?}");
    assert!(draining.stderr.contains("NOT_SERVING"), "{draining:?}");

    service.signal("TERM");
    assert_eq!(service.exit_code(), 143);
    let gone = run(&["healthcheck"], &environment);
    assert_eq!(gone.code, 1, "{gone:?}");
    assert!(gone.stderr.contains("does not answer"), "{gone:?}");
}

#[test]
fn either_signal_drains_and_exits_with_0() {
    for signal in ["TERM", "INT"] {
        let mut service = Service::start(&[DATABASE_URL]);
        service.signal(signal);
        assert_eq!(service.exit_code(), 0);
    }
}

#[test]
fn second_signal_exits_at_once() {
    for (signal, code) in [("TERM", 143), ("INT", 130)] {
        let mut service = Service::start(&[DATABASE_URL, ("DRAIN_DELAY", "1m"), ("SHUTDOWN_GRACE", "2m")]);
        service.signal("TERM");
        service.wait_for_line("draining");
        service.signal(signal);
        assert_eq!(service.exit_code(), code);
    }
}

#[test]
fn failed_task_drains_the_process_and_exits_with_1() {
    let mut service = Service::start(&[DATABASE_URL, ("FAULT", "task-fails")]);
    service.wait_for_line("background/broken");
    assert_eq!(service.exit_code(), 1);
}

#[test]
fn task_that_never_stops_is_named_and_the_process_ends_within_its_grace() {
    let mut service = Service::start(&[DATABASE_URL, ("FAULT", "task-is-deaf"), ("SHUTDOWN_GRACE", "1s")]);
    let begun = Instant::now();
    service.signal("TERM");
    let line = service.wait_for_line("did not end in time");
    assert!(line.contains("background/deaf"), "{line}");
    assert_eq!(service.exit_code(), 1);
    // A busy machine gets some slack; without the limit it would be the test's patience.
    assert!(begun.elapsed() < PATIENCE / 4, "{:?}", begun.elapsed());
}

#[test]
fn drain_that_hangs_is_given_up_within_the_grace_and_what_still_runs_is_named() {
    let mut service = Service::start(&[DATABASE_URL, ("FAULT", "drain-hangs"), ("SHUTDOWN_GRACE", "1s")]);
    let begun = Instant::now();
    service.signal("TERM");
    let line = service.wait_for_line("given up");
    assert!(line.contains("grpc/listener") && !line.contains("admin/"), "{line}");
    assert_eq!(service.exit_code(), 1);
    assert!(begun.elapsed() < PATIENCE / 4, "{:?}", begun.elapsed());
}

#[test]
fn panic_of_the_start_is_logged_and_exits_with_1() {
    let environment = [("FAULT", "start-panics"), ("GRPC_LISTEN", "127.0.0.1:0"), ("ADMIN_LISTEN", "127.0.0.1:0")];
    let output = run(&[], &[&[DATABASE_URL], environment.as_slice()].concat());
    assert_eq!(output.code, 1, "{output:?}");
    let failure = output.stdout.lines().find(|line| line.contains("service failed")).unwrap();
    assert!(failure.contains("asked to"), "{failure}");
}
