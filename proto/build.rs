//! Compiles the .proto files in pure Rust (no protoc) into two things: the code, and the descriptors with every option
//! kept (`google.api.http`), for reflection.

use std::path::PathBuf;

use prost::Message as _;

/// error_details.proto is imported by nobody: it is here so that reflection can show the details of errors.
const FILES: [&str; 4] = [
    "orders/v1/orders.proto",
    "inventory/v1/inventory.proto",
    "events/v1/events.proto",
    "google/rpc/error_details.proto",
];

fn main() {
    let includes = "proto";
    println!("cargo:rerun-if-changed={includes}");
    let mut compiler = protox::Compiler::new([includes]).expect("the folder of .proto files is beside build.rs");
    compiler.include_imports(true).include_source_info(true);
    compiler.open_files(FILES).unwrap_or_else(|error| panic!("{error:?}"));

    // prost's own descriptor type drops extensions, so the bytes for reflection are taken before it sees them.
    let with_options = compiler.encode_file_descriptor_set();
    let folder = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    std::fs::write(folder.join("descriptors.bin"), &with_options).expect("OUT_DIR can be written");

    let descriptors =
        tonic_prost_build::FileDescriptorSet::decode(with_options.as_slice()).expect("what protox encodes decodes");
    let mut messages = tonic_prost_build::Config::new();
    // `prost::Name` of each message: what `ce_type` says.
    messages.enable_type_names();
    tonic_prost_build::configure()
        .extern_path(".google.rpc", "::tonic_types::pb")
        .compile_fds_with_config(descriptors, messages)
        .expect("the .proto files are valid");
}
