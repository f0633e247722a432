//! The rules, each with an id that stays.

use std::fmt::Write as _;

use serde::Serialize;

use self::Severity::{Error, Warning};

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Severity {
    /// Somebody should look.
    Warning,
    /// It must not be committed.
    Error,
}

impl Severity {
    /// As it is written, also in SARIF.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Error => "error",
            Warning => "warning",
        }
    }
}

/// Something that lint looks for.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rule {
    pub(crate) id: &'static str,
    pub(crate) name: &'static str,
    pub(crate) severity: Severity,
    /// What it finds.
    pub(crate) what: &'static str,
    /// What to do next.
    pub(crate) next: &'static str,
}

const fn rule(
    id: &'static str,
    name: &'static str,
    severity: Severity,
    what: &'static str,
    next: &'static str,
) -> Rule {
    Rule { id, name, severity, what, next }
}

pub(crate) const SECRET: Rule = rule(
    "SR101",
    "plaintext-secret",
    Error,
    "a Secret in clear text, also as an item of a List",
    "seal it: strongroom seal -i FILE; if it was committed before, its values are known: change them",
);
pub(crate) const TEMPLATE: Rule = rule(
    "SR102",
    "plaintext-secret-in-template",
    Error,
    "a Secret with literal values in a file that is a template, and no YAML before it is rendered",
    "take the values out of the template, and seal them in a file of their own",
);
pub(crate) const KUSTOMIZE: Rule = rule(
    "SR103",
    "kustomize-literal",
    Error,
    "a literal of a kustomize secretGenerator, or a file of one that is here in clear text",
    "seal a Secret of this name, and list the sealed file under resources; git rm the file in clear text, and ignore it",
);
pub(crate) const HELM: Rule = rule(
    "SR104",
    "helm-value",
    Error,
    "a value of a Helm chart whose name says that it is a credential",
    "let the chart take an existing Secret (existingSecret and the like), and seal that one",
);
pub(crate) const CREDENTIAL: Rule = rule(
    "SR105",
    "credential",
    Error,
    "a credential outside of a Secret: in a ConfigMap, in a container's environment, anywhere in a manifest",
    "seal it in a Secret and refer to that (secretKeyRef); if it was committed before, it is known: change it",
);
pub(crate) const UNREAD: Rule = rule(
    "SR106",
    "not-looked-into",
    Error,
    "a file that says it has a Secret, sealed or not, and cannot be read without a guess",
    "correct it at that place, so that every reader reads it alike",
);
pub(crate) const TOO_LONG: Rule = rule(
    "SR107",
    "too-long",
    Warning,
    "a file of over 16 MiB, which is not looked into: no manifest is that long",
    "keep it elsewhere, or split it",
);
pub(crate) const PRIVATE_KEY: Rule = rule(
    "SR108",
    "private-key",
    Error,
    "a private key of Strongroom's, of a cluster, its identity or the escrow: who has it opens what is sealed for it",
    "move it out of the repository; if it was committed, make another (sealing-keys rotate, escrow new --replace), then reseal --all --fresh, and change the values",
);
pub(crate) const MALFORMED: Rule = rule(
    "SR201",
    "sealed-malformed",
    Error,
    "a sealed Secret that no cluster takes",
    "put it back as it was sealed (git log -p), or seal it anew",
);
pub(crate) const MOVED: Rule = rule(
    "SR202",
    "sealed-moved",
    Error,
    "a sealed Secret under another name, namespace, type or scope than it was sealed for: it does not open there",
    "put it back, or seal it anew for its new place",
);
pub(crate) const RENDER: Rule = rule(
    "SR203",
    "sealed-template",
    Error,
    "a template of a sealed Secret that cannot be rendered",
    "correct the template",
);
pub(crate) const STRANGER: Rule = rule(
    "SR204",
    "sealed-for-unknown-key",
    Error,
    "a sealed Secret for a key that .strongroom does not know: another cluster's, or somebody else's",
    "wrap it for those that it is to be for: strongroom reseal FILE --key FILE, or take the cluster's keys in: strongroom sealing-keys fetch",
);
pub(crate) const RETIRED: Rule = rule(
    "SR205",
    "sealed-for-retired-key",
    Error,
    "a sealed Secret for a key that is retired, and for no newer one of that cluster",
    "wrap it for the active key: strongroom reseal --all --key FILE",
);
pub(crate) const RETIRING: Rule = rule(
    "SR206",
    "sealed-for-retiring-key",
    Warning,
    "a sealed Secret for a key that is retiring, and for no newer one of that cluster",
    "wrap it for the active key before the old one is retired: strongroom reseal --all --key FILE",
);
pub(crate) const NO_ESCROW: Rule = rule(
    "SR207",
    "sealed-without-escrow",
    Error,
    "a sealed Secret with a slot that is not for the escrow key: if the clusters are lost, it is",
    "wrap it: strongroom reseal FILE --key FILE",
);
pub(crate) const LOW_ORDER: Rule = rule(
    "SR208",
    "sealed-low-order",
    Error,
    "a wrap that nobody made honestly: with its X25519 share every secret is zero",
    "look who committed it (git log -p), and seal the Secret anew",
);
pub(crate) const UNEVEN: Rule = rule(
    "SR209",
    "sealed-unevenly",
    Error,
    "a sealed Secret with slots for different recipients: some of them do not open it",
    "wrap it: strongroom reseal FILE --key FILE",
);
pub(crate) const SCOPE: Rule = rule(
    "SR210",
    "sealed-scope-changed",
    Error,
    "a sealed Secret whose scope is not the one that its values were sealed with: they do not open",
    "put the scope back, or seal the Secret anew with --scope",
);
pub(crate) const PINS: Rule = rule(
    "SR301",
    "pins-refused",
    Error,
    "a file of .strongroom that is not as its cluster signed it, or a link or another spelling in place of one",
    "look who changed it (git log -p), and put it back; or take it out, and compare the identity that is pinned then: strongroom sealing-keys fetch",
);
pub(crate) const IDENTITY: Rule = rule(
    "SR302",
    "identity-changed",
    Error,
    "a cluster's identity that is new, another one than before, or gone: who has it says whom Secrets are sealed for (--staged, --range)",
    "ask the cluster's owners whether that is theirs, or why it goes; then --accept IDENTITY, and for the hook: git config --add strongroom.accept IDENTITY",
);
pub(crate) const ESCROW: Rule = rule(
    "SR303",
    "escrow-changed",
    Error,
    "an escrow key that is new, another one than before, or gone: who has it opens whatever is sealed from now on (--staged, --range)",
    "ask who made it; then --accept KID, and for the hook: git config --add strongroom.accept KID",
);
pub(crate) const OLDER: Rule = rule(
    "SR304",
    "pins-older",
    Error,
    "a list of a cluster's keys that is older than the one before, or another one of its number (--staged, --range)",
    "take the newest: strongroom sealing-keys fetch",
);
pub(crate) const NO_REASON: Rule = rule(
    "SR901",
    "silenced-without-reason",
    Error,
    "a finding that is silenced without a reason",
    "write why: # strongroom:allow RULE the reason",
);
pub(crate) const UNUSED: Rule = rule(
    "SR902",
    "silenced-nothing",
    Warning,
    "a comment that silences a rule where it finds nothing",
    "take the comment out",
);

/// All of them, in the order of their ids.
pub(crate) const ALL: [&Rule; 24] = [
    &SECRET,
    &TEMPLATE,
    &KUSTOMIZE,
    &HELM,
    &CREDENTIAL,
    &UNREAD,
    &TOO_LONG,
    &PRIVATE_KEY,
    &MALFORMED,
    &MOVED,
    &RENDER,
    &STRANGER,
    &RETIRED,
    &RETIRING,
    &NO_ESCROW,
    &LOW_ORDER,
    &UNEVEN,
    &SCOPE,
    &PINS,
    &IDENTITY,
    &ESCROW,
    &OLDER,
    &NO_REASON,
    &UNUSED,
];

/// The table of rules, for the help.
pub(crate) fn help() -> String {
    let mut text = String::from("Rules, and what to do next:\n");
    for Rule { id, name, severity, what, next } in ALL {
        // Writing to a String does not fail.
        let _ = writeln!(text, "  {id} {name}, {}: {what}\n      {next}", severity.as_str());
    }
    text
}
