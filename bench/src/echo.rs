//! A bare tonic server that gives every caller the same order: what gRPC alone costs.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use prost::Message as _;
use proto::orders::v1 as api;
use proto::orders::v1::order_service_server::{OrderService, OrderServiceServer};
use tokio::net::TcpListener;
use tokio::process::Child;
use tokio_stream::Empty;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, Streaming};

use crate::load;

/// Started by [`start`]: serves the order in the file that is the first argument, and prints its address.
pub(crate) fn run(mut arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let file = arguments.next().map(PathBuf::from).unwrap_or_default();
    match serve(&file) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("echo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn serve(file: &Path) -> Result<()> {
    let order = api::Order::decode(std::fs::read(file)?.as_slice()).context("no order")?;
    // Threads as the services have them.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("http://{}", listener.local_addr()?);
        let service = OrderServiceServer::new(Echo { order });
        let server = tonic::transport::Server::builder().add_service(service);
        Ok(server.serve_with_incoming(TcpListenerStream::new(listener)).await?)
    })
}

/// Starts the server as a process of its own, and returns it with its address.
pub(crate) async fn start(order: &api::Order, folder: &Path) -> Result<(Child, String)> {
    let file = folder.join("echo.order");
    std::fs::write(&file, order.encode_to_vec()).with_context(|| format!("can't write {}", file.display()))?;
    let mut command = load::this_program("echo")?;
    command.arg(&file);
    load::spawn(command).await
}

struct Echo {
    order: api::Order,
}

fn not_here<T>() -> Result<Response<T>, Status> {
    Err(Status::unimplemented("this server repeats one order"))
}

#[tonic::async_trait]
impl OrderService for Echo {
    type WatchOrderStream = Empty<Result<api::WatchOrderResponse, Status>>;
    type PlaceOrdersStream = Empty<Result<api::PlaceOrdersResponse, Status>>;

    async fn get_order(&self, _: Request<api::GetOrderRequest>) -> Result<Response<api::GetOrderResponse>, Status> {
        Ok(Response::new(api::GetOrderResponse { order: Some(self.order.clone()) }))
    }

    async fn place_order(
        &self,
        _: Request<api::PlaceOrderRequest>,
    ) -> Result<Response<api::PlaceOrderResponse>, Status> {
        Ok(Response::new(api::PlaceOrderResponse { order: Some(self.order.clone()) }))
    }

    async fn list_orders(
        &self,
        _: Request<api::ListOrdersRequest>,
    ) -> Result<Response<api::ListOrdersResponse>, Status> {
        not_here()
    }

    async fn cancel_order(
        &self,
        _: Request<api::CancelOrderRequest>,
    ) -> Result<Response<api::CancelOrderResponse>, Status> {
        not_here()
    }

    async fn fulfill_order(
        &self,
        _: Request<api::FulfillOrderRequest>,
    ) -> Result<Response<api::FulfillOrderResponse>, Status> {
        not_here()
    }

    async fn watch_order(
        &self,
        _: Request<api::WatchOrderRequest>,
    ) -> Result<Response<Self::WatchOrderStream>, Status> {
        not_here()
    }

    async fn place_orders(
        &self,
        _: Request<Streaming<api::PlaceOrdersRequest>>,
    ) -> Result<Response<Self::PlaceOrdersStream>, Status> {
        not_here()
    }
}
