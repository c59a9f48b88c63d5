use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use devstack::{Embedded, Stack};

use crate::support::{eventually, options};

#[tokio::test]
async fn stack_starts_refuses_a_second_one_on_its_folder_and_starts_again_after_a_stop() {
    let (options, _folder) = options();
    let start = Instant::now();
    let stack = Stack::start(&options).await.unwrap();
    eprintln!("stack: up in {} ms on an empty folder", start.elapsed().as_millis());

    let error = Stack::start(&options).await.err().expect("a second stack on the folder").to_string();
    assert!(error.contains(&format!("(pid {})", std::process::id())), "{error}");
    let stop = Instant::now();
    stack.stop().await.unwrap();
    eprintln!("stack: stopped in {} ms", stop.elapsed().as_millis());

    let start = Instant::now();
    let again = Stack::start(&options).await.unwrap();
    eprintln!("stack: up in {} ms on its folder", start.elapsed().as_millis());
    again.stop().await.unwrap();
}

#[tokio::test]
async fn required_real_servers_fail_the_start_by_name_and_leave_the_folder_free() {
    let (mut options, _folder) = options();
    options.sources.jaeger_bin = None;
    options.sources.path = None;
    options.sources.otlp_endpoint = None;
    options.sources.jaeger_url = None;
    options.sources.require_real = true;
    let error = Stack::start(&options).await.err().expect("nothing can be found without PATH").to_string();
    assert!(error.contains("DEVSTACK_REQUIRE_REAL"), "{error}");

    options.sources.require_real = false;
    options.sources.embedded = Embedded { kafka: true, traces: true, postgres: false };
    let (second, _) = crate::support::options();
    options.sources.path = second.sources.path;
    let stack = Stack::start(&options).await.unwrap();
    assert!(stack.kafka.is_substitute() && stack.traces.is_substitute());
    stack.stop().await.unwrap();
}

/// Starts a process that holds a stack, and returns it with the process ids of its servers.
fn hold_in_another_process(data: &std::path::Path) -> (Child, Vec<String>) {
    // Built with the tests: beside the folder that this test's program is in.
    let tests = std::env::current_exe().unwrap();
    let program = tests.parent().and_then(std::path::Path::parent).unwrap().join("examples/hold_a_stack");
    let mut child = Command::new(program).arg(data).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let pids = lines.find_map(|line| Some(line.unwrap().strip_prefix("HOLDING ")?.to_owned())).expect("it started");
    (child, pids.split_whitespace().map(str::to_owned).collect())
}

fn is_there(pid: &str) -> bool {
    Command::new("kill").args(["-0", pid]).stderr(Stdio::null()).status().unwrap().success()
}

#[tokio::test]
async fn servers_of_a_killed_process_end_and_the_next_stack_takes_over() {
    let (options, _folder) = options();
    let (mut holder, pids) = hold_in_another_process(&options.data);
    assert!(pids.iter().all(|pid| is_there(pid)));
    let error = Stack::start(&options).await.err().expect("a second stack on the folder").to_string();
    assert!(error.contains(&format!("(pid {})", holder.id())), "{error}");

    holder.kill().unwrap();
    holder.wait().unwrap();
    let stack = Stack::start(&options).await.unwrap();
    eventually("the servers of the killed process end", async || (!pids.iter().any(|pid| is_there(pid))).then_some(()))
        .await;
    stack.postgres.create_database("orders").await.unwrap();
    stack.stop().await.unwrap();
}
