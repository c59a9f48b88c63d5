//! The methods that exist, from the descriptors: the closed list behind the label `rpc_method`, and which of them
//! stream.

use std::collections::HashMap;
use std::sync::LazyLock;

use http::{Extensions, Request};
use prost::Message as _;
use prost_types::FileDescriptorSet;
use tonic::body::Body;

/// Stands for every method that no descriptor names, so that callers can't invent label values.
const OTHER: &str = "_OTHER";

static METHODS: LazyLock<Methods> = LazyLock::new(Methods::from_descriptors);

/// Calls that end work which was begun, and so relieve the platform: they come first when there is too much (O5).
const END_WORK: [&str; 4] = [
    "orders.v1.OrderService/CancelOrder",
    "orders.v1.OrderService/FulfillOrder",
    "inventory.v1.InventoryService/Reserve",
    "inventory.v1.InventoryService/CloseReservation",
];
/// Packages of what every server has: health and reflection.
const INFRASTRUCTURE: &str = "grpc.";

/// One method, for the life of the process.
#[derive(Debug)]
pub(crate) struct Method {
    /// `orders.v1.OrderService/PlaceOrder`, or `_OTHER`.
    pub(crate) name: String,
    /// Position among all methods, for tables of metric handles.
    pub(crate) index: usize,
    /// How it is admitted.
    pub(crate) kind: Kind,
    /// Whether either side sends more than one message.
    pub(crate) streams: bool,
}

/// What a method is to a server that has to choose among calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Health and reflection: always admitted.
    Infrastructure,
    /// One message each way.
    Unary,
    /// The same, and it finishes what another call began.
    UnaryThatEndsWork,
    /// Lasts as long as its caller likes.
    Stream,
}

struct Methods {
    all: Vec<Method>,
    by_path: HashMap<String, usize>,
}

/// The method of a request's path, `/orders.v1.OrderService/PlaceOrder`.
pub(crate) fn of_path(path: &str) -> &'static Method {
    let methods = &*METHODS;
    let index = methods.by_path.get(path).copied().unwrap_or_default();
    &methods.all[index]
}

/// The method of a request; found out once, by the outermost layer.
pub(crate) fn of(request: &Request<Body>) -> &'static Method {
    request.extensions().get::<&'static Method>().copied().unwrap_or_else(|| of_path(request.uri().path()))
}

/// Every method, `_OTHER` first; each at its `index`.
pub(crate) fn all() -> &'static [Method] {
    &METHODS.all
}

impl Method {
    /// For [`of`].
    pub(crate) fn store(&'static self, extensions: &mut Extensions) {
        extensions.insert(self);
    }
}

impl Kind {
    fn of(name: &str, streams: bool) -> Self {
        if name.starts_with(INFRASTRUCTURE) {
            Self::Infrastructure
        } else if streams {
            Self::Stream
        } else if END_WORK.contains(&name) {
            Self::UnaryThatEndsWork
        } else {
            Self::Unary
        }
    }
}

impl Methods {
    fn from_descriptors() -> Self {
        // An unknown method is not served: it is answered at once, like a unary call.
        let mut methods = Self {
            all: vec![Method { name: OTHER.to_owned(), index: 0, kind: Kind::Unary, streams: false }],
            by_path: HashMap::new(),
        };
        for descriptors in [
            proto::FILE_DESCRIPTOR_SET,
            tonic_health::pb::FILE_DESCRIPTOR_SET,
            tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
            tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
        ] {
            methods.add_all(descriptors);
        }
        methods
    }

    fn add_all(&mut self, descriptors: &[u8]) {
        let set = FileDescriptorSet::decode(descriptors).expect("descriptors are generated together with the code");
        for file in &set.file {
            for service in &file.service {
                for method in &service.method {
                    let name = format!("{}.{}/{}", file.package(), service.name(), method.name());
                    self.add(name, method.client_streaming() || method.server_streaming());
                }
            }
        }
    }

    fn add(&mut self, name: String, streams: bool) {
        let index = self.all.len();
        self.by_path.insert(format!("/{name}"), index);
        let kind = Kind::of(&name, streams);
        self.all.push(Method { name, index, kind, streams });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_of_the_contract_health_and_reflection_are_known_and_no_others() {
        for (path, streams) in [
            ("/orders.v1.OrderService/PlaceOrder", false),
            ("/orders.v1.OrderService/WatchOrder", true),
            ("/orders.v1.OrderService/PlaceOrders", true),
            ("/inventory.v1.InventoryService/Reserve", false),
            ("/grpc.health.v1.Health/Check", false),
            ("/grpc.health.v1.Health/Watch", true),
            ("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", true),
            ("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", true),
        ] {
            let method = of_path(path);
            assert_eq!((method.name.as_str(), method.streams), (&path[1..], streams));
            assert_eq!(all()[method.index].name, method.name);
        }
        for name in END_WORK {
            assert_eq!(of_path(&format!("/{name}")).kind, Kind::UnaryThatEndsWork, "{name}");
        }
        assert_eq!(of_path("/grpc.health.v1.Health/Watch").kind, Kind::Infrastructure);
        assert_eq!(of_path("/orders.v1.OrderService/Nonsense").name, OTHER);
        assert_eq!(of_path("").name, OTHER);
    }
}
