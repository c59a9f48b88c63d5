use devstack::{Embedded, Postgres};
use sqlx::{Connection, PgConnection};

use crate::support::{eventually, options};

async fn rows(url: &str) -> Vec<i32> {
    let mut connection = PgConnection::connect(url).await.unwrap();
    sqlx::query_scalar("select id from kept order by id").fetch_all(&mut connection).await.unwrap()
}

async fn write(url: &str, id: i32) {
    let mut connection = PgConnection::connect(url).await.unwrap();
    sqlx::query("create table if not exists kept (id int primary key)").execute(&mut connection).await.unwrap();
    sqlx::query("insert into kept values ($1)").bind(id).execute(&mut connection).await.unwrap();
}

async fn keeps_data(mut postgres: Postgres) -> Postgres {
    postgres.create_database("orders").await.unwrap();
    postgres.create_database("orders").await.unwrap();
    let url = postgres.database_url("orders");
    write(&url, 1).await;

    let before = postgres.pid();
    postgres.kill().await.unwrap();
    assert!(PgConnection::connect(&url).await.is_err(), "a killed server still answers");
    postgres.restart().await.unwrap();
    assert_ne!(postgres.pid(), before);
    assert_eq!(rows(&url).await, [1]);
    assert_eq!(rows(&postgres.tcp_database_url("orders")).await, [1]);
    postgres
}

#[tokio::test]
async fn database_survives_a_crash_and_a_stop_of_its_server() {
    let (options, _folder) = options();
    let postgres = keeps_data(Postgres::start(&options).await.unwrap()).await;
    postgres.stop().await.unwrap();

    let again = Postgres::start(&options).await.unwrap();
    assert_eq!(rows(&again.database_url("orders")).await, [1]);
    again.stop().await.unwrap();
}

#[tokio::test]
async fn downloaded_server_keeps_data_and_says_that_it_is_a_substitute() {
    let (mut options, _folder) = options();
    options.sources.postgres_url = None;
    options.sources.embedded = Embedded { postgres: true, ..Embedded::default() };
    let started = Postgres::start(&options).await;
    if let Err(error) = &started
        && error.to_string().contains("can't fetch Postgres")
    {
        eprintln!("SKIPPED: Maven Central is out of reach: {error:#}");
        return;
    }
    let postgres = keeps_data(started.unwrap()).await;
    assert!(postgres.is_substitute() && postgres.description().contains("SUBSTITUTE"));
    postgres.stop().await.unwrap();
}

#[tokio::test]
async fn server_that_is_dropped_ends_and_its_files_can_be_used_again() {
    let (options, _folder) = options();
    let postgres = Postgres::start(&options).await.unwrap();
    let url = postgres.database_url("postgres");
    drop(postgres);
    assert!(PgConnection::connect(&url).await.is_err(), "a dropped server still answers");
    Postgres::start(&options).await.unwrap().stop().await.unwrap();
}

#[tokio::test]
async fn killed_postmaster_leaves_nothing_that_keeps_a_restart_out() {
    let (options, _folder) = options();
    let mut postgres = Postgres::start(&options).await.unwrap();
    let pid = postgres.pid().unwrap().to_string();
    let url = postgres.database_url("postgres");
    write(&url, 1).await;
    assert!(std::process::Command::new("kill").args(["-KILL", &pid]).status().unwrap().success());
    eventually("the killed server is gone", async || PgConnection::connect(&url).await.err()).await;
    postgres.restart().await.unwrap();
    assert_eq!(rows(&url).await, [1]);
    postgres.stop().await.unwrap();
}

#[tokio::test]
async fn running_server_from_the_environment_is_used_and_left_alone() {
    let (options, _folder) = options();
    let server = Postgres::start(&options).await.unwrap();
    let (mut other, _other_folder) = crate::support::options();
    other.sources.postgres_url = Some(server.tcp_database_url("postgres"));

    let mut borrowed = Postgres::start(&other).await.unwrap();
    borrowed.create_database("borrowed").await.unwrap();
    write(&borrowed.database_url("borrowed"), 7).await;
    assert!(!borrowed.is_substitute());
    assert!(borrowed.kill().await.is_err());
    borrowed.stop().await.unwrap();
    assert_eq!(rows(&server.database_url("borrowed")).await, [7]);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn server_that_somebody_else_runs_on_the_files_is_named_and_left_alone() {
    let (options, folder) = options();
    let server = Postgres::start(&options).await.unwrap();
    // Without these two files it is as if a person had started the server by hand.
    std::fs::remove_file(folder.path().join(".lock")).unwrap();
    std::fs::remove_file(folder.path().join("postgres.pid")).unwrap();
    let error = Postgres::start(&options).await.unwrap_err().to_string();
    assert!(error.contains(&format!("pid {}", server.pid().unwrap())), "{error}");
    PgConnection::connect(&server.database_url("postgres")).await.unwrap();
    server.stop().await.unwrap();
}

#[tokio::test]
async fn data_folder_that_the_server_can_not_enter_or_name_a_socket_in_still_works() {
    use std::os::unix::fs::PermissionsExt;
    let closed = tempfile::Builder::new().permissions(std::fs::Permissions::from_mode(0o700)).tempdir().unwrap();
    let (mut options, _folder) = options();
    options.data = closed.path().join("a-long-name".repeat(9)).join("data");
    let postgres = Postgres::start(&options).await.unwrap();
    let url = postgres.database_url("postgres");
    write(&url, 1).await;
    let socket = std::path::PathBuf::from(url.split_once("?host=").unwrap().1);
    assert!(socket.as_os_str().len() < 85, "{}", socket.display());
    postgres.stop().await.unwrap();
    let again = Postgres::start(&options).await.unwrap();
    assert_eq!(rows(&again.database_url("postgres")).await, [1]);
    again.stop().await.unwrap();
    std::fs::remove_dir_all(socket.parent().unwrap()).unwrap();
}
