//! What operators watch with is what strongroomd exports.

use std::{collections::BTreeSet, fs, path::PathBuf, process::Command};

use anyhow::{Context as _, Result};
use envelope::{KeyId, RootId};
use serde_json::Value;
use strongroomd::{
    metrics::{Load, Metrics, Refused, Sync},
    rotation::Phase,
};
use testbed::{debian, folder::Folder, process::complete};

/// What alerts must fire on, in the form of `promtool test rules`.
const CASES: &str = r#"
rule_files: [RULES]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series:
      - series: 'strongroom_rotation_waits{instance="cp-0"}'
        values: '1x200'
      - series: 'strongroom_ledger_up{instance="cp-0"}'
        values: '1x200'
      - series: 'strongroom_rotation_leader{instance="cp-0"}'
        values: '1x200'
      - series: 'strongroom_root_up{instance="cp-0", root="a1"}'
        values: '1x10 0x190'
      - series: 'strongroom_root_ends_timestamp_seconds{instance="cp-0", root="a1"}'
        values: '_x20 1800000000x180'
      - series: 'strongroom_roots_away{instance="cp-0"}'
        values: '0x20 1x180'
      - series: 'strongroom_kms_key_id_hash{instance="cp-0", key_id_hash="sha256:new"}'
        values: '1x200'
      - series: 'strongroom_kms_key_id_hash{instance="cp-1", key_id_hash="sha256:old"}'
        values: '1x200'
    alert_rule_test:
      - { eval_time: 100m, alertname: StrongroomRotationStuck, exp_alerts: [] }
      - eval_time: 130m
        alertname: StrongroomRotationStuck
        exp_alerts:
          - exp_labels: { severity: warning }
            exp_annotations:
              summary: a rotation has waited for two hours
              description: strongroom rotate status names what it waits for and the exact command that unblocks it.
      - { eval_time: 130m, alertname: StrongroomNoLeader, exp_alerts: [] }
      - { eval_time: 130m, alertname: StrongroomLedgerDown, exp_alerts: [] }
      - eval_time: 30m
        alertname: StrongroomRootDown
        exp_alerts:
          - exp_labels: { severity: critical, instance: cp-0, root: a1 }
            exp_annotations:
              summary: root key a1 does not work on cp-0
              description: The keys in memory go on serving, and a restart of strongroomd would not load them. Its /readyz says what is wrong with the root key.
      - { eval_time: 15m, alertname: StrongroomRootEnds, exp_alerts: [] }
      - eval_time: 25m
        alertname: StrongroomRootEnds
        exp_alerts:
          - exp_labels: { severity: critical, instance: cp-0, root: a1 }
            exp_annotations:
              summary: root key a1 will be destroyed at 2027-01-15 08:00:00 +0000 UTC
              description: "What only it opens is lost with it, backups of etcd included. If nobody meant that: aws kms cancel-key-deletion --key-id ARN, then aws kms enable-key --key-id ARN; where imported material expires, import it again. /readyz of strongroomd on cp-0 says which."
      - { eval_time: 25m, alertname: StrongroomRootAway, exp_alerts: [] }
      - eval_time: 40m
        alertname: StrongroomRootAway
        exp_alerts:
          - exp_labels: { severity: warning, instance: cp-0 }
            exp_annotations:
              summary: 1 of the root keys of cp-0 could not be opened
              description: Others open everything; rotation waits, because a new key version is wrapped under all of them. Its /readyz says which root key, and what to do; it is taken back by itself.
      - eval_time: 30m
        alertname: StrongroomKeysDiffer
        exp_alerts:
          - exp_labels: { severity: warning }
            exp_annotations:
              summary: replicas serve different key versions
              description: A rotation has not reached all of them. strongroom rotate status names who is missing, and the command that helps.
"#;

#[test]
fn alert_rules_are_rules_and_fire_when_they_should() -> Result<()> {
    if Command::new("promtool").arg("--version").output().is_err() {
        debian::install("prometheus")?;
    }
    let rules = deploy("prometheus-rules.yaml");
    complete(Command::new("promtool").args(["check", "rules"]).arg(&rules))?;
    let folder = Folder::make()?;
    let cases = folder.path().join("cases.yaml");
    fs::write(&cases, CASES.replace("RULES", &rules.display().to_string()))?;
    complete(Command::new("promtool").args(["test", "rules"]).arg(&cases)).map(drop)
}

#[test]
fn every_metric_that_is_watched_is_exported() -> Result<()> {
    let metrics = Metrics::new();
    // A family is written once it has a series.
    metrics.load(Load::Refused);
    metrics.peer_refused(Refused::Identity);
    metrics.serving(1, &KeyId::parse("etcd/v1/000000000000")?);
    metrics.probe(RootId::parse("000000000000")?, Ok(&()));
    metrics.root_ends(RootId::parse("000000000000")?, Some(1));
    metrics.synced(Sync::Done);
    metrics.rotation(Phase::Idle, 0);
    let exported = metrics.render()?;
    // A counter is written with _total, a histogram with _bucket.
    let families: BTreeSet<&str> = exported
        .lines()
        .filter_map(|line| line.strip_prefix("# HELP ")?.split_whitespace().next())
        .collect();
    let dashboard = fs::read_to_string(deploy("grafana-dashboard.json"))?;
    let panels: Value = serde_json::from_str(&dashboard)?;
    assert!(panels.pointer("/panels/9").is_some(), "it has panels");
    let watched = [dashboard, fs::read_to_string(deploy("prometheus-rules.yaml"))?].concat();
    let mut seen = 0;
    for word in watched.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')) {
        let Some(name) = word.strip_prefix("strongroom_").map(|_| word) else { continue };
        let family = ["_total", "_bucket"].iter().find_map(|end| name.strip_suffix(end));
        assert!(families.contains(family.unwrap_or(name)), "{name} is not exported");
        seen += 1;
    }
    assert!(seen > 20, "{seen} uses of metrics");
    Ok(())
}

#[test]
fn reading_metrics_takes_one_right_and_no_more() -> Result<()> {
    let text = fs::read_to_string(deploy("apiserver-metrics-rbac.yaml"))?;
    let role = text.split("---").find(|part| part.contains("kind: ClusterRole\n"));
    let role = role.context("no ClusterRole")?;
    let rules = role.split_once("rules:\n").context("no rules")?.1;
    assert_eq!(rules.trim(), "- nonResourceURLs: [\"/metrics\"]\n    verbs: [\"get\"]");
    Ok(())
}

fn deploy(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy")).join(name)
}
