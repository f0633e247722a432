use std::error::Error;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_kms::{
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
    operation::{
        RequestId, decrypt::DecryptError, describe_key::DescribeKeyError, encrypt::EncryptError,
    },
};

use crate::root::RootErrorKind;

/// Why AWS KMS did not do its work: who must act, and the sentence for them.
///
/// Told by the types and codes of the SDK, never by a message of the service; and nothing that came over the wire is repeated
/// but the id of the request, where it has the form of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) kind: RootErrorKind,
    pub(super) message: String,
}

impl Refusal {
    pub(super) fn new(kind: RootErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }
}

impl<E: Typed> From<SdkError<E, HttpResponse>> for Refusal {
    fn from(error: SdkError<E, HttpResponse>) -> Self {
        match &error {
            SdkError::ServiceError(answer) => {
                let status = answer.raw().status().as_u16();
                let reason =
                    answer.err().reason().unwrap_or_else(|| unmodeled(answer.err(), status));
                let (kind, message) = reason.told();
                Self::new(kind, format!("{message}{}", request(answer.err().meta().request_id())))
            }
            SdkError::ResponseError(_) => Reason::Malformed.into(),
            SdkError::TimeoutError(_) => Reason::Silent.into(),
            SdkError::DispatchFailure(failure) if failure.is_timeout() => Reason::Silent.into(),
            _ => credentials(&error).unwrap_or(Reason::Unreachable).into(),
        }
    }
}

/// Everything that went wrong, by who must act.
#[derive(Debug, Clone, Copy)]
pub(super) enum Reason {
    Silent,
    Unreachable,
    Malformed,
    Internal,
    NoCredentials,
    CredentialsAway,
    BadCredentials,
    Clock,
    Denied,
    Throttled,
    Missing,
    Disabled,
    State,
    Usage,
    Ciphertext,
    OtherKey,
    Unknown,
}

impl From<Reason> for Refusal {
    fn from(reason: Reason) -> Self {
        let (kind, message) = reason.told();
        Self::new(kind, message)
    }
}

impl Reason {
    fn told(self) -> (RootErrorKind, &'static str) {
        use RootErrorKind::{Corrupt, Denied, Throttled, Unavailable};
        match self {
            Self::Silent => (
                Unavailable,
                "AWS KMS did not answer in time: look at the way to its endpoint (DNS, routes, security groups, proxy)",
            ),
            Self::Unreachable => (
                Unavailable,
                "AWS KMS could not be reached: look at the way to its endpoint (DNS, routes, security groups, certificates)",
            ),
            Self::Malformed => (
                Unavailable,
                "what answered is not AWS KMS, or was cut short: look at what stands between (proxy, endpoint)",
            ),
            Self::Internal => (
                Unavailable,
                "AWS KMS says that it has trouble of its own: wait; its status page says more",
            ),
            Self::NoCredentials => (
                Denied,
                "there are no AWS credentials: give the daemon a role (IRSA, pod identity, instance profile), a profile, or AWS_ACCESS_KEY_ID",
            ),
            Self::CredentialsAway => (
                Unavailable,
                "AWS credentials could not be had: look at the way to their source (STS, the metadata service), and at the trust policy of the role",
            ),
            Self::BadCredentials => (
                Denied,
                "AWS did not accept the credentials: they are wrong, have expired, or belong to nobody any more",
            ),
            Self::Clock => (
                Denied,
                "AWS did not accept the signature: the clock of this machine may be wrong, or the secret key is",
            ),
            Self::Denied => (
                Denied,
                "the role of this daemon may not do this with the key: compare its policy, and the policy of the key, with deploy/aws-kms-policy.json",
            ),
            Self::Throttled => (
                Throttled,
                "AWS KMS asks for fewer requests: raise the quota of the account if this goes on",
            ),
            Self::Missing => (
                Denied,
                "there is no such key in this account and region: look at `key` and `region` in [[roots]]",
            ),
            Self::Disabled => {
                (Denied, "the key is disabled: enable it (aws kms enable-key --key-id ARN)")
            }
            Self::State => (
                Denied,
                "the key is in a state in which it does nothing, such as a scheduled deletion: aws kms describe-key --key-id ARN shows which",
            ),
            Self::Usage => (
                Denied,
                "the key, or the way it was asked for, does not fit: a symmetric key for encryption is needed (SYMMETRIC_DEFAULT, ENCRYPT_DECRYPT)",
            ),
            Self::Ciphertext => {
                (Corrupt, "AWS KMS does not open it: it was changed, or wrapped for another place")
            }
            Self::OtherKey => (Corrupt, "it was wrapped by another key of AWS KMS than it says"),
            Self::Unknown => (
                Denied,
                "AWS KMS refused for a reason that this version does not know: CloudTrail has it",
            ),
        }
    }
}

/// The errors that the model of an operation has.
pub(super) trait Typed: ProvideErrorMetadata + Error + 'static {
    fn reason(&self) -> Option<Reason>;
}

impl Typed for EncryptError {
    fn reason(&self) -> Option<Reason> {
        Some(match self {
            Self::DisabledException(_) => Reason::Disabled,
            Self::KmsInvalidStateException(_) => Reason::State,
            Self::NotFoundException(_) => Reason::Missing,
            Self::InvalidKeyUsageException(_)
            | Self::InvalidGrantTokenException(_)
            | Self::DryRunOperationException(_) => Reason::Usage,
            Self::KeyUnavailableException(_)
            | Self::DependencyTimeoutException(_)
            | Self::KmsInternalException(_) => Reason::Internal,
            _ => return None,
        })
    }
}

impl Typed for DecryptError {
    fn reason(&self) -> Option<Reason> {
        Some(match self {
            Self::InvalidCiphertextException(_) => Reason::Ciphertext,
            Self::IncorrectKeyException(_) => Reason::OtherKey,
            Self::DisabledException(_) => Reason::Disabled,
            Self::KmsInvalidStateException(_) => Reason::State,
            Self::NotFoundException(_) => Reason::Missing,
            Self::InvalidKeyUsageException(_)
            | Self::InvalidGrantTokenException(_)
            | Self::DryRunOperationException(_) => Reason::Usage,
            Self::KeyUnavailableException(_)
            | Self::DependencyTimeoutException(_)
            | Self::KmsInternalException(_) => Reason::Internal,
            _ => return None,
        })
    }
}

impl Typed for DescribeKeyError {
    fn reason(&self) -> Option<Reason> {
        Some(match self {
            Self::NotFoundException(_) | Self::InvalidArnException(_) => Reason::Missing,
            Self::DependencyTimeoutException(_) | Self::KmsInternalException(_) => Reason::Internal,
            _ => return None,
        })
    }
}

/// What every operation may answer and no model has, by its code; else by the status alone.
fn unmodeled(error: &impl ProvideErrorMetadata, status: u16) -> Reason {
    match (error.code().unwrap_or_default(), status) {
        // It was no refusal, and no answer either.
        (_, ..=399) => Reason::Malformed,
        ("AccessDeniedException" | "AccessDenied" | "NotAuthorized", _) => Reason::Denied,
        (
            "ThrottlingException"
            | "Throttling"
            | "ThrottledException"
            | "RequestThrottled"
            | "RequestThrottledException"
            | "RequestLimitExceeded"
            | "TooManyRequestsException"
            | "LimitExceededException"
            | "SlowDown",
            _,
        )
        | (_, 429) => Reason::Throttled,
        (
            "UnrecognizedClientException"
            | "InvalidClientTokenId"
            | "ExpiredToken"
            | "ExpiredTokenException"
            | "MissingAuthenticationToken"
            | "MissingAuthenticationTokenException"
            | "OptInRequired",
            _,
        ) => Reason::BadCredentials,
        (
            "InvalidSignatureException"
            | "SignatureDoesNotMatch"
            | "IncompleteSignature"
            | "IncompleteSignatureException"
            | "RequestExpired"
            | "RequestTimeTooSkewed",
            _,
        ) => Reason::Clock,
        ("ServiceUnavailable" | "ServiceUnavailableException" | "InternalFailure", _)
        | (_, 500..) => Reason::Internal,
        ("ValidationException" | "ValidationError", _) => Reason::Usage,
        (_, 401 | 403) => Reason::Denied,
        _ => Reason::Unknown,
    }
}

/// Whether it was for want of credentials, which the SDK keeps as a cause.
fn credentials(error: &(dyn Error + 'static)) -> Option<Reason> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        match error.downcast_ref::<CredentialsError>() {
            Some(
                CredentialsError::CredentialsNotLoaded(_)
                | CredentialsError::InvalidConfiguration(_),
            ) => return Some(Reason::NoCredentials),
            Some(_) => return Some(Reason::CredentialsAway),
            None => cause = error.source(),
        }
    }
    None
}

/// AWS support asks for it. Whatever else a server put there is not for our logs.
fn request(id: Option<&str>) -> String {
    let is_one =
        |id: &&str| id.len() == 36 && id.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
    id.filter(is_one).map(|id| format!(" (request {id})")).unwrap_or_default()
}
