//! The steps that add a root: what a command can say, and a person does.

use envelope::AwsKeyArn;

use crate::failure::Failure;

/// For a key in the file `path`.
pub(super) fn local(path: &str) -> Result<String, Failure> {
    if !path.starts_with('/') || path.contains(['"', '\'', '\\']) || path.contains(char::is_control)
    {
        return Err(Failure::new(
            format!("{path:?} cannot be the path of a root key"),
            "it must be absolute, without quotes, backslashes and control characters",
            "give a path such as /etc/strongroom/second.key",
        )
        .usage());
    }
    Ok(format!(
        "\
Nothing was changed. To add a root key in the file {path}:

1. Make the key once, and back it up away from this cluster:
     (umask 077; head -c 32 /dev/urandom > '{path}')
   To keep it on paper: base64 '{path}', and back again: base64 -d
2. Copy it to every control-plane node: mode 0600, owned by the user of strongroomd.
{}",
        configured("local", "file", path)
    ))
}

/// For the key of AWS KMS that `arn` names.
pub(super) fn aws_kms(arn: &str) -> Result<String, Failure> {
    if AwsKeyArn::parse(arn).is_err() {
        return Err(Failure::new(
            format!("{arn:?} is no ARN of a key of AWS KMS"),
            "a root is one key, by its ARN; an alias can point elsewhere tomorrow",
            "find it: aws kms describe-key --key-id alias/NAME --query KeyMetadata.Arn",
        )
        .usage());
    }
    Ok(format!(
        "\
Nothing was changed. To add {arn} as a root key:

1. It must be a symmetric key for encryption (SYMMETRIC_DEFAULT, ENCRYPT_DECRYPT).
2. Every control-plane node needs credentials that may use it (kms:Encrypt, kms:Decrypt, kms:DescribeKey
   on this key: deploy/aws-kms-policy.json), and a way there (docs/aws.md).
{}",
        configured("aws-kms", "key", arn)
    ))
}

/// What is the same for all kinds.
fn configured(kind: &str, name: &str, value: &str) -> String {
    format!(
        "\
3. On every node add to the configuration of strongroomd, after the [[roots]] that are there:
     [[roots]]
     kind = \"{kind}\"
     {name} = \"{value}\"
   and restart strongroomd, one node after the other. Each must be up to date again before the next:
     strongroom replicas list
4. Once, at any node:
     strongroom roots rewrap
     strongroom roots check
"
    )
}
