//! What operators take from `deploy/` is what the programs understand.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context as _, Result, bail};
use clap::Parser as _;
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Container, Pod},
};
use kube::api::PostParams;
use strongroomd::{
    cli,
    config::{Config, Root},
};
use testbed::{Apiserver, Cluster, StoredValue, cluster::secret_key, object, process::complete};

fn deploy(name: &str) -> Result<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy").join(name);
    fs::read_to_string(&path).with_context(|| format!("{}", path.display()))
}

/// Lines such as `# owner = 65532`, with and without their comment sign.
#[test]
fn sample_configuration_is_understood_with_every_setting() -> Result<()> {
    let text = deploy("strongroomd.toml")?;
    let sample = Config::parse(&text)?;
    assert_eq!(sample.kms.allow_uids.as_deref(), Some(&[0][..]));
    assert!(sample.kms.annotation && sample.kms.owner.is_none());

    let all = text.lines().map(|line| match line.strip_prefix("# ") {
        Some(setting) if setting.split_once(" = ").is_some_and(|(key, _)| !key.contains(' ')) => {
            setting
        }
        _ => line,
    });
    let all = Config::parse(&all.collect::<Vec<_>>().join("\n"))?;
    assert_eq!((all.kms.owner, all.kms.group), (Some(65532), Some(65532)));
    Ok(())
}

/// The root in AWS, which stands there as a comment: with its ARN, and as an alias.
#[test]
fn sample_of_a_root_in_aws_is_understood() -> Result<()> {
    let text = deploy("strongroomd.toml")?;
    let (_, after) = text.split_once("#   [[roots]]\n").context("no root in AWS")?;
    let settings: Vec<&str> = after.lines().map_while(|line| line.strip_prefix("#   ")).collect();
    assert_eq!(settings.len(), 6, "{settings:?}");
    let local = "kind = \"local\"\nfile = \"/etc/strongroom/root.key\"";
    let parse = |settings: &[&str]| Config::parse(&text.replace(local, &settings.join("\n")));
    let by_arn: Vec<&str> =
        settings.iter().filter(|line| !line.starts_with("region")).copied().collect();
    let Root::AwsKms(key) = &parse(&by_arn)?.roots[0] else { anyhow::bail!("not in AWS") };
    assert!(key.endpoint.is_some() && key.profile.as_deref() == Some("strongroom"));
    let alias = "key = \"alias/strongroom\"";
    let by_alias: Vec<&str> =
        settings.iter().map(|line| if line.starts_with("key") { alias } else { line }).collect();
    let Root::AwsKms(key) = &parse(&by_alias)?.roots[0] else { anyhow::bail!("not in AWS") };
    assert_eq!(key.key.region(), "eu-central-1");
    Ok(())
}

fn settings(unit: &str) -> Result<BTreeMap<&str, &str>> {
    unit.lines()
        .filter(|line| !line.is_empty() && !line.starts_with(['#', '[']))
        .map(|line| line.split_once('=').with_context(|| format!("no setting: {line}")))
        .collect()
}

#[test]
fn unit_starts_the_program_as_it_is_and_gives_it_little() -> Result<()> {
    let text = deploy("strongroomd.service")?;
    let settings = settings(&text)?;
    let command = settings.get("ExecStart").context("no ExecStart")?;
    cli::Args::try_parse_from(command.split_whitespace())?;

    let hardened = [
        // Whatever keeps it from starting may be over in an hour.
        ("Restart", "always"),
        ("StartLimitIntervalSec", "0"),
        ("User", "strongroom"),
        ("CapabilityBoundingSet", ""),
        ("NoNewPrivileges", "yes"),
        ("ProtectSystem", "strict"),
        ("LimitCORE", "0"),
        ("LimitMEMLOCK", "infinity"),
        ("IPAddressDeny", "any"),
        ("IPAddressAllow", "localhost"),
        ("RuntimeDirectoryMode", "0750"),
        ("StateDirectoryMode", "0700"),
    ];
    for (setting, value) in hardened {
        assert_eq!(settings.get(setting), Some(&value), "{setting}");
    }
    // The drop-in gives it a network, and takes nothing else back.
    let more = deploy("strongroomd.service.d/network.conf")?;
    let more = self::settings(&more)?;
    assert_eq!(more.keys().copied().collect::<Vec<_>>(), ["IPAddressAllow"]);
    Ok(())
}

#[test]
fn kube_apiserver_takes_the_manifests() -> Result<()> {
    testbed::run(async {
        let cluster = Cluster::empty().await?;
        let mut daemon = cluster.make_daemon("daemon")?;
        daemon.init()?;
        daemon.start().await?;
        let mut apiserver = cluster.make_apiserver("kube-apiserver")?;
        let endpoint = format!("unix://{}", daemon.socket().display());
        let config = deploy("encryption-config.yaml")?;
        assert!(config.contains("unix:///run/strongroom/kms.sock"));
        apiserver.encrypt_as(&config.replace("unix:///run/strongroom/kms.sock", &endpoint))?;
        apiserver.start().await?;
        let secret = object::secret("one", "hello");
        apiserver.secrets("default").create(&PostParams::default(), &secret).await?;
        let stored = cluster.etcd.value(&secret_key("one")).await?;
        assert_eq!(StoredValue::parse(&stored)?.provider, "strongroom");

        // What the controller-manager of a whole cluster makes, and the kubelet's own pods do without.
        let account = ["create", "serviceaccount", "default", "--namespace=kube-system"];
        complete(apiserver.kubectl()?.args(account))?;
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/static-pod.yaml");
        let answer = complete(
            apiserver
                .kubectl()?
                .args(["create", "--dry-run=server", "--validate=strict", "--output=json"])
                .arg("--filename")
                .arg(manifest),
        )?;
        let pod: Pod = serde_json::from_str(&answer)?;
        let spec = pod.spec.context("no spec")?;
        hosted_control_plane_takes_the_patch(&apiserver)?;
        let host = spec.security_context.context("no securityContext")?;
        assert_eq!(host.run_as_non_root, Some(true));
        assert_eq!(
            host.seccomp_profile.map(|profile| profile.type_),
            Some("RuntimeDefault".into())
        );
        let [container] =
            <[Container; 1]>::try_from(spec.containers).ok().context("one container")?;
        has_little(&container)
    })
}

/// A Deployment as there are some, and what the patch makes of it.
fn hosted_control_plane_takes_the_patch(apiserver: &Apiserver) -> Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/hosted-control-plane");
    complete(apiserver.kubectl()?.args(["create", "namespace", "control-planes"]))?;
    let create = ["create", "--validate=strict", "--filename"];
    complete(apiserver.kubectl()?.args(create).arg(folder.join("service-account.yaml")))?;
    let deployment = ["create", "deployment", "kube-apiserver", "--image=kube-apiserver"];
    complete(apiserver.kubectl()?.args(deployment).arg("--namespace=control-planes"))?;
    let patched = complete(
        apiserver
            .kubectl()?
            .args(["patch", "deployment", "kube-apiserver", "--namespace=control-planes"])
            .args(["--dry-run=server", "--output=json", "--patch-file"])
            .arg(folder.join("kube-apiserver-patch.yaml")),
    )?;
    let patched: Deployment = serde_json::from_str(&patched)?;
    let pod = patched.spec.and_then(|spec| spec.template.spec).context("no pod")?;
    assert_eq!(pod.service_account_name.as_deref(), Some("strongroomd"));
    let mounts = |container: &Container| -> Vec<String> {
        container.volume_mounts.iter().flatten().map(|mount| mount.name.clone()).collect()
    };
    let [sidecar] = &pod.init_containers.unwrap_or_default()[..] else { bail!("one sidecar") };
    let [server] = &pod.containers[..] else { bail!("one kube-apiserver") };
    assert_eq!(server.image.as_deref(), Some("kube-apiserver"), "it is the one that was there");
    assert_eq!(sidecar.restart_policy.as_deref(), Some("Always"));
    let volumes: Vec<String> = pod.volumes.into_iter().flatten().map(|it| it.name).collect();
    assert_eq!(mounts(sidecar), volumes);
    assert_eq!(mounts(server), ["strongroom-config", "strongroom-socket"]);
    has_little(sidecar)
}

fn has_little(container: &Container) -> Result<()> {
    let security = container.security_context.clone().context("no securityContext")?;
    assert_eq!(security.read_only_root_filesystem, Some(true));
    assert_eq!(security.allow_privilege_escalation, Some(false));
    let dropped = security.capabilities.and_then(|capabilities| capabilities.drop);
    assert_eq!(dropped, Some(vec!["ALL".to_owned()]));
    let arguments = container.args.clone().context("no args")?;
    cli::Args::try_parse_from(std::iter::once("strongroomd".to_owned()).chain(arguments))?;
    Ok(())
}
