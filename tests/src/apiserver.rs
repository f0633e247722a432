//! One kube-apiserver.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use http::{Request, StatusCode};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::client::Body;
use kube::config::AuthInfo;
use kube::{Api, Client, Config, Resource};
use serde_json::json;

use crate::certs::Certs;
use crate::encryption::Encryption;
use crate::metrics::Metrics;
use crate::port;
use crate::process::Process;
use crate::programs::Programs;
use crate::wait::{Look, until};

const READY: Duration = Duration::from_secs(60);

/// Keeps its port, certificates and log over restarts.
pub struct Apiserver {
    name: String,
    url: String,
    folder: PathBuf,
    certs: Arc<Certs>,
    arguments: Vec<String>,
    encrypts: bool,
    client: Client,
    process: Option<Process>,
}

impl Apiserver {
    /// Prepares one over the etcd at `etcd`; nothing runs yet.
    pub fn make(name: &str, folder: &Path, etcd: &str, certs: Arc<Certs>) -> Result<Self> {
        let port = port::free()?;
        let url = format!("https://127.0.0.1:{port}");
        let arguments = arguments(etcd, port, &certs)?;
        let client = client(&url, &certs)?;
        let folder = folder.to_owned();
        let name = name.to_owned();
        Ok(Self { name, url, folder, certs, arguments, encrypts: false, client, process: None })
    }

    /// Encrypts from the next start on.
    pub fn encrypt(&mut self, encryption: &Encryption) -> Result<()> {
        encryption.write(&self.folder.join("encryption-config.json"))?;
        self.encrypts = true;
        Ok(())
    }

    /// Encrypts from the next start on, as this EncryptionConfiguration has it.
    pub fn encrypt_as(&mut self, text: &str) -> Result<()> {
        std::fs::write(self.folder.join("encryption-config.json"), text)?;
        self.encrypts = true;
        Ok(())
    }

    /// Starts the program and does not wait.
    pub fn launch(&mut self) -> Result<()> {
        ensure!(self.process.is_none(), "{} already runs", self.name);
        let mut command = Command::new(Programs::find()?.kube_apiserver());
        command.args(&self.arguments).current_dir(&self.folder);
        if self.encrypts {
            let file = self.folder.join("encryption-config.json");
            command.arg("--encryption-provider-config").arg(file);
        }
        // Connections of the last life are of no use.
        self.client = client(&self.url, &self.certs)?;
        self.process = Some(Process::start(&self.name, command, &self.log())?);
        Ok(())
    }

    /// Starts the program and waits until it is ready.
    pub async fn start(&mut self) -> Result<()> {
        self.launch()?;
        self.wait_ready().await
    }

    /// SIGKILL.
    pub fn kill(&mut self) -> Result<()> {
        self.process.take().context("the apiserver does not run")?.kill()
    }

    /// A new process with empty caches, ready.
    pub async fn restart(&mut self) -> Result<()> {
        self.kill()?;
        self.start().await
    }

    /// Waits until `/readyz` is content.
    pub async fn wait_ready(&mut self) -> Result<()> {
        let what = format!("{} is ready", self.name);
        until(&what, READY, async || {
            self.still_runs()?;
            Ok(match self.text("/readyz?verbose").await {
                Ok((StatusCode::OK, _)) => Look::Done(()),
                Ok((status, text)) => Look::NotYet(format!("{status} {}", failing(&text))),
                Err(error) => Look::NotYet(format!("{error:#}")),
            })
        })
        .await
    }

    /// Fails when the program has ended by itself.
    pub fn still_runs(&mut self) -> Result<()> {
        self.process.as_mut().context("the apiserver does not run")?.still_runs()
    }

    /// The checks of `/readyz` that fail; empty when it is ready.
    pub async fn unready(&self) -> Result<String> {
        let (status, text) = self.text("/readyz?verbose").await?;
        Ok(if status == StatusCode::OK { String::new() } else { failing(&text) })
    }

    /// What it counts.
    pub async fn metrics(&self) -> Result<Metrics> {
        Ok(Metrics::new(self.text("/metrics").await?.1))
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where clients reach it.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its process id, while it runs.
    pub fn id(&self) -> Option<u32> {
        self.process.as_ref().map(Process::id)
    }

    /// The log of all its lives.
    pub fn log(&self) -> PathBuf {
        self.folder.join("kube-apiserver.log")
    }

    /// An administrator's client; nothing is retried behind the test's back.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// Secrets of a namespace.
    pub fn secrets(&self, namespace: &str) -> Api<Secret> {
        self.api(namespace)
    }

    /// ConfigMaps of a namespace.
    pub fn config_maps(&self, namespace: &str) -> Api<ConfigMap> {
        self.api(namespace)
    }

    /// `kubectl` as an administrator.
    pub fn kubectl(&self) -> Result<Command> {
        let mut command = Command::new(Programs::find()?.kubectl());
        command
            .current_dir(&self.folder)
            // No file of the user's own is read.
            .env("KUBECONFIG", "/dev/null")
            .arg(format!("--server={}", self.url))
            .arg(format!("--certificate-authority={}", self.certs.authority.display()))
            .arg(format!("--client-certificate={}", self.certs.client.display()))
            .arg(format!("--client-key={}", self.certs.client_key.display()))
            .arg(format!("--cache-dir={}", self.folder.join("kubectl-cache").display()));
        Ok(command)
    }

    /// A kubeconfig of an administrator, for programs that take one.
    pub fn kubeconfig(&self) -> Result<PathBuf> {
        let path = self.folder.join("kubeconfig.json");
        let text = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "contexts": [{ "name": "test", "context": { "cluster": "test", "user": "test" } }],
            "clusters": [{ "name": "test", "cluster": {
                "server": self.url, "certificate-authority": self.certs.authority,
            } }],
            "users": [{ "name": "test", "user": {
                "client-certificate": self.certs.client, "client-key": self.certs.client_key,
            } }],
        });
        std::fs::write(&path, text.to_string()).context("the kubeconfig")?;
        Ok(path)
    }

    /// The status and text of a path.
    pub async fn text(&self, path: &str) -> Result<(StatusCode, String)> {
        let request = Request::get(path).body(Body::empty())?;
        let answer = self.client.send(request).await?;
        let status = answer.status();
        let bytes = answer.into_body().collect_bytes().await?;
        Ok((status, String::from_utf8_lossy(&bytes).into_owned()))
    }

    fn api<K>(&self, namespace: &str) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), namespace)
    }
}

fn arguments(etcd: &str, port: u16, certs: &Certs) -> Result<Vec<String>> {
    let path = |path: &Path| {
        path.to_str().map(str::to_owned).with_context(|| format!("{} is not text", path.display()))
    };
    let pairs = [
        ("etcd-servers", etcd.to_owned()),
        ("bind-address", "127.0.0.1".to_owned()),
        ("advertise-address", "127.0.0.1".to_owned()),
        ("secure-port", port.to_string()),
        ("tls-cert-file", path(&certs.serving)?),
        ("tls-private-key-file", path(&certs.serving_key)?),
        ("client-ca-file", path(&certs.authority)?),
        ("authorization-mode", "RBAC".to_owned()),
        ("service-account-issuer", "https://kubernetes.default.svc".to_owned()),
        ("service-account-key-file", path(&certs.service_account_public)?),
        ("service-account-signing-key-file", path(&certs.service_account_key)?),
        ("service-cluster-ip-range", "10.0.0.0/24".to_owned()),
        // Loopback cannot be the endpoint of the service `kubernetes`, and nothing here asks for it.
        ("endpoint-reconciler-type", "none".to_owned()),
    ];
    Ok(pairs.into_iter().map(|(name, value)| format!("--{name}={value}")).collect())
}

fn client(url: &str, certs: &Certs) -> Result<Client> {
    let mut config = Config::new(url.parse()?);
    config.root_cert = Some(vec![certs.authority_der.clone()]);
    config.auth_info = AuthInfo {
        client_certificate: Some(certs.client.display().to_string()),
        client_key: Some(certs.client_key.display().to_string()),
        ..AuthInfo::default()
    };
    config.read_timeout = Some(READY);
    config.default_retry = false;
    Client::try_from(config).context("no client for the apiserver")
}

fn failing(text: &str) -> String {
    text.lines().filter(|line| line.starts_with("[-]")).collect::<Vec<_>>().join("; ")
}
