//! Compiles the contracts with protox, so that no machine needs protoc.

use std::path::PathBuf;
use std::{env, error::Error, fs};

use protox::Compiler;

/// Compiled as roots, so that the descriptor set holds them and everything they import.
const ROOTS: &[&str] = &[
    "deskhand/accounts/v1/accounts.proto",
    "deskhand/assistant/v1/assistant.proto",
    "deskhand/feed/v1/feed.proto",
    "deskhand/replies/v1/replies.proto",
    "deskhand/tickets/v1/tickets.proto",
    // Not imported by ours: whoever decodes our errors needs it in the descriptor set.
    "google/rpc/error_details.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=deskhand");
    println!("cargo::rerun-if-changed=google");

    let mut compiler = Compiler::new(["."])?;
    compiler.include_imports(true).include_source_info(true);
    compiler.open_files(ROOTS)?;

    // protox's own encoding keeps `google.api.http`; decoded by prost_types it would be lost.
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("deskhand.fds"), compiler.encode_file_descriptor_set())?;

    let mut ours = compiler.file_descriptor_set();
    // Options are not generated; their imports stay out.
    ours.file
        .retain(|file| !matches!(file.package(), "google.api" | "google.rpc"));
    tonic_prost_build::configure().compile_fds(ours)?;
    Ok(())
}
