//! The rules of kube-apiserver, as functions from an answer to a finding.
//!
//! Invariant: the limits are those of k8s.io/apiserver (`storage/value/encrypt/envelope/kmsv2`) and k8s.io/kms, unchanged from 1.27 on.
//! No I/O here, so that every edge can be tested.

use std::time::Duration;

use tonic::Code;

use super::{
    calls::{Annotation, CallError, EncryptAnswer, StatusAnswer},
    check::Finding,
};
use crate::socket::Facts;

/// What kube-apiserver waits for one call, unless its EncryptionConfiguration says otherwise.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(3);

const SLOW: Duration = Duration::from_millis(100);
const KEY_ID_MAX: usize = 1024;
const CIPHERTEXT_MAX: usize = 1024;
const ANNOTATIONS_MAX: usize = 32 * 1024;
const LABEL_MAX: usize = 63;
const DOMAIN_MAX: usize = 253;

pub(crate) fn version(answer: &StatusAnswer) -> Finding {
    match answer.version.as_slice() {
        b"v2" => Finding::ok("v2"),
        b"v2beta1" => Finding::warn(
            "v2beta1 is accepted, but the first version seen is pinned for kube-apiserver's life: let the plugin always send v2",
        ),
        other => Finding::fail(format!(
            "{} is refused; let the plugin send exactly v2, then restart kube-apiserver, which pins the first version it sees",
            quoted(other)
        )),
    }
}

pub(crate) fn healthz(answer: &StatusAnswer) -> Finding {
    match answer.healthz.as_slice() {
        b"ok" => Finding::ok("ok"),
        other => Finding::fail(format!(
            "{} means ill to kube-apiserver: its /readyz fails; look at the plugin's log for the reason",
            quoted(other)
        )),
    }
}

pub(crate) fn key_id(bytes: &[u8]) -> Finding {
    match (std::str::from_utf8(bytes), bytes.len()) {
        (_, 0) => Finding::fail(
            "empty: kube-apiserver throws such an answer away; the plugin has no key to write with",
        ),
        (Err(_), length) => Finding::fail(format!(
            "{length} bytes that are not UTF-8: kube-apiserver cannot read the answer"
        )),
        (Ok(_), length) if length > KEY_ID_MAX => Finding::fail(format!(
            "{length} bytes, more than {KEY_ID_MAX}: kube-apiserver throws such an answer away"
        )),
        (Ok(text), length) => Finding::ok(format!("{} ({length} bytes)", quoted(text.as_bytes()))),
    }
}

pub(crate) fn same_key_id(of_status: &[u8], of_encrypt: &[u8]) -> Finding {
    if of_status == of_encrypt {
        Finding::ok("the same")
    } else {
        Finding::fail(format!(
            "Status says {}, Encrypt {}: kube-apiserver throws the ciphertext away and is unhealthy; both must come from one snapshot of the keys",
            quoted(of_status),
            quoted(of_encrypt)
        ))
    }
}

pub(crate) fn ciphertext(bytes: &[u8]) -> Finding {
    match bytes.len() {
        0 => Finding::fail("empty: kube-apiserver refuses it"),
        length if length > CIPHERTEXT_MAX => Finding::fail(format!(
            "{length} bytes, more than {CIPHERTEXT_MAX}: kube-apiserver refuses it; keep large data out of it"
        )),
        length => Finding::ok(format!("{length} bytes, stored once per object")),
    }
}

pub(crate) fn annotations(annotations: &[Annotation]) -> Finding {
    let size: usize =
        annotations.iter().map(|annotation| annotation.key.len() + annotation.value.len()).sum();
    if let Some((key, wrong)) =
        annotations.iter().find_map(|Annotation { key, .. }| Some((key, domain_name(key).err()?)))
    {
        return Finding::fail(format!(
            "{} is no key for kube-apiserver: {wrong}; use a lower-case domain name such as kek.example.com",
            quoted(key)
        ));
    }
    if size > ANNOTATIONS_MAX {
        return Finding::fail(format!(
            "{size} bytes of keys and values, more than {ANNOTATIONS_MAX}: kube-apiserver refuses them"
        ));
    }
    let keys: Vec<String> = annotations
        .iter()
        .map(|annotation| String::from_utf8_lossy(&annotation.key).into_owned())
        .collect();
    match keys.as_slice() {
        [] => Finding::ok("none"),
        keys => Finding::ok(format!("{} ({size} bytes)", keys.join(", "))),
    }
}

pub(crate) fn fresh(first: &EncryptAnswer, second: &EncryptAnswer) -> Finding {
    if first.ciphertext == second.ciphertext {
        Finding::fail(
            "two equal ciphertexts: the plugin encrypts without a fresh nonce, so equal seeds show; do not use it",
        )
    } else {
        Finding::ok("they differ")
    }
}

pub(crate) fn opaque(plaintext: &[u8], answer: &EncryptAnswer) -> Finding {
    let holds = |bytes: &[u8]| bytes.windows(plaintext.len()).any(|window| window == plaintext);
    if holds(&answer.ciphertext) {
        Finding::fail(
            "the ciphertext holds the plaintext: nothing is encrypted; do not use this plugin",
        )
    } else if answer
        .annotations
        .iter()
        .any(|annotation| holds(&annotation.value) || holds(&annotation.key))
    {
        Finding::fail(
            "an annotation holds the plaintext, and annotations lie open in etcd; do not use this plugin",
        )
    } else {
        Finding::ok("not in sight")
    }
}

pub(crate) fn plaintext(original: &[u8], opened: &[u8]) -> Finding {
    if original == opened {
        Finding::ok(format!("{} bytes, the same", opened.len()))
    } else {
        Finding::fail(format!(
            "{} bytes, not the original: objects written through this plugin cannot be read again; stop writing",
            opened.len()
        ))
    }
}

/// A request that is wrong must be refused in words that say so: a code that blames the plugin hides what is wrong, or raises a false alarm.
pub(crate) fn refusal(answer: Result<Accepted, &CallError>) -> Finding {
    match answer {
        Ok(Accepted::Wrong(consequence)) => Finding::fail(format!("accepted: {consequence}")),
        Ok(Accepted::Harmless(consequence)) => Finding::warn(format!("accepted: {consequence}")),
        Err(CallError::Refused(status)) => match status.code() {
            code @ (Code::Ok | Code::Unknown | Code::Internal) => Finding::fail(format!(
                "refused with {}, which says that the plugin is broken, not the request: InvalidArgument or NotFound would",
                name(code)
            )),
            code @ (Code::Unavailable
            | Code::DeadlineExceeded
            | Code::Cancelled
            | Code::Unimplemented) => Finding::warn(format!(
                "refused with {}, which says that the plugin is ill, not that the request is wrong",
                name(code)
            )),
            code => Finding::ok(format!("refused with {}", name(code))),
        },
        Err(error) => Finding::fail(format!(
            "{error}; a wrong request must be refused, and nothing else may suffer"
        )),
    }
}

/// What it means that a wrong request was accepted.
pub(crate) enum Accepted {
    Wrong(&'static str),
    /// kube-apiserver never sends such a request.
    Harmless(&'static str),
}

pub(crate) fn latency(slowest: Duration) -> Finding {
    let told = format!("at most {}", readable(slowest));
    if slowest >= TIMEOUT {
        Finding::fail(format!(
            "{told}: kube-apiserver gives up after {TIMEOUT:?} and does not try again; find what the plugin waits for"
        ))
    } else if slowest > SLOW {
        Finding::warn(format!(
            "{told}, over {SLOW:?}: a starting kube-apiserver decrypts its seeds one after the other; find what the plugin waits for"
        ))
    } else {
        Finding::ok(told)
    }
}

pub(crate) fn mode(facts: Facts) -> Finding {
    let Facts { mode, parent_mode, .. } = facts;
    // Linux asks for permission to write before it connects; reading and executing a socket mean nothing.
    if mode & 0o002 == 0 {
        Finding::ok(format!("{mode:04o}"))
    } else if parent_mode & 0o001 == 0 {
        Finding::ok(format!("{mode:04o}, but its folder ({parent_mode:04o}) keeps others out"))
    } else {
        Finding::warn(format!(
            "{mode:04o}: every user of this machine can connect; `chmod o= SOCKET`, and let the \
             plugin check who connects"
        ))
    }
}

pub(crate) fn folder(facts: Facts) -> Finding {
    let mode = facts.parent_mode;
    match (mode & 0o002 != 0, mode & 0o1000 != 0) {
        (false, _) => Finding::ok(format!("{mode:04o}")),
        (true, true) => Finding::warn(format!(
            "{mode:04o}: every user can put files beside the socket, and take its name while the plugin is down; use a folder of its own"
        )),
        (true, false) => Finding::warn(format!(
            "{mode:04o}: every user can put another socket in its place and be sent the seeds; `chmod 0750` the folder"
        )),
    }
}

pub(crate) fn owner(facts: Facts, listener: Option<u32>) -> Finding {
    let Facts { uid, gid, .. } = facts;
    match listener {
        Some(serving) if serving != uid && serving != 0 => Finding::warn(format!(
            "owned by {uid}:{gid}, but served by uid {serving}: make sure that this is the plugin you mean"
        )),
        Some(serving) => Finding::ok(format!("owned by {uid}:{gid}, served by uid {serving}")),
        None => Finding::ok(format!("owned by {uid}:{gid}")),
    }
}

/// As `IsFullyQualifiedDomainName` of k8s.io/apimachinery reads it.
fn domain_name(key: &[u8]) -> Result<(), &'static str> {
    let name = key.strip_suffix(b".").unwrap_or(key);
    let label = |label: &[u8]| {
        let inner = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-';
        !label.is_empty()
            && label.len() <= LABEL_MAX
            && label.iter().all(inner)
            && label.first() != Some(&b'-')
            && label.last() != Some(&b'-')
    };
    if name.is_empty() {
        Err("it is empty")
    } else if name.contains(&b'/') {
        Err("it has a slash")
    } else if name.iter().any(u8::is_ascii_uppercase) {
        Err("it has upper-case letters")
    } else if name.len() > DOMAIN_MAX {
        Err("it is longer than 253 bytes")
    } else if !name.contains(&b'.') {
        Err("it has one label, two are needed")
    } else if !name.split(|byte| *byte == b'.').all(label) {
        Err("one of its labels is not 1 to 63 letters, digits and inner dashes")
    } else {
        Ok(())
    }
}

/// A time as people read it, always in the same units.
pub(crate) fn readable(time: Duration) -> String {
    if time.as_millis() >= 1000 {
        format!("{:.2} s", time.as_secs_f64())
    } else {
        format!("{:.2} ms", time.as_secs_f64() * 1e3)
    }
}

/// The name of a gRPC code as its specification writes it.
pub(crate) fn name(code: Code) -> String {
    format!("{code:?}")
}

/// What came over the wire, fit for a terminal.
pub(crate) fn quoted(bytes: &[u8]) -> String {
    const SHOWN: usize = 64;
    let (shown, more) = bytes
        .split_at_checked(SHOWN)
        .map_or((bytes, ""), |(shown, rest)| (shown, if rest.is_empty() { "" } else { "…" }));
    format!("\"{}{more}\"", shown.escape_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::check::Verdict;

    #[test]
    fn annotation_keys_are_judged_as_kubernetes_does() {
        for good in ["kek.strongroom.dev", "a.b", "a-b.c1", "0.0", "a.b."] {
            assert_eq!(domain_name(good.as_bytes()), Ok(()), "{good:?}");
        }
        let long_label = format!("{}.dev", "a".repeat(64));
        let long_name = "a.".repeat(127) + "b";
        for bad in [
            "",
            ".",
            "one",
            "A.b",
            "a/b.c",
            "a..b",
            "-a.b",
            "a-.b",
            "a_b.c",
            "ä.dev",
            " a.b",
            &long_label,
            &long_name,
        ] {
            assert!(domain_name(bad.as_bytes()).is_err(), "{bad:?} was taken for a key");
        }
    }

    #[test]
    fn limits_are_inclusive() {
        for (length, verdict) in
            [(0, Verdict::Fail), (1, Verdict::Ok), (1024, Verdict::Ok), (1025, Verdict::Fail)]
        {
            assert_eq!(key_id(&vec![b'k'; length]).verdict, verdict, "key_id of {length} bytes");
            assert_eq!(
                ciphertext(&vec![0; length]).verdict,
                verdict,
                "ciphertext of {length} bytes"
            );
        }
        for (length, verdict) in [(32 * 1024 - 3, Verdict::Ok), (32 * 1024 - 2, Verdict::Fail)] {
            let annotation = Annotation { key: b"a.b".to_vec(), value: vec![0; length] };
            assert_eq!(annotations(&[annotation]).verdict, verdict, "a value of {length} bytes");
        }
    }

    #[test]
    fn slow_is_a_warning_and_too_slow_a_failure() {
        let judged = |millis| latency(Duration::from_millis(millis)).verdict;
        assert_eq!(
            [judged(1), judged(100), judged(101), judged(2999), judged(3000)],
            [Verdict::Ok, Verdict::Ok, Verdict::Warn, Verdict::Warn, Verdict::Fail]
        );
    }

    #[test]
    fn a_folder_that_keeps_others_out_makes_up_for_a_loose_socket() {
        let facts = |mode, parent_mode| Facts { mode, parent_mode, uid: 0, gid: 0 };
        assert_eq!(mode(facts(0o660, 0o755)).verdict, Verdict::Ok);
        assert_eq!(mode(facts(0o775, 0o755)).verdict, Verdict::Ok);
        assert_eq!(mode(facts(0o777, 0o750)).verdict, Verdict::Ok);
        assert_eq!(mode(facts(0o777, 0o755)).verdict, Verdict::Warn);
        assert_eq!(folder(facts(0o660, 0o755)).verdict, Verdict::Ok);
        assert_eq!(folder(facts(0o660, 0o1777)).verdict, Verdict::Warn);
        assert_eq!(folder(facts(0o660, 0o777)).verdict, Verdict::Warn);
    }

    #[test]
    fn who_serves_a_socket_of_another_is_pointed_out() {
        let facts = Facts { mode: 0o660, parent_mode: 0o750, uid: 1000, gid: 1000 };
        assert_eq!(owner(facts, Some(1000)).verdict, Verdict::Ok);
        assert_eq!(owner(facts, Some(0)).verdict, Verdict::Ok);
        assert_eq!(owner(facts, Some(1001)).verdict, Verdict::Warn);
    }

    #[test]
    fn what_comes_over_the_wire_cannot_steer_a_terminal() {
        assert_eq!(quoted(b"\x1b[31mred"), r#""\x1b[31mred""#);
        assert!(quoted(&[b'a'; 65]).ends_with("a…\""));
    }
}
