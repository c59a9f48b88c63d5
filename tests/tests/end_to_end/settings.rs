//! What a service does with settings that are wrong, before it starts anything.

use std::fs;
use std::process::{Command, Output, Stdio};

use crate::support::PROGRAM;

const EX_CONFIG: i32 = 78;

fn run(service: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    Command::new(PROGRAM)
        .arg(service)
        .args(arguments)
        .env_clear()
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

#[test]
fn everything_that_is_wrong_is_named_at_once() {
    let folder = std::env::temp_dir().join(format!("order-platform-settings-{}.toml", std::process::id()));
    fs::write(&folder, "grpc_listen = \"nowhere\"\nno_such_setting = 1\n").unwrap();
    let file = folder.to_str().unwrap();
    for (service, arguments) in [
        ("order", &["--config", file][..]),
        ("order", &["--config", file, "check-config"]),
        ("inventory", &["--config", file]),
    ] {
        let wrong = [
            ("KAFKA_BOOTSTRAP_SERVERS", "no-port"),
            ("SHUTDOWN_GRACE", "soon"),
            ("OTEL_TRACES_SAMPLER", "xray"),
            ("WRITER_BATCH", "0"),
        ];
        let output = run(service, arguments, &wrong);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(EX_CONFIG), "{service}: {said}");
        for name in ["DATABASE_URL", "KAFKA_BOOTSTRAP_SERVERS", "SHUTDOWN_GRACE", "OTEL_TRACES_SAMPLER", "WRITER_BATCH"]
        {
            assert!(said.contains(name), "{service} does not name {name}:\n{said}");
        }
        assert!(said.to_lowercase().contains("grpc_listen") && said.contains("no_such_setting"), "{said}");
    }
    fs::remove_file(folder).unwrap();
}

#[test]
fn password_of_the_database_is_never_shown() {
    let right =
        [("DATABASE_URL", "postgres://me:hunter2@127.0.0.1:1/orders"), ("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:2")];
    let output = run("order", &["check-config"], &right);
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("127.0.0.1:2") && !said.contains("hunter2"), "{said}");

    let output = run("order", &["check-config"], &[("DATABASE_URL", "postgres://me:hunter2@127.0.0.1:port/orders")]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(EX_CONFIG));
    assert!(said.contains("DATABASE_URL") && !said.contains("hunter2"), "{said}");
}
