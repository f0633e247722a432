//! The committed Rust code is what the vendored protobuf definitions generate.
//!
//! Set `UPDATE_GENERATED=1` to write it anew.

#![expect(
    clippy::disallowed_methods,
    reason = "one variable says that the file is to be written anew"
)]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{fs, path::Path};

use tonic_prost_build::Builder;

#[test]
fn committed_kms_code_is_what_the_definitions_generate() {
    // Buffers of the size of its messages.
    let server = |builder: Builder| builder.codec_path("crate::SmallMessages");
    check("kms", "api.proto", "v2.rs", server);
}

#[test]
fn committed_admin_code_is_what_the_definitions_generate() {
    check("admin", "admin.proto", "strongroom.admin.v1.rs", |builder| builder);
}

fn check(folder: &str, definition: &str, name: &str, configure: impl FnOnce(Builder) -> Builder) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let out = tempfile::tempdir().unwrap();
    let definitions = protox::compile([definition], [root.join(folder)]).unwrap();
    configure(tonic_prost_build::configure())
        .build_transport(false)
        .out_dir(out.path())
        .compile_fds(definitions)
        .unwrap();

    let generated = fs::read_to_string(out.path().join(name)).unwrap();
    let committed = root.join("src/generated").join(name);
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        fs::write(&committed, &generated).unwrap();
    }
    assert!(
        fs::read_to_string(&committed).unwrap() == generated,
        "{} is stale: run UPDATE_GENERATED=1 cargo test -p proto",
        committed.display()
    );
}
