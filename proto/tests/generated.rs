//! The committed Rust code is what the vendored protobuf definitions generate.
//!
//! Set `UPDATE_GENERATED=1` to write it anew.

#![expect(
    clippy::disallowed_methods,
    reason = "one variable says that the file is to be written anew"
)]

use std::{fs, path::Path};

#[test]
fn committed_code_is_what_the_definitions_generate() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let out = tempfile::tempdir().unwrap();
    let definitions = protox::compile(["api.proto"], [root.join("kms")]).unwrap();
    tonic_prost_build::configure()
        .build_transport(false)
        .codec_path("crate::SmallMessages")
        .out_dir(out.path())
        .compile_fds(definitions)
        .unwrap();

    let generated = fs::read_to_string(out.path().join("v2.rs")).unwrap();
    let committed = root.join("src/generated/v2.rs");
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        fs::write(&committed, &generated).unwrap();
    }
    assert!(
        fs::read_to_string(&committed).unwrap() == generated,
        "{} is stale: run UPDATE_GENERATED=1 cargo test -p proto",
        committed.display()
    );
}
