//! A root in AWS KMS: what its answers mean, whoever gives them. Replayed with the SDK's own test client.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::indexing_slicing, reason = "a test that cannot go on has failed")]

use std::{
    net::Ipv4Addr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use aws_credential_types::{
    credential_fn::provide_credentials_fn, provider::error::CredentialsError,
};
use aws_sdk_kms::{
    Config,
    config::{BehaviorVersion, Builder, Credentials, Region, SharedHttpClient},
};
use aws_smithy_http_client::test_util::{NeverClient, infallible_client_fn};
use envelope::{AwsKeyArn, Context, KeyId, KeyMaterial, Purpose, RingName, RootId, WrappedKey};
use serde_json::{Value, json};
use strongroomd::root::{AwsKms, Checked, RootError, RootErrorKind, RootKey, Warning};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    time::Instant,
};

const ARN: &str = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
const OTHER: &str =
    "arn:aws:kms:eu-central-1:111122223333:key/00000000-12ab-34cd-56ef-1234567890ab";
const REQUEST: &str = "01234567-89ab-cdef-0123-456789abcdef";
/// What must be in no error: credentials, and whatever a body says.
const SECRETS: [&str; 4] =
    ["AKIDINTHETEST", "secret-access-key", "session-token", "body-of-the-answer"];
/// 32 bytes of 0x5e, in base64.
const PLAINTEXT: &str = "Xl5eXl5eXl5eXl5eXl5eXl5eXl5eXl5eXl5eXl5eXl4=";

use RootErrorKind::{Corrupt, Denied, Throttled, Unavailable};

/// What a root is asked for.
#[derive(Debug, Clone, Copy)]
enum Call {
    Encrypt,
    Decrypt,
    DescribeKey,
}

const CALLS: [Call; 3] = [Call::Encrypt, Call::Decrypt, Call::DescribeKey];

impl Call {
    async fn of(self, root: &AwsKms) -> Result<Checked, RootError> {
        let key = KeyMaterial::copy_from(&[0x5e; 32]).unwrap();
        let id = KeyId::derive(RingName::parse("etcd").unwrap(), 7, &key).unwrap();
        let context = Context { purpose: Purpose::Key, key_id: &id };
        match self {
            Self::Encrypt => root.wrap(&key, context).await.map(|_| Checked::default()),
            Self::Decrypt => {
                let wrapped = WrappedKey::new(root.id(), vec![7; 190]).unwrap();
                root.unwrap(&wrapped, context).await.map(|opened| {
                    assert!(opened.ct_eq(&key));
                    Checked::default()
                })
            }
            Self::DescribeKey => root.check().await,
        }
    }
}

fn builder() -> Builder {
    let [id, secret, token, _] = SECRETS;
    Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new("eu-central-1"))
        .credentials_provider(Credentials::new(id, secret, Some(token.into()), None, "test"))
}

fn root(http: SharedHttpClient) -> AwsKms {
    AwsKms::with(AwsKeyArn::parse(ARN).unwrap(), builder().http_client(http))
}

/// Every request so far: its target and its body.
type Seen = Arc<Mutex<Vec<(String, Value)>>>;

/// A root whose every request gets this answer.
fn answering(status: u16, body: impl Into<String>) -> (AwsKms, Seen) {
    let (seen, body) = (Seen::default(), body.into());
    let requests = Arc::clone(&seen);
    let http = infallible_client_fn(move |request| {
        let target = request.headers()["x-amz-target"].to_str().unwrap().to_owned();
        let sent = serde_json::from_slice(request.body().bytes().unwrap()).unwrap();
        requests.lock().unwrap().push((target, sent));
        http::Response::builder()
            .status(status)
            .header("x-amzn-requestid", REQUEST)
            .body(body.clone())
            .unwrap()
    });
    (root(http), seen)
}

fn refusing(status: u16, code: &str) -> (AwsKms, Seen) {
    let message = SECRETS[3];
    answering(status, json!({ "__type": code, "message": message }).to_string())
}

/// The error says what it must, and nothing else.
fn check(what: &str, error: &RootError, kind: RootErrorKind, words: &str) {
    assert_eq!(error.kind, kind, "{what}: {error}");
    assert!(error.message.contains(words), "{what}: {error}");
    assert_eq!(error.name, ARN);
    let rendered = format!("{error} {error:?} {error:#?}");
    for secret in SECRETS {
        assert!(!rendered.contains(secret), "{what}: {secret} in {rendered}");
    }
    assert!(!rendered.contains(PLAINTEXT), "{what}: {rendered}");
}

#[tokio::test(start_paused = true)]
async fn every_typed_error_says_who_must_act() {
    use Call::{Decrypt, DescribeKey, Encrypt};
    let both = &[Encrypt, Decrypt][..];
    let cases: [(&[Call], &str, u16, RootErrorKind, &str); 15] = [
        (both, "DependencyTimeoutException", 500, Unavailable, "trouble of its own"),
        (both, "DisabledException", 400, Denied, "enable-key"),
        (both, "DryRunOperationException", 400, Denied, "SYMMETRIC_DEFAULT"),
        (both, "InvalidGrantTokenException", 400, Denied, "does not fit"),
        (both, "InvalidKeyUsageException", 400, Denied, "ENCRYPT_DECRYPT"),
        (both, "KeyUnavailableException", 500, Unavailable, "trouble of its own"),
        (both, "KMSInternalException", 500, Unavailable, "trouble of its own"),
        (both, "KMSInvalidStateException", 400, Denied, "describe-key"),
        (both, "NotFoundException", 400, Denied, "no such key"),
        (
            &[Decrypt],
            "InvalidCiphertextException",
            400,
            Corrupt,
            "changed, or wrapped for another place",
        ),
        (&[Decrypt], "IncorrectKeyException", 400, Corrupt, "by another key"),
        (&[DescribeKey], "DependencyTimeoutException", 500, Unavailable, "trouble of its own"),
        (&[DescribeKey], "InvalidArnException", 400, Denied, "`key` and `region`"),
        (&[DescribeKey], "KMSInternalException", 500, Unavailable, "trouble of its own"),
        (&[DescribeKey], "NotFoundException", 400, Denied, "no such key"),
    ];
    for (calls, code, status, kind, words) in cases {
        for call in calls {
            let (root, _) = refusing(status, code);
            let error = call.of(&root).await.unwrap_err();
            check(&format!("{call:?} {code}"), &error, kind, words);
            assert!(error.message.ends_with(&format!("(request {REQUEST})")), "{error}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn errors_that_no_model_has_are_told_by_their_code_or_status() {
    let cases = [
        (400, "AccessDeniedException", Denied, "deploy/aws-kms-policy.json", 1),
        (400, "com.amazonaws.kms#AccessDeniedException", Denied, "deploy/aws-kms-policy.json", 1),
        (400, "ThrottlingException", Throttled, "fewer requests", 3),
        (400, "LimitExceededException", Throttled, "fewer requests", 3),
        (429, "", Throttled, "fewer requests", 1),
        (400, "UnrecognizedClientException", Denied, "credentials", 1),
        (400, "ExpiredTokenException", Denied, "credentials", 1),
        (400, "InvalidSignatureException", Denied, "clock", 1),
        (400, "RequestExpired", Denied, "clock", 1),
        (400, "ValidationException", Denied, "does not fit", 1),
        (500, "InternalFailure", Unavailable, "trouble of its own", 3),
        (503, "ServiceUnavailableException", Unavailable, "trouble of its own", 3),
        (502, "", Unavailable, "trouble of its own", 3),
        (403, "body-of-the-answer", Denied, "compare its policy", 1),
        (400, "body-of-the-answer", Denied, "a reason that this version does not know", 1),
    ];
    for (status, code, kind, words, attempts) in cases {
        for call in CALLS {
            let (root, seen) = refusing(status, code);
            let began = Instant::now();
            let error = call.of(&root).await.unwrap_err();
            let what = format!("{call:?} {status} {code}");
            check(&what, &error, kind, words);
            assert_eq!(seen.lock().unwrap().len(), attempts, "{what}: attempts");
            assert!(began.elapsed() < Duration::from_secs(4), "{what}: {:?}", began.elapsed());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn answers_that_are_none_are_refused() {
    let key = |arn: &str| json!({ "KeyId": arn, "Plaintext": PLAINTEXT, "CiphertextBlob": "AAAA" });
    let cases = [
        (
            Call::Encrypt,
            "<html>body-of-the-answer</html>".to_owned(),
            Unavailable,
            "is not AWS KMS",
        ),
        (
            Call::Decrypt,
            "<html>body-of-the-answer</html>".to_owned(),
            Unavailable,
            "is not AWS KMS",
        ),
        (Call::DescribeKey, "{\"KeyMetadata\":{\"Arn\"".to_owned(), Unavailable, "is not AWS KMS"),
        (Call::DescribeKey, "{}".to_owned(), Unavailable, "without saying which key"),
        (Call::Encrypt, "{}".to_owned(), Corrupt, "another key answered"),
        (Call::Decrypt, "{}".to_owned(), Corrupt, "another key answered"),
        (Call::Encrypt, key(OTHER).to_string(), Corrupt, "another key answered"),
        (Call::Decrypt, key(OTHER).to_string(), Corrupt, "another key answered"),
        (
            Call::DescribeKey,
            json!({ "KeyMetadata": { "KeyId": "1", "Arn": OTHER } }).to_string(),
            Corrupt,
            "another key answered",
        ),
        (Call::Encrypt, json!({ "KeyId": ARN }).to_string(), Corrupt, "no ciphertext"),
        (
            Call::Encrypt,
            json!({ "KeyId": ARN, "CiphertextBlob": "AAAA".repeat(800) }).to_string(),
            Corrupt,
            "no ciphertext",
        ),
        (Call::Decrypt, json!({ "KeyId": ARN }).to_string(), Corrupt, "no key"),
        (
            Call::Decrypt,
            json!({ "KeyId": ARN, "Plaintext": "Xl5eXg==" }).to_string(),
            Corrupt,
            "no key",
        ),
        (
            Call::Decrypt,
            json!({ "KeyId": ARN, "Plaintext": "***" }).to_string(),
            Unavailable,
            "is not AWS KMS",
        ),
    ];
    for (call, body, kind, words) in cases {
        let (root, _) = answering(200, body.clone());
        let error = call.of(&root).await.unwrap_err();
        check(&format!("{call:?} {body}"), &error, kind, words);
    }
}

#[tokio::test]
async fn requests_name_the_key_and_the_place() {
    let body = json!({ "KeyId": ARN, "Plaintext": PLAINTEXT, "CiphertextBlob": "AAAA" });
    for call in [Call::Encrypt, Call::Decrypt] {
        let (root, seen) = answering(200, body.to_string());
        call.of(&root).await.unwrap();
        let (target, sent) = seen.lock().unwrap()[0].clone();
        assert_eq!(target, format!("TrentService.{call:?}"));
        assert_eq!(sent["KeyId"], ARN);
        let key = KeyMaterial::copy_from(&[0x5e; 32]).unwrap();
        let id = KeyId::derive(RingName::parse("etcd").unwrap(), 7, &key).unwrap();
        let place = json!({
            "strongroom:purpose": "key", "strongroom:ring": "etcd", "strongroom:key-id": id.as_str(),
        });
        assert_eq!(sent["EncryptionContext"], place);
    }
}

#[tokio::test]
async fn wrap_that_names_another_root_is_not_sent_anywhere() {
    let (root, seen) = answering(200, "{}");
    let id = KeyId::parse("etcd/v1/000000000000").unwrap();
    let context = Context { purpose: Purpose::Key, key_id: &id };
    let wrapped = WrappedKey::new(RootId([7; 6]), vec![1; 190]).unwrap();
    let error = root.unwrap(&wrapped, context).await.unwrap_err();
    check("another root", &error, Corrupt, "names another root key");
    assert!(seen.lock().unwrap().is_empty());
}

/// A replica of a multi-Region key opens what its primary wrapped; no other key does.
#[tokio::test]
async fn replica_in_another_region_is_the_same_root() {
    let in_region = |region: &str| {
        format!("arn:aws:kms:{region}:111122223333:key/mrk-1234abcd12ab34cd56ef1234567890ab")
    };
    let replica = AwsKeyArn::parse(&in_region("us-east-1")).unwrap();
    let primary = AwsKeyArn::parse(&in_region("eu-central-1")).unwrap();
    assert_eq!(replica.root_id(), primary.root_id());
    for (answered, opens) in [(in_region("eu-central-1"), true), (ARN.to_owned(), false)] {
        let body = json!({ "KeyId": answered, "Plaintext": PLAINTEXT }).to_string();
        let http = infallible_client_fn(move |_| http::Response::new(body.clone()));
        let root = AwsKms::with(replica.clone(), builder().http_client(http));
        assert_eq!(Call::Decrypt.of(&root).await.is_ok(), opens, "{answered}");
    }
}

fn described(more: &Value) -> String {
    let mut metadata = json!({
        "KeyId": "1234abcd-12ab-34cd-56ef-1234567890ab", "Arn": ARN, "KeySpec": "SYMMETRIC_DEFAULT",
        "KeyUsage": "ENCRYPT_DECRYPT", "KeyState": "Enabled", "Enabled": true,
    });
    for (name, value) in more.as_object().unwrap() {
        metadata[name] = value.clone();
    }
    json!({ "KeyMetadata": metadata }).to_string()
}

#[tokio::test]
async fn state_of_the_key_is_told_with_its_date_and_the_way_out() {
    let date = 1_800_000_000;
    let cases = [
        (json!({ "KeyState": "Enabled" }), None),
        (json!({ "KeyState": "Updating" }), None),
        (json!({ "KeyState": "Disabled" }), Some((false, None, "enable-key"))),
        (
            json!({ "KeyState": "PendingDeletion", "DeletionDate": date }),
            Some((false, Some(date), "2027-01-15T08:00:00Z, and does nothing until then")),
        ),
        (
            json!({ "KeyState": "PendingReplicaDeletion", "DeletionDate": date }),
            Some((false, Some(date), "cancel-key-deletion")),
        ),
        (json!({ "KeyState": "PendingImport" }), Some((false, None, "import-key-material"))),
        (json!({ "KeyState": "Unavailable" }), Some((false, None, "the key is Unavailable"))),
        (json!({ "KeyState": "Creating" }), Some((false, None, "the key is Creating"))),
        (
            json!({ "KeyState": "body-of-the-answer" }),
            Some((false, None, "a state that this version does not know")),
        ),
        (json!({ "ValidTo": date }), Some((true, Some(date), "expires at 2027-01-15T08:00:00Z"))),
    ];
    for (more, expected) in cases {
        let (root, _) = answering(200, described(&more));
        let warning = root.check().await.unwrap().warning;
        let told = warning.as_ref().map(|Warning { works, ends, .. }| (*works, *ends));
        assert_eq!(told, expected.map(|(works, ends, _)| (works, ends)), "{more}");
        if let (Some(warning), Some((.., words))) = (&warning, expected) {
            assert!(warning.message.contains(words), "{more}: {}", warning.message);
            assert!(!warning.message.contains(SECRETS[3]));
        }
    }
}

#[tokio::test]
async fn key_that_cannot_wrap_is_told_before_it_is_needed() {
    for more in [json!({ "KeySpec": "RSA_2048" }), json!({ "KeyUsage": "SIGN_VERIFY" })] {
        let (root, _) = answering(200, described(&more));
        check(&more.to_string(), &root.check().await.unwrap_err(), Denied, "no symmetric key");
    }
}

#[tokio::test]
async fn provider_says_which_material_it_wraps_with() {
    let id = "aabb".repeat(16);
    for (told, seen) in
        [(json!(id), Some(id.clone())), (json!("body-of-the-answer"), None), (json!(null), None)]
    {
        let (root, _) = answering(200, described(&json!({ "CurrentKeyMaterialId": told })));
        assert_eq!(root.check().await.unwrap(), Checked { material: seen, warning: None });
    }
}

#[tokio::test]
async fn provider_says_which_material_something_was_wrapped_with() {
    let id = "aabb".repeat(16);
    for (told, seen) in
        [(json!(id), Some(id.clone())), (json!("body-of-the-answer"), None), (json!(null), None)]
    {
        let body = json!({ "KeyId": ARN, "Plaintext": PLAINTEXT, "KeyMaterialId": told });
        let (root, requests) = answering(200, body.to_string());
        let key = KeyMaterial::copy_from(&[0x5e; 32]).unwrap();
        let id = KeyId::derive(RingName::parse("etcd").unwrap(), 7, &key).unwrap();
        let context = Context { purpose: Purpose::Key, key_id: &id };
        let wrapped = WrappedKey::new(root.id(), vec![7; 190]).unwrap();
        assert_eq!(root.material(&wrapped, context).await.unwrap(), seen);
        assert_eq!(requests.lock().unwrap()[0].0, "TrentService.Decrypt");
    }
}

#[tokio::test(start_paused = true)]
async fn service_that_never_answers_is_given_up_within_the_deadline() {
    for call in CALLS {
        let client = NeverClient::new();
        let root = root(SharedHttpClient::new(client.clone()));
        let began = Instant::now();
        let error = call.of(&root).await.unwrap_err();
        check(&format!("{call:?}"), &error, Unavailable, "did not answer in time");
        assert!(began.elapsed() <= Duration::from_millis(3600), "{:?}", began.elapsed());
        assert!(client.num_calls() > 1, "it was tried again");
    }
}

#[tokio::test(start_paused = true)]
async fn want_of_credentials_is_told_from_a_source_of_them_that_is_away() {
    let secret = SECRETS[1];
    type Fails = fn(&'static str) -> CredentialsError;
    let cases: [(Fails, RootErrorKind, &str); 4] = [
        (|it| CredentialsError::not_loaded(it), Denied, "no AWS credentials"),
        (|it| CredentialsError::invalid_configuration(it), Denied, "no AWS credentials"),
        (|it| CredentialsError::provider_error(it), Unavailable, "could not be had"),
        (
            |_| CredentialsError::provider_timed_out(Duration::from_secs(1)),
            Unavailable,
            "could not be had",
        ),
    ];
    for (fails, kind, words) in cases {
        for call in CALLS {
            let builder = builder()
                .credentials_provider(provide_credentials_fn(
                    move || async move { Err(fails(secret)) },
                ))
                .http_client(infallible_client_fn(|_| http::Response::new("{}")));
            let root = AwsKms::with(AwsKeyArn::parse(ARN).unwrap(), builder);
            check(words, &call.of(&root).await.unwrap_err(), kind, words);
        }
    }
}

/// One throttled call must not hold up the fifty of a load that comes after it.
#[tokio::test(start_paused = true)]
async fn calls_after_a_throttled_one_go_out_at_once() {
    let throttled = Arc::new(AtomicBool::new(true));
    let now = Arc::clone(&throttled);
    let http = infallible_client_fn(move |_| {
        let (status, body) = if now.load(Ordering::SeqCst) {
            (400, json!({ "__type": "ThrottlingException" }))
        } else {
            (200, json!({ "KeyId": ARN, "Plaintext": PLAINTEXT }))
        };
        http::Response::builder().status(status).body(body.to_string()).unwrap()
    });
    let root = root(http);
    let error = Call::Decrypt.of(&root).await.unwrap_err();
    check("throttled", &error, Throttled, "fewer requests");
    throttled.store(false, Ordering::SeqCst);
    let began = Instant::now();
    let calls = (0..50).map(|_| Call::Decrypt.of(&root));
    for outcome in futures_util::future::join_all(calls).await {
        outcome.unwrap();
    }
    assert_eq!(began.elapsed(), Duration::ZERO);
}

/// What a socket does to a request.
#[derive(Debug, Clone, Copy)]
enum Line {
    Refused,
    CutBeforeTheAnswer,
    CutWithinTheAnswer,
}

#[tokio::test]
async fn connection_that_is_refused_or_cut_is_told_as_what_it_is() {
    for (line, words) in [
        (Line::Refused, "could not be reached"),
        (Line::CutBeforeTheAnswer, "could not be reached"),
        (Line::CutWithinTheAnswer, "was cut short"),
    ] {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = tokio::spawn(async move {
            while let (true, Ok((mut stream, _))) =
                (!matches!(line, Line::Refused), listener.accept().await)
            {
                let mut request = [0; 4096];
                let _ = stream.read(&mut request).await;
                if matches!(line, Line::CutWithinTheAnswer) {
                    let half = "HTTP/1.1 200 OK\r\ncontent-length: 300\r\n\r\n{\"KeyId\":\"body-of-the-answer";
                    let _ = stream.write_all(half.as_bytes()).await;
                }
            }
        });
        if matches!(line, Line::Refused) {
            serving.abort();
        }
        let http = aws_smithy_http_client::Builder::new().build_http();
        let builder = builder().http_client(http).endpoint_url(format!("http://{address}"));
        let root = AwsKms::with(AwsKeyArn::parse(ARN).unwrap(), builder);
        for call in CALLS {
            let error = call.of(&root).await.unwrap_err();
            check(&format!("{call:?} {line:?}"), &error, Unavailable, words);
        }
        serving.abort();
    }
}
