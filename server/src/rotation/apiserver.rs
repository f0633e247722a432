use std::{path::Path, time::Duration};

use futures_util::future::join_all;
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use tokio::time::timeout;

use super::Apiserver;
use crate::config;

/// How long one apiserver may take to show its metrics.
const DEADLINE: Duration = Duration::from_secs(5);
/// When each key id was last named by Status, as kube-apiserver counts it (KMS-V2, "Metrics of the apiserver to rely on").
const NAMED: &str = "apiserver_envelope_encryption_key_id_hash_status_last_timestamp_seconds";
/// How many objects it stores of each resource: `apiserver_resource_objects` since 1.34, the other one before.
const OBJECTS: [&str; 2] = ["apiserver_resource_objects", "apiserver_storage_objects"];

/// Reads the metrics of the configured apiservers.
#[derive(Debug, Clone, Default)]
pub struct Scraper {
    apiservers: Vec<config::Apiserver>,
    resources: Vec<String>,
}

impl Scraper {
    /// These apiservers; objects of these resources are counted.
    #[must_use]
    pub fn new(apiservers: Vec<config::Apiserver>, resources: Vec<String>) -> Self {
        Self { apiservers, resources }
    }

    /// What each of them says now. One that cannot be read says why.
    pub async fn look(&self) -> Vec<Apiserver> {
        join_all(self.apiservers.iter().map(|apiserver| self.scrape(apiserver))).await
    }

    async fn scrape(&self, apiserver: &config::Apiserver) -> Apiserver {
        let text = timeout(DEADLINE, metrics(apiserver))
            .await
            .unwrap_or_else(|_| Err(format!("no answer within {} seconds", DEADLINE.as_secs())));
        let name = apiserver.name.clone();
        match text {
            Err(why) => Apiserver { name, key_id_hash: Err(why), objects: None },
            Ok(text) => Apiserver {
                name,
                key_id_hash: newest_hash(&text).ok_or_else(|| {
                    format!("it does not export {NAMED}: does it use the KMS v2 provider?")
                }),
                objects: objects(&text, &self.resources),
            },
        }
    }
}

async fn metrics(apiserver: &config::Apiserver) -> Result<String, String> {
    let mut config = match &apiserver.kubeconfig {
        Some(file) => kubeconfig(file).await?,
        None => Config::incluster().map_err(|error| error.to_string())?,
    };
    if let Some(url) = &apiserver.url {
        config.cluster_url = url.parse().map_err(|error| format!("url {url}: {error}"))?;
    }
    config.connect_timeout = Some(DEADLINE);
    config.read_timeout = Some(DEADLINE);
    let client = Client::try_from(config).map_err(|error| error.to_string())?;
    let request = http::Request::get("/metrics").body(Vec::new()).map_err(|e| e.to_string())?;
    client.request_text(request).await.map_err(|error| match error {
        kube::Error::Api(status) if status.code == 403 => {
            "it refuses us its metrics: apply deploy/apiserver-metrics-rbac.yaml".into()
        }
        error => error.to_string(),
    })
}

async fn kubeconfig(file: &Path) -> Result<Config, String> {
    let named = |error: kube::config::KubeconfigError| format!("{}: {error}", file.display());
    let kubeconfig = Kubeconfig::read_from(file).map_err(named)?;
    Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.map_err(named)
}

/// The hash that Status named last; earlier ones stay in the text with their older times.
fn newest_hash(text: &str) -> Option<String> {
    let named =
        series(text, NAMED).filter_map(|(labels, at)| Some((label(labels, "key_id_hash")?, at)));
    named.max_by(|(_, a), (_, b)| a.total_cmp(b)).map(|(hash, _)| hash.to_owned())
}

fn objects(text: &str, resources: &[String]) -> Option<u64> {
    OBJECTS.iter().find_map(|name| {
        let counted = series(text, name).filter(|(labels, _)| {
            label(labels, "resource").is_some_and(|of| resources.iter().any(|wanted| wanted == of))
        });
        // 0 and -1 are also what it says before it has counted, which it does once a minute.
        counted.map(|(_, count)| count.max(0.0) as u64).reduce(|a, b| a + b).filter(|all| *all > 0)
    })
}

/// Labels and value of each series of this name. Of the text format (Prometheus, 0.0.4) this is what two metrics without
/// escapes need: hashes and names of resources.
fn series<'a>(text: &'a str, name: &str) -> impl Iterator<Item = (&'a str, f64)> {
    text.lines().filter_map(move |line| {
        let (labels, value) = line.strip_prefix(name)?.strip_prefix('{')?.split_once('}')?;
        Some((labels, value.split_whitespace().next()?.parse().ok()?))
    })
}

fn label<'a>(labels: &'a str, name: &str) -> Option<&'a str> {
    labels
        .split(',')
        .find_map(|pair| pair.strip_prefix(name)?.strip_prefix("=\"")?.strip_suffix('"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
# TYPE apiserver_envelope_encryption_key_id_hash_status_last_timestamp_seconds gauge
apiserver_envelope_encryption_key_id_hash_status_last_timestamp_seconds{apiserver_id_hash=\"sha256:a\",key_id_hash=\"sha256:old\",provider_name=\"strongroom\"} 1.7e+09
apiserver_envelope_encryption_key_id_hash_status_last_timestamp_seconds{apiserver_id_hash=\"sha256:a\",key_id_hash=\"sha256:new\",provider_name=\"strongroom\"} 1.70000006e+09
apiserver_resource_objects{group=\"\",resource=\"secrets\"} 12
apiserver_resource_objects{group=\"\",resource=\"configmaps\"} 3
apiserver_resource_objects{group=\"\",resource=\"pods\"} 99
";

    #[test]
    fn the_hash_that_was_named_last_counts() {
        assert_eq!(newest_hash(TEXT).as_deref(), Some("sha256:new"));
        assert_eq!(newest_hash("other 1\n"), None);
    }

    #[test]
    fn objects_of_the_encrypted_resources_are_counted() {
        let resources = ["secrets".to_owned(), "configmaps".to_owned()];
        assert_eq!(objects(TEXT, &resources), Some(15));
        assert_eq!(
            objects(&TEXT.replace("resource_objects", "storage_objects"), &resources),
            Some(15)
        );
        assert_eq!(objects("", &resources), None);
    }
}
