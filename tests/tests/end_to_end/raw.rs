//! Calls of any method with any bytes, by a client that leaves deadlines to the server.

use std::task::{Context, Poll};

use futures::future::BoxFuture;
use futures::stream::{self, TryStreamExt as _};
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message as _;
use tests::service::Service;
use tokio::net::TcpStream;
use tonic::body::Body;
use tonic::client::Grpc;
use tonic::codec::{BufferSettings, Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::Bytes;
use tonic::codegen::http;
use tonic::{Request, Status};

/// Every method of a service, as paths: `/orders.v1.OrderService/GetOrder`.
pub(crate) fn methods(service: &str) -> Vec<String> {
    let files = prost_types::FileDescriptorSet::decode(proto::FILE_DESCRIPTOR_SET).unwrap();
    let mut methods = Vec::new();
    for file in files.file {
        for described in &file.service {
            let name = format!("{}.{}", file.package(), described.name());
            if name == service {
                methods.extend(described.method.iter().map(|method| format!("/{name}/{}", method.name())));
            }
        }
    }
    assert!(!methods.is_empty(), "{service} has methods");
    methods
}

/// One connection. tonic's own would act on `grpc-timeout` before the server does.
#[derive(Clone)]
pub(crate) struct Connection {
    sender: http2::SendRequest<Body>,
    origin: http::Uri,
}

impl Connection {
    pub(crate) async fn to(service: &Service) -> Self {
        let origin: http::Uri = service.address().parse().unwrap();
        let stream = TokioIo::new(TcpStream::connect(origin.authority().unwrap().as_str()).await.unwrap());
        let (sender, connection) = http2::handshake(TokioExecutor::new(), stream).await.unwrap();
        tokio::spawn(connection);
        Self { sender, origin }
    }

    /// For the generated clients.
    pub(crate) fn origin(&self) -> http::Uri {
        self.origin.clone()
    }

    /// Sends one message and reads all answers.
    pub(crate) async fn call(&self, path: &str, message: Request<Vec<u8>>) -> Result<Vec<Bytes>, Status> {
        let mut client = Grpc::with_origin(self.clone(), self.origin());
        client.ready().await.map_err(|error| Status::from_error(Box::new(error)))?;
        let (metadata, extensions, message) = message.into_parts();
        let message = stream::iter([Bytes::from(message)]);
        let request = Request::from_parts(metadata, extensions, message);
        client.streaming(request, path.parse().unwrap(), Verbatim).await?.into_inner().try_collect().await
    }
}

impl tower::Service<http::Request<Body>> for Connection {
    type Response = http::Response<Incoming>;
    type Error = hyper::Error;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.sender.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(self.sender.send_request(request))
    }
}

/// Bytes as they are.
#[derive(Clone, Copy, Default)]
struct Verbatim;

impl Codec for Verbatim {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Verbatim {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        bytes::BufMut::put(buffer, item);
        Ok(())
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::default()
    }
}

impl Decoder for Verbatim {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        let length = bytes::Buf::remaining(buffer);
        Ok(Some(bytes::Buf::copy_to_bytes(buffer, length)))
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::default()
    }
}
