//! The checks, by name, and what was found.

use std::time::Duration;

use serde::{Serialize, Serializer};

/// One question that the probe asks. The order here is the order of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    SocketType,
    SocketMode,
    SocketFolder,
    SocketOwner,
    Connect,
    AuthorityLocalhost,
    AuthorityPath,
    StatusCall,
    StatusVersion,
    StatusHealthz,
    StatusKeyId,
    EncryptCall,
    EncryptKeyId,
    EncryptCiphertext,
    EncryptAnnotations,
    EncryptFresh,
    EncryptOpaque,
    DecryptCall,
    DecryptPlaintext,
    RefusesChangedCiphertext,
    RefusesChangedKeyId,
    RefusesEmptyCiphertext,
    RefusesOversizedCiphertext,
    RefusesEmptyPlaintext,
    RefusesOversizedPlaintext,
    StatusUnharmed,
    StatusStable,
    LatencyStatus,
    LatencyEncrypt,
    LatencyDecrypt,
}

/// All of them: question, name, what is checked, and the question that has to be answered well before it can be asked.
pub(crate) const QUESTIONS: [(Question, &str, &str, Option<Question>); 30] = {
    use Question as Q;
    [
        (Q::SocketType, "socket.type", "the path is a Unix socket", None),
        (Q::SocketMode, "socket.mode", "others cannot connect", Some(Q::SocketType)),
        (
            Q::SocketFolder,
            "socket.folder",
            "others cannot put a socket in its place",
            Some(Q::SocketType),
        ),
        (Q::SocketOwner, "socket.owner", "its owner is who serves it", Some(Q::SocketType)),
        (Q::Connect, "connect", "somebody accepts", None),
        (
            Q::AuthorityLocalhost,
            "authority.localhost",
            ":authority as Kubernetes >= 1.32 sends it",
            Some(Q::Connect),
        ),
        (
            Q::AuthorityPath,
            "authority.path",
            ":authority as Kubernetes < 1.32 sends it (information)",
            Some(Q::Connect),
        ),
        (Q::StatusCall, "status.call", "Status is answered", Some(Q::AuthorityLocalhost)),
        (Q::StatusVersion, "status.version", "version is v2", Some(Q::StatusCall)),
        (Q::StatusHealthz, "status.healthz", "healthz is ok", Some(Q::StatusCall)),
        (
            Q::StatusKeyId,
            "status.key_id",
            "key_id has 1 to 1024 bytes of UTF-8",
            Some(Q::StatusCall),
        ),
        (Q::EncryptCall, "encrypt.call", "32 random bytes are encrypted", Some(Q::StatusCall)),
        (Q::EncryptKeyId, "encrypt.key_id", "key_id is the one of Status", Some(Q::EncryptCall)),
        (
            Q::EncryptCiphertext,
            "encrypt.ciphertext",
            "ciphertext has 1 to 1024 bytes",
            Some(Q::EncryptCall),
        ),
        (
            Q::EncryptAnnotations,
            "encrypt.annotations",
            "keys are lower-case domain names, at most 32 KiB in all",
            Some(Q::EncryptCall),
        ),
        (
            Q::EncryptFresh,
            "encrypt.fresh",
            "the same plaintext gives another ciphertext",
            Some(Q::EncryptCall),
        ),
        (
            Q::EncryptOpaque,
            "encrypt.opaque",
            "the plaintext is nowhere in the answer",
            Some(Q::EncryptCall),
        ),
        (
            Q::DecryptCall,
            "decrypt.call",
            "what was encrypted is accepted again",
            Some(Q::EncryptCall),
        ),
        (
            Q::DecryptPlaintext,
            "decrypt.plaintext",
            "the original 32 bytes come back",
            Some(Q::DecryptCall),
        ),
        (
            Q::RefusesChangedCiphertext,
            "refuses.changed_ciphertext",
            "Decrypt with a changed byte",
            Some(Q::DecryptCall),
        ),
        (
            Q::RefusesChangedKeyId,
            "refuses.changed_key_id",
            "Decrypt under another key_id",
            Some(Q::DecryptCall),
        ),
        (
            Q::RefusesEmptyCiphertext,
            "refuses.empty_ciphertext",
            "Decrypt of nothing",
            Some(Q::DecryptCall),
        ),
        (
            Q::RefusesOversizedCiphertext,
            "refuses.oversized_ciphertext",
            "Decrypt of 1 MiB",
            Some(Q::DecryptCall),
        ),
        (
            Q::RefusesEmptyPlaintext,
            "refuses.empty_plaintext",
            "Encrypt of nothing",
            Some(Q::EncryptCall),
        ),
        (
            Q::RefusesOversizedPlaintext,
            "refuses.oversized_plaintext",
            "Encrypt of 1 MiB",
            Some(Q::EncryptCall),
        ),
        (
            Q::StatusUnharmed,
            "status.unharmed",
            "still healthy after wrong requests",
            Some(Q::StatusCall),
        ),
        (Q::StatusStable, "status.stable", "key_id is the same at the end", Some(Q::StatusCall)),
        (
            Q::LatencyStatus,
            "latency.status",
            "Status, against the 3 s of kube-apiserver",
            Some(Q::StatusCall),
        ),
        (
            Q::LatencyEncrypt,
            "latency.encrypt",
            "Encrypt, against the 3 s of kube-apiserver",
            Some(Q::EncryptCall),
        ),
        (
            Q::LatencyDecrypt,
            "latency.decrypt",
            "Decrypt, against the 3 s of kube-apiserver",
            Some(Q::DecryptCall),
        ),
    ]
};

impl Question {
    pub(crate) fn id(self) -> &'static str {
        QUESTIONS.iter().find(|(question, ..)| *question == self).map_or("", |(_, id, ..)| *id)
    }
}

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verdict {
    /// Not asked, as something before it failed or does not apply.
    Skipped,
    Ok,
    /// kube-apiserver works with it; a person should look.
    Warn,
    /// The contract is broken.
    Fail,
}

impl Verdict {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Skipped => "skipped",
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// A verdict with its reason; for anything but `Ok` the reason says what to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) verdict: Verdict,
    pub(crate) detail: String,
}

impl Finding {
    pub(crate) fn ok(detail: impl Into<String>) -> Self {
        Self { verdict: Verdict::Ok, detail: detail.into() }
    }

    pub(crate) fn warn(detail: impl Into<String>) -> Self {
        Self { verdict: Verdict::Warn, detail: detail.into() }
    }

    pub(crate) fn fail(detail: impl Into<String>) -> Self {
        Self { verdict: Verdict::Fail, detail: detail.into() }
    }

    pub(crate) fn skipped(detail: impl Into<String>) -> Self {
        Self { verdict: Verdict::Skipped, detail: detail.into() }
    }
}

/// Gathers findings while the probe goes on.
#[derive(Default)]
pub(crate) struct Findings(Vec<(Question, Finding, Option<Duration>)>);

impl Findings {
    /// Notes what an answer showed.
    pub(crate) fn note(&mut self, question: Question, finding: Finding) {
        self.0.push((question, finding, None));
    }

    /// Notes what a call showed, and how long it took.
    pub(crate) fn note_timed(&mut self, question: Question, finding: Finding, taken: Duration) {
        self.0.push((question, finding, Some(taken)));
    }

    /// Every question gets its line: what was not asked is skipped, with the reason.
    pub(crate) fn report(self, socket: String, elapsed: Duration) -> Report {
        let checks = QUESTIONS.iter().map(|&(question, id, what, needs)| {
            let found = self.0.iter().find(|(noted, ..)| *noted == question);
            let (finding, taken) = found.map_or_else(
                || (unasked(needs), None),
                |(_, finding, taken)| (finding.clone(), *taken),
            );
            Check {
                id,
                what,
                result: finding.verdict,
                detail: finding.detail,
                microseconds: taken.map(Microseconds),
            }
        });
        let checks: Vec<Check> = checks.collect();
        let result = checks.iter().map(|check| check.result).max().unwrap_or(Verdict::Skipped);
        Report { schema: SCHEMA, socket, result, microseconds: Microseconds(elapsed), checks }
    }
}

fn unasked(needs: Option<Question>) -> Finding {
    Finding::skipped(
        needs.map_or_else(|| "not reached".to_owned(), |needs| format!("needs {}", needs.id())),
    )
}

/// Names the form of the JSON; another form gets another name.
pub(crate) const SCHEMA: &str = "strongroom.dev/probe/v1";

/// What the probe found. Its JSON is an interface: fields are added, never renamed or removed under one `schema`.
///
/// ```json
/// {
///   "schema": "strongroom.dev/probe/v1",
///   "socket": "/run/strongroom/kms.sock",
///   "result": "ok",                          // the worst of the checks: ok, warn, fail
///   "microseconds": 12345,                   // for the whole probe
///   "checks": [                              // always all of them, always in this order
///     {
///       "id": "status.version",              // stable: scripts select by it
///       "what": "version is v2",
///       "result": "ok",                      // ok, warn, fail, skipped
///       "detail": "v2",                      // for people; for anything but ok it says what to do next
///       "microseconds": null                 // of the call behind the check, where there is one of its own
///     }
///   ]
/// }
/// ```
#[derive(Serialize)]
pub(crate) struct Report {
    schema: &'static str,
    pub(crate) socket: String,
    pub(crate) result: Verdict,
    pub(crate) microseconds: Microseconds,
    pub(crate) checks: Vec<Check>,
}

/// One line of the report.
#[derive(Serialize)]
pub(crate) struct Check {
    pub(crate) id: &'static str,
    pub(crate) what: &'static str,
    pub(crate) result: Verdict,
    pub(crate) detail: String,
    pub(crate) microseconds: Option<Microseconds>,
}

/// A duration, whole microseconds in JSON.
#[derive(Clone, Copy)]
pub(crate) struct Microseconds(pub(crate) Duration);

impl Serialize for Microseconds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(u64::try_from(self.0.as_micros()).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_question_stands_once_and_after_what_it_needs() {
        for (at, (question, id, what, needs)) in QUESTIONS.iter().enumerate() {
            assert!(!id.is_empty() && !what.is_empty());
            assert_eq!(
                QUESTIONS
                    .iter()
                    .filter(|(other, other_id, ..)| other == question || other_id == id)
                    .count(),
                1,
                "{id}"
            );
            if let Some(needs) = needs {
                assert!(
                    QUESTIONS[..at].iter().any(|(earlier, ..)| earlier == needs),
                    "{id} is asked before what it needs"
                );
            }
        }
    }

    #[test]
    fn what_was_not_asked_is_skipped_with_its_reason() {
        let mut findings = Findings::default();
        findings.note(Question::StatusCall, Finding::fail("no"));
        let report = findings.report("s".to_owned(), Duration::ZERO);
        assert_eq!(report.result, Verdict::Fail);
        let version = report.checks.iter().find(|check| check.id == "status.version").unwrap();
        assert_eq!(
            (version.result, version.detail.as_str()),
            (Verdict::Skipped, "needs status.call")
        );
    }
}
