//! The contract in Rust: what the two services, their users and their topics agree on.
//!
//! Everything here is generated from `proto/proto/**.proto` or named by the contract: messages, clients and servers, the
//! descriptors that reflection serves, the stable reasons of [errors](reasons) and names of status [codes], the
//! [topics] and the [headers] of a record, and the contract's scalar fields as [types](values) that check its rules.
//! There is no other behaviour here. Names are never changed, only added.

#![expect(
    missing_docs,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    clippy::large_enum_variant,
    reason = "generated code: messages carry the comments of the .proto files, and what tonic writes around them is its own"
)]

pub mod codes;
pub mod headers;
pub mod reasons;
pub mod topics;
pub mod values;

/// Orders: `orders.v1.OrderService`.
pub mod orders {
    /// Version 1.
    pub mod v1 {
        tonic::include_proto!("orders.v1");
    }
}

/// Stock: `inventory.v1.InventoryService`.
pub mod inventory {
    /// Version 1.
    pub mod v1 {
        tonic::include_proto!("inventory.v1");
    }
}

/// What travels over Kafka.
pub mod events {
    /// Version 1.
    pub mod v1 {
        tonic::include_proto!("events.v1");
    }
}

/// Google's common types, in the minimal wire-compatible form that the contract uses.
pub mod google {
    /// `google.type`.
    pub mod r#type {
        tonic::include_proto!("google.r#type");
    }
    /// `google.api`.
    pub mod api {
        tonic::include_proto!("google.api");
    }
}

/// The encoded `FileDescriptorSet` of all .proto files with their options and comments, for reflection and transcoding.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
