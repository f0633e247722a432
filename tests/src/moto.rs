//! A KMS of AWS that runs here: moto, pinned, on loopback.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::process::Process;
use crate::wait::{Look, until};
use crate::{http, port, python};

const READY: Duration = Duration::from_secs(60);

/// Any credentials will do; these are what its users have in their environment.
pub const CREDENTIALS: [(&str, &str); 3] = [
    ("AWS_ACCESS_KEY_ID", "AKIDOFTHETESTBED"),
    ("AWS_SECRET_ACCESS_KEY", "secret-of-the-testbed"),
    ("AWS_EC2_METADATA_DISABLED", "true"),
];

/// One moto. Its keys are in its memory, and gone with it.
pub struct Moto {
    port: u16,
    process: Process,
}

impl Moto {
    /// Starts it and waits until it answers.
    pub async fn start(folder: &Path) -> Result<Self> {
        let requirements = Path::new(env!("CARGO_MANIFEST_DIR")).join("aws/requirements.txt");
        let python = python::with_packages(&requirements)?;
        let port = port::free()?;
        let mut command = Command::new(python.with_file_name("moto_server"));
        command.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
        let process = Process::start("moto", command, &folder.join("moto.log"))?;
        let mut this = Self { port, process };
        until("moto answers", READY, async || {
            this.process.still_runs()?;
            Ok(match this.ask("eu-central-1", "ListKeys", &json!({})).await {
                Ok(_) => Look::Done(()),
                Err(error) => Look::NotYet(format!("{error:#}")),
            })
        })
        .await?;
        Ok(this)
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Makes a key that encrypts; returns its ARN.
    pub async fn make_key(&self, region: &str) -> Result<String> {
        let made = self.ask(region, "CreateKey", &json!({})).await?;
        let arn = made.pointer("/KeyMetadata/Arn").and_then(Value::as_str);
        arn.map(str::to_owned).context("a key without an ARN")
    }

    /// Asks it as whoever owns the account does.
    pub async fn ask(&self, region: &str, operation: &str, request: &Value) -> Result<Value> {
        let url = format!("http://127.0.0.1:{}/", self.port);
        let target = format!("TrentService.{operation}");
        // It reads the region from what would be signed, and checks no signature.
        let signed = format!(
            "AWS4-HMAC-SHA256 Credential=AKIDOFTHETESTBED/20260101/{region}/kms/aws4_request, SignedHeaders=host, Signature=00"
        );
        let headers = [("x-amz-target", target.as_str()), ("authorization", signed.as_str())];
        http::post_with(&url, &headers, request).await
    }
}
