//! One small file over TLS.

use std::{fs, path::Path, sync::Arc, time::Duration};

use http::{Request, Uri};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tokio_rustls::rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject as _},
};

use crate::{failure::Failure, process};

const PATIENCE: Duration = Duration::from_secs(20);

/// What lies at `url`, at most `most` bytes. Redirects are not followed: they would lead away from the name that was typed.
pub(crate) fn read(url: &str, ca: Option<&Path>, most: usize) -> Result<Vec<u8>, Failure> {
    let away = |why: String| {
        Failure::new(
            format!("{url} cannot be read"),
            why,
            "check the address, and firewalls on the way; --ca names a private authority",
        )
        .unreachable()
    };
    let uri: Uri = url.parse().map_err(|_| {
        Failure::new(
            format!("{url} is no address"),
            "it cannot be read as one",
            "write https://HOST[:PORT]/PATH",
        )
        .usage()
    })?;
    let config = config(ca)?;
    process::runtime()?.block_on(async {
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(config)
            .https_only()
            .enable_http1()
            .build();
        let client = Client::builder(TokioExecutor::new()).build::<_, Empty<&[u8]>>(connector);
        let request = Request::get(uri).header("user-agent", "strongroom").body(Empty::new());
        let request = request.map_err(|error| away(error.to_string()))?;
        let answer = async {
            let answer = client.request(request).await.map_err(|error| away(causes(&error)))?;
            if answer.status() != http::StatusCode::OK {
                return Err(away(format!("the server answered {}", answer.status())));
            }
            let body = Limited::new(answer.into_body(), most).collect().await;
            body.map(|body| body.to_bytes().to_vec()).map_err(|error| away(error.to_string()))
        };
        match tokio::time::timeout(PATIENCE, answer).await {
            Ok(answer) => answer,
            Err(_) => Err(away(format!("no answer within {PATIENCE:?}"))),
        }
    })
}

fn config(ca: Option<&Path>) -> Result<ClientConfig, Failure> {
    let mut authorities = RootCertStore::empty();
    match ca {
        None => {
            // Those that cannot be read are reported by the handshake that would need them.
            authorities.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
        Some(path) => {
            let unusable = |why: String| {
                Failure::new(
                    format!("{} has no authority in it", path.display()),
                    why,
                    "name a PEM file with its certificate",
                )
            };
            let pem = fs::read(path).map_err(|error| unusable(error.to_string()))?;
            for certificate in CertificateDer::pem_slice_iter(&pem) {
                let added = certificate.map_err(|error| unusable(error.to_string()))?;
                authorities.add(added).map_err(|error| unusable(error.to_string()))?;
            }
        }
    }
    ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map(|config| config.with_root_certificates(authorities).with_no_client_auth())
        .map_err(|error| {
            Failure::new("TLS cannot be used", error.to_string(), "this is a bug: report it")
        })
}

/// An error with what is behind it; hyper's own text says little.
fn causes(error: &dyn std::error::Error) -> String {
    let mut out = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        out = format!("{out}: {next}");
        cause = next.source();
    }
    out
}
