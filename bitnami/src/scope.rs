const CLUSTER_WIDE: &str = "sealedsecrets.bitnami.com/cluster-wide";
const NAMESPACE_WIDE: &str = "sealedsecrets.bitnami.com/namespace-wide";

/// Where a value opens. It is bound to a value as the label of RSA-OAEP.
///
/// | scope | label |
/// |---|---|
/// | strict | namespace `/` name |
/// | namespace | namespace |
/// | cluster | nothing |
///
/// The data key is in none of them: every value of one object opens under each of its data keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope<'a> {
    /// In one Secret.
    Strict {
        /// `metadata.namespace`
        namespace: &'a str,
        /// `metadata.name`
        name: &'a str,
    },
    /// In every Secret of one namespace.
    Namespace {
        /// `metadata.namespace`
        namespace: &'a str,
    },
    /// Everywhere in the cluster.
    Cluster,
}

impl<'a> Scope<'a> {
    /// The scope of an object, from `annotation`, which looks one up by its name.
    ///
    /// To open a SealedSecret, the annotations are those of its own `metadata`: their controller does not look into
    /// `spec.template` for this. To seal a Secret, they are the Secret's. Only the exact text `true` counts, and
    /// cluster-wide wins over namespace-wide.
    #[must_use]
    pub fn from_annotations<'b>(
        annotation: impl Fn(&str) -> Option<&'b str>,
        namespace: &'a str,
        name: &'a str,
    ) -> Self {
        if annotation(CLUSTER_WIDE) == Some("true") {
            Self::Cluster
        } else if annotation(NAMESPACE_WIDE) == Some("true") {
            Self::Namespace { namespace }
        } else {
            Self::Strict { namespace, name }
        }
    }

    /// The annotation that says this scope, with the value `true`; none for strict. An object has no other of the two.
    #[must_use]
    pub fn annotation(&self) -> Option<&'static str> {
        match self {
            Self::Strict { .. } => None,
            Self::Namespace { .. } => Some(NAMESPACE_WIDE),
            Self::Cluster => Some(CLUSTER_WIDE),
        }
    }

    /// The label, or `None` for what no Kubernetes object can be named: an empty namespace would turn the scope of a
    /// namespace into that of the cluster, and a `/` would let one label mean two places.
    pub(crate) fn label(&self) -> Option<Vec<u8>> {
        let part = |text: &'a str| (!text.is_empty() && !text.contains('/')).then_some(text);
        let label = match *self {
            Self::Strict { namespace, name } => format!("{}/{}", part(namespace)?, part(name)?),
            Self::Namespace { namespace } => part(namespace)?.to_owned(),
            Self::Cluster => String::new(),
        };
        Some(label.into_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STRICT: Scope<'_> = Scope::Strict { namespace: "prod", name: "db" };
    const NAMESPACE: Scope<'_> = Scope::Namespace { namespace: "prod" };

    #[track_caller]
    fn check(annotations: &[(&str, &'static str)], expected: Scope<'_>) {
        let annotation =
            |name: &str| annotations.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
        assert_eq!(Scope::from_annotations(annotation, "prod", "db"), expected, "{annotations:?}");
    }

    #[test]
    fn annotations_choose_the_scope() {
        check(&[], STRICT);
        check(&[("sealedsecrets.bitnami.com/managed", "true")], STRICT);
        check(&[(NAMESPACE_WIDE, "true")], NAMESPACE);
        check(&[(CLUSTER_WIDE, "true")], Scope::Cluster);
        check(&[(NAMESPACE_WIDE, "true"), (CLUSTER_WIDE, "true")], Scope::Cluster);
        check(&[(NAMESPACE_WIDE, "true"), (CLUSTER_WIDE, "false")], NAMESPACE);
        for not_true in ["", "false", "True", "TRUE", "1", "yes", " true"] {
            check(&[(NAMESPACE_WIDE, not_true)], STRICT);
            check(&[(CLUSTER_WIDE, not_true)], STRICT);
        }
    }

    #[test]
    fn a_scope_is_read_back_from_its_annotation() {
        for scope in [STRICT, NAMESPACE, Scope::Cluster] {
            let written = scope.annotation();
            let annotation = |name: &str| (written == Some(name)).then_some("true");
            assert_eq!(Scope::from_annotations(annotation, "prod", "db"), scope);
        }
    }

    #[test]
    fn a_label_means_one_place() {
        let label = |scope: Scope<'_>| scope.label().map(|label| String::from_utf8(label).unwrap());
        assert_eq!(label(STRICT).as_deref(), Some("prod/db"));
        assert_eq!(label(NAMESPACE).as_deref(), Some("prod"));
        assert_eq!(label(Scope::Cluster).as_deref(), Some(""));
        for nowhere in ["", "a/b", "/"] {
            assert_eq!(label(Scope::Namespace { namespace: nowhere }), None);
            assert_eq!(label(Scope::Strict { namespace: nowhere, name: "db" }), None);
            assert_eq!(label(Scope::Strict { namespace: "prod", name: nowhere }), None);
        }
    }
}
