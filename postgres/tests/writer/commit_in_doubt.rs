use futures::future::join_all;

use crate::entries::{Add, counted, make_tables, start};
use crate::proxy::{Cut, Proxy};
use crate::server::{Server, database};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commit_whose_answer_is_lost_is_settled_and_written_exactly_once() {
    let server = Server::start().await;
    let proxy = Proxy::to(server.port()).await;
    let url = format!("postgres://postgres@127.0.0.1:{}/entries?sslmode=disable", proxy.port);
    let running = start(database(&url, 1));
    make_tables(&running.database).await;
    running.writer.submit(Add::new(1)).await.unwrap();

    let mut expected = 1;
    for cut in [
        Cut::BeforeTheServerHears,
        Cut::AfterTheServerCommitted,
        Cut::BeforeTheServerCommitsLate,
        Cut::AfterTheServerCommitted,
    ] {
        proxy.cut_next(cut);
        let commands: Vec<Add> = (0..10).map(|_| Add::new(1)).collect();
        let outcomes = join_all(commands.iter().map(|command| running.writer.submit(command.clone()))).await;
        assert!(proxy.has_cut());
        for (command, outcome) in commands.iter().zip(outcomes) {
            assert_eq!(outcome.unwrap().id, command.id, "{cut:?}");
        }
        expected += 10;
        assert_eq!(counted(&running.database).await, (expected, expected), "{cut:?}: each exactly once");
    }
    assert!(running.supervisor.failure().is_none());
}
