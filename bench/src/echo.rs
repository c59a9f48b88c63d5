//! A server that gives every caller the same order: bare, which is what gRPC alone costs, or inside the server stack of the
//! services, which is what that costs.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use prost::Message as _;
use proto::orders::v1 as api;
use proto::orders::v1::order_service_server::{OrderService, OrderServiceServer, SERVICE_NAME};
use runtime::health::Health;
use runtime::listen::Listener;
use runtime::settings::SettingsReader;
use tokio::net::TcpListener;
use tokio::process::Child;
use tokio_stream::{Empty, Iter};
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status, Streaming};
use transport::error::ErrorDomain;
use transport::server::{Authentication, Business, ServerSettings};

use crate::load;

/// What is around the handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Nothing but tonic.
    Bare,
    /// What the services have, with telemetry off.
    Stacked,
}

impl Kind {
    /// The first word of this program's command line.
    pub(crate) fn role(self) -> &'static str {
        match self {
            Self::Bare => "bare-echo",
            Self::Stacked => "stacked-echo",
        }
    }
}

/// Started by [`start`]: serves the order in the file that is the first argument, and prints its address.
pub(crate) fn run(kind: Kind, mut arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let file = arguments.next().map(PathBuf::from).unwrap_or_default();
    match serve(kind, &file) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("echo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn serve(kind: Kind, file: &Path) -> Result<()> {
    let order = api::Order::decode(std::fs::read(file)?.as_slice()).context("no order")?;
    // Threads as the services have them.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("http://{}", listener.local_addr()?);
        let service = OrderServiceServer::new(Echo { order });
        match kind {
            Kind::Bare => {
                // As tonic sets it on a listener of its own.
                let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
                let server = tonic::transport::Server::builder().add_service(service);
                Ok(server.serve_with_incoming(incoming).await?)
            }
            Kind::Stacked => {
                let settings = ServerSettings::read(&mut SettingsReader::new(None, []), "127.0.0.1:0");
                let business = Business {
                    routes: Routes::new(service),
                    names: &[SERVICE_NAME],
                    domain: ErrorDomain::ORDERS,
                    authentication: Authentication::default(),
                };
                Ok(transport::server::serve(
                    Listener::Tcp(listener),
                    settings,
                    business,
                    &Health::new(),
                    CancellationToken::new(),
                )
                .await?)
            }
        }
    })
}

/// Starts the server as a process of its own, and returns it with its address.
pub(crate) async fn start(kind: Kind, order: &api::Order, folder: &Path) -> Result<(Child, String)> {
    let file = folder.join(format!("{}.order", kind.role()));
    std::fs::write(&file, order.encode_to_vec()).with_context(|| format!("can't write {}", file.display()))?;
    let mut command = load::this_program(kind.role())?;
    command.arg(&file);
    let (server, address) = load::spawn(command).await?;
    ensure!(address.starts_with("http://"), "the {} did not start", kind.role());
    Ok((server, address))
}

struct Echo {
    order: api::Order,
}

fn not_here<T>() -> Result<Response<T>, Status> {
    Err(Status::unimplemented("this server repeats one order"))
}

#[tonic::async_trait]
impl OrderService for Echo {
    type WatchOrderStream = Iter<std::array::IntoIter<Result<api::WatchOrderResponse, Status>, 2>>;
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
        Ok(Response::new(api::FulfillOrderResponse { order: Some(self.order.clone()) }))
    }

    async fn watch_order(
        &self,
        _: Request<api::WatchOrderRequest>,
    ) -> Result<Response<Self::WatchOrderStream>, Status> {
        let answer = || Ok(api::WatchOrderResponse { order: Some(self.order.clone()) });
        Ok(Response::new(tokio_stream::iter([answer(), answer()])))
    }

    async fn place_orders(
        &self,
        _: Request<Streaming<api::PlaceOrdersRequest>>,
    ) -> Result<Response<Self::PlaceOrdersStream>, Status> {
        not_here()
    }
}
