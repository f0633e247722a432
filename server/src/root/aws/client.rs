use std::time::Duration;

use aws_config::{BehaviorVersion, Region};
use aws_sdk_kms::{
    Client,
    config::{
        Builder,
        retry::{RetryConfig, RetryPartition},
        timeout::TimeoutConfig,
    },
};
use aws_smithy_http_client::{
    Builder as HttpBuilder,
    tls::{Provider, rustls_provider::CryptoMode},
};

use crate::config::AwsKms;

/// One operation with all its retries: shorter than a caller waits for a root.
const OPERATION: Duration = Duration::from_millis(3500);
/// One attempt, credentials included.
const ATTEMPT: Duration = Duration::from_millis(1500);
const CONNECT: Duration = Duration::from_secs(1);
/// What an answer left in the buffers of a connection goes with the connection.
const IDLE: Duration = Duration::from_secs(5);

/// A client of the region that answers for the key, with credentials by the chain of the SDK: environment, profile, web
/// identity (IRSA), container (EKS pod identity, ECS), instance (IMDSv2). Asks nobody yet.
pub(super) async fn connect(configured: &AwsKms) -> Client {
    let http = HttpBuilder::new()
        .pool_idle_timeout(IDLE)
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .build_https();
    let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
        .http_client(http)
        .region(Region::new(configured.key.region().to_owned()));
    if configured.fips {
        loader = loader.use_fips(true);
    }
    if let Some(profile) = &configured.profile {
        loader = loader.profile_name(profile);
    }
    let shared = loader.load().await;
    let mut builder = bounded(Builder::from(&shared));
    // Where keys are sent to stands in our configuration, and in no variable of the environment.
    builder.set_endpoint_url(configured.endpoint.clone());
    Client::from_conf(builder.build())
}

/// Retries and deadlines of every client. Not the adaptive mode: it would hold back whatever comes after one throttled call
/// (docs/decisions/0015).
pub(super) fn bounded(builder: Builder) -> Builder {
    let retries = RetryConfig::standard()
        .with_max_attempts(3)
        .with_initial_backoff(Duration::from_millis(100))
        .with_max_backoff(Duration::from_secs(1));
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT)
        .operation_attempt_timeout(ATTEMPT)
        .operation_timeout(OPERATION)
        .build();
    // Roots share nothing: what one used up of its retries is not missing to another.
    let own = RetryPartition::custom("strongroom root").build();
    builder.retry_config(retries).retry_partition(own).timeout_config(timeouts)
}
