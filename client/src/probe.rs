//! `strongroom probe`: does to a plugin what kube-apiserver would do, and more, and checks every answer against the contract of KMS v2.
//!
//! Promise: it changes nothing. What it encrypts is random, marked as a probe's, and thrown away.

mod authority;
mod calls;
pub(crate) mod check;
mod contract;
mod table;

use std::time::{Duration, Instant};

use proto::kms::DecryptResponse;

use self::{
    calls::{CallError, EncryptAnswer, Plugin, StatusAnswer, Timed},
    check::{Finding, Findings, Question},
    contract::Accepted,
};
pub(crate) use self::{check::Report, table::render};
use crate::{
    failure::Failure,
    socket::{Address, Unreachable, listener},
};

/// 32 bytes, as a seed of kube-apiserver; the first half says where they come from, so that a leak of them alarms nobody.
pub(crate) struct Seed([u8; 32]);

impl Seed {
    /// Marks the randomness that the caller drew.
    pub(crate) fn mark(random: [u8; 16]) -> Self {
        let mut seed = [0; 32];
        let (mark, rest) = seed.split_at_mut(MARK.len());
        mark.copy_from_slice(MARK);
        rest.copy_from_slice(&random);
        Self(seed)
    }
}

const MARK: &[u8; 16] = b"strongroom probe";
const MEBIBYTE: usize = 1 << 20;

/// Probes the plugin. Whoever cannot be reached at all is reported too, with the reason beside it.
pub(crate) async fn probe(
    address: &Address,
    seed: &Seed,
    timeout: Duration,
) -> (Report, Option<Failure>) {
    let start = Instant::now();
    let mut probe = Probe {
        findings: Findings::default(),
        plugin: Plugin::new(address, timeout),
        latency: Latency::default(),
    };
    let reached = probe.reach(address, timeout).await;
    if reached.is_ok() {
        probe.findings.note(Question::AuthorityPath, authority::ask(address, timeout).await);
        probe.plugin(seed).await;
    }
    let report = probe.findings.report(address.to_string(), start.elapsed());
    (report, reached.err())
}

struct Probe {
    findings: Findings,
    plugin: Plugin,
    latency: Latency,
}

/// The slowest call of each method that was answered.
#[derive(Default)]
struct Latency {
    status: Duration,
    encrypt: Duration,
    decrypt: Duration,
}

impl Probe {
    /// The file, its modes, and a first connection.
    async fn reach(&mut self, address: &Address, timeout: Duration) -> Result<(), Failure> {
        let facts = match address.facts() {
            Ok(facts) => facts,
            Err(unreachable) => return Err(self.unreached(Question::SocketType, &unreachable)),
        };
        let start = Instant::now();
        let connected = address.connect(timeout).await;
        let taken = start.elapsed();
        let Some(facts) = facts else {
            for question in [
                Question::SocketType,
                Question::SocketMode,
                Question::SocketFolder,
                Question::SocketOwner,
            ] {
                self.findings.note(
                    question,
                    Finding::skipped(
                        "an abstract socket has no file: only the plugin can check who connects",
                    ),
                );
            }
            return self.connected(connected.map(drop), taken);
        };
        self.findings.note(Question::SocketType, Finding::ok("a Unix socket"));
        self.findings.note(Question::SocketMode, contract::mode(facts));
        self.findings.note(Question::SocketFolder, contract::folder(facts));
        let listener = connected.as_ref().ok().and_then(listener);
        self.findings.note(
            Question::SocketOwner,
            contract::owner(facts, listener.map(|listener| listener.uid())),
        );
        self.connected(connected.map(drop), taken)
    }

    fn connected(
        &mut self,
        connected: Result<(), Unreachable>,
        taken: Duration,
    ) -> Result<(), Failure> {
        match connected {
            Ok(()) => {
                self.findings.note_timed(Question::Connect, Finding::ok("accepted"), taken);
                Ok(())
            }
            Err(unreachable) => Err(self.unreached(Question::Connect, &unreachable)),
        }
    }

    fn unreached(&mut self, question: Question, unreachable: &Unreachable) -> Failure {
        let failure = unreachable.explain();
        let detail =
            format!("{}: {}; {}", failure.what, failure.why, failure.next).replace('\n', " ");
        self.findings.note(question, Finding::fail(detail));
        failure
    }

    /// Everything that is asked over gRPC.
    async fn plugin(&mut self, seed: &Seed) {
        let Some(status) = self.first_status().await else { return };
        if let Some(sealed) = self.encrypt(seed, &status).await {
            self.refuse_encrypt().await;
            if self.decrypt(seed, &sealed).await {
                self.refuse_decrypt(&sealed).await;
                self.findings
                    .note(Question::LatencyDecrypt, contract::latency(self.latency.decrypt));
            }
            self.findings.note(Question::LatencyEncrypt, contract::latency(self.latency.encrypt));
        }
        self.last_status(&status).await;
        self.findings.note(Question::LatencyStatus, contract::latency(self.latency.status));
    }

    async fn first_status(&mut self) -> Option<StatusAnswer> {
        let Timed { answer, taken } = self.plugin.status().await;
        match answer {
            Ok(status) => {
                self.latency.status = taken;
                self.findings.note(Question::AuthorityLocalhost, Finding::ok("accepted"));
                self.findings.note_timed(Question::StatusCall, Finding::ok("answered"), taken);
                self.findings.note(Question::StatusVersion, contract::version(&status));
                self.findings.note(Question::StatusHealthz, contract::healthz(&status));
                self.findings.note(Question::StatusKeyId, contract::key_id(&status.key_id));
                Some(status)
            }
            Err(error @ CallError::Broken(_)) => {
                let uid = rustix::process::getuid().as_raw();
                let finding = Finding::fail(format!(
                    "{error}; a plugin drops peers that it does not allow (you are uid {uid}: look at allow_uids and at its log), \
                     and one that does not speak HTTP/2 is no KMS plugin"
                ));
                self.findings.note_timed(Question::AuthorityLocalhost, finding, taken);
                None
            }
            Err(error) => {
                if matches!(error, CallError::Refused(_)) {
                    self.findings.note(Question::AuthorityLocalhost, Finding::ok("accepted"));
                } else {
                    self.findings
                        .note(Question::AuthorityLocalhost, Finding::skipped("no answer tells"));
                }
                let finding = Finding::fail(format!(
                    "{error}; after 3 minutes of this kube-apiserver stops writing: look at the plugin's log"
                ));
                self.findings.note_timed(Question::StatusCall, finding, taken);
                None
            }
        }
    }

    async fn encrypt(&mut self, Seed(seed): &Seed, status: &StatusAnswer) -> Option<EncryptAnswer> {
        let Timed { answer, taken } = self.plugin.encrypt(seed).await;
        let sealed = match answer {
            Ok(sealed) => sealed,
            Err(error) => {
                let finding = Finding::fail(format!(
                    "{error}; kube-apiserver cannot start or take a new key: look at the plugin's log"
                ));
                self.findings.note_timed(Question::EncryptCall, finding, taken);
                return None;
            }
        };
        self.latency.encrypt = taken;
        self.findings.note_timed(Question::EncryptCall, Finding::ok("encrypted"), taken);
        self.findings
            .note(Question::EncryptKeyId, contract::same_key_id(&status.key_id, &sealed.key_id));
        self.findings.note(Question::EncryptCiphertext, contract::ciphertext(&sealed.ciphertext));
        self.findings
            .note(Question::EncryptAnnotations, contract::annotations(&sealed.annotations));
        self.findings.note(Question::EncryptOpaque, contract::opaque(seed, &sealed));
        let Timed { answer, taken } = self.plugin.encrypt(seed).await;
        let finding = match answer {
            Ok(again) => {
                self.latency.encrypt = self.latency.encrypt.max(taken);
                contract::fresh(&sealed, &again)
            }
            Err(error) => Finding::fail(format!(
                "the second Encrypt failed: {error}; look at the plugin's log"
            )),
        };
        self.findings.note_timed(Question::EncryptFresh, finding, taken);
        Some(sealed)
    }

    /// True when the plugin opened what it sealed.
    async fn decrypt(&mut self, Seed(seed): &Seed, sealed: &EncryptAnswer) -> bool {
        let Timed { answer, taken } = self.plugin.decrypt(sealed).await;
        let opened = match answer {
            Ok(opened) => opened,
            Err(error) => {
                let finding = Finding::fail(format!(
                    "{error}; objects written through this plugin cannot be read again: stop writing"
                ));
                self.findings.note_timed(Question::DecryptCall, finding, taken);
                return false;
            }
        };
        self.latency.decrypt = taken;
        self.findings.note_timed(Question::DecryptCall, Finding::ok("decrypted"), taken);
        self.findings
            .note(Question::DecryptPlaintext, contract::plaintext(seed, &opened.plaintext));
        true
    }

    async fn refuse_decrypt(&mut self, sealed: &EncryptAnswer) {
        let changed = self.changed_ciphertext(sealed).await;
        self.findings.note_timed(Question::RefusesChangedCiphertext, changed.0, changed.1);

        let mut other_key = sealed.clone();
        // Stays UTF-8, keeps its length: only the name is another.
        match other_key.key_id.last_mut() {
            Some(last) if last.is_ascii() => *last = if *last == b'0' { b'1' } else { b'0' },
            _ => other_key.key_id.push(b'0'),
        }
        let answer = self.plugin.decrypt(&other_key).await;
        let meaning = "the plugin does not bind a ciphertext to its key_id, or tries keys; whoever writes etcd can mislead it";
        self.refused(Question::RefusesChangedKeyId, answer, |_: DecryptResponse| {
            Accepted::Wrong(meaning)
        });

        let empty = EncryptAnswer { ciphertext: Vec::new(), ..sealed.clone() };
        let answer = self.plugin.decrypt(&empty).await;
        self.refused(Question::RefusesEmptyCiphertext, answer, |_| {
            Accepted::Wrong("nothing was opened to something")
        });

        let oversized = EncryptAnswer {
            ciphertext: sealed.ciphertext.iter().copied().cycle().take(MEBIBYTE).collect(),
            ..sealed.clone()
        };
        let answer = self.plugin.decrypt(&oversized).await;
        self.refused(Question::RefusesOversizedCiphertext, answer, |_| {
            Accepted::Wrong("no ciphertext of this plugin is so long")
        });
    }

    /// Changes one bit at the start, in the middle and at the end; the worst answer counts.
    async fn changed_ciphertext(&mut self, sealed: &EncryptAnswer) -> (Finding, Duration) {
        let length = sealed.ciphertext.len();
        let mut worst = (Finding::skipped("there is no byte to change"), Duration::ZERO);
        for (place, at) in
            [("first", 0), ("middle", length / 2), ("last", length.saturating_sub(1))]
        {
            let mut changed = sealed.clone();
            let Some(byte) = changed.ciphertext.get_mut(at) else { break };
            *byte ^= 1;
            let Timed { answer, taken } = self.plugin.decrypt(&changed).await;
            let accepted = answer.as_ref().map(|_| {
                Accepted::Wrong(
                    "the ciphertext is not authenticated; whoever writes etcd can change seeds",
                )
            });
            let mut finding = contract::refusal(accepted);
            if finding.verdict != check::Verdict::Ok {
                finding.detail = format!("{place} byte: {}", finding.detail);
            }
            if finding.verdict > worst.0.verdict {
                worst = (finding, taken);
            }
        }
        worst
    }

    async fn refuse_encrypt(&mut self) {
        let answer = self.plugin.encrypt(&[]).await;
        self.refused(Question::RefusesEmptyPlaintext, answer, |_| {
            Accepted::Harmless("kube-apiserver never asks for that, a confused client might")
        });

        let answer = self.plugin.encrypt(&vec![0; MEBIBYTE]).await;
        self.refused(Question::RefusesOversizedPlaintext, answer, |_: EncryptAnswer| {
            Accepted::Wrong(
                "no bound on what a peer can send; seeds have 32 bytes, let the plugin refuse more",
            )
        });
    }

    fn refused<A>(
        &mut self,
        question: Question,
        Timed { answer, taken }: Timed<A>,
        accepted: impl FnOnce(A) -> Accepted,
    ) {
        let finding = match answer {
            Ok(answer) => contract::refusal(Ok(accepted(answer))),
            Err(error) => contract::refusal(Err(&error)),
        };
        self.findings.note_timed(question, finding, taken);
    }

    async fn last_status(&mut self, first: &StatusAnswer) {
        let Timed { answer, taken } = self.plugin.status().await;
        let (unharmed, stable) = match answer {
            Ok(last) => {
                self.latency.status = self.latency.status.max(taken);
                (unharmed(first, &last), stable(first, &last))
            }
            Err(error) => (
                Finding::fail(format!(
                    "{error}; look at the plugin's log for what the wrong requests did to it"
                )),
                Finding::skipped("needs status.unharmed"),
            ),
        };
        self.findings.note_timed(Question::StatusUnharmed, unharmed, taken);
        self.findings.note(Question::StatusStable, stable);
    }
}

fn unharmed(first: &StatusAnswer, last: &StatusAnswer) -> Finding {
    if first.healthz == last.healthz {
        Finding::ok(format!("healthz is still {}", contract::quoted(&last.healthz)))
    } else {
        Finding::fail(format!(
            "healthz was {}, is {}: a wrong request says nothing about health, and any peer could make kube-apiserver unready so",
            contract::quoted(&first.healthz),
            contract::quoted(&last.healthz)
        ))
    }
}

fn stable(first: &StatusAnswer, last: &StatusAnswer) -> Finding {
    if first.key_id == last.key_id {
        Finding::ok("the same")
    } else {
        Finding::fail(format!(
            "{} became {}: each change makes kube-apiserver ask for a new seed, and objects stale; probe again when no rotation runs",
            contract::quoted(&first.key_id),
            contract::quoted(&last.key_id)
        ))
    }
}
