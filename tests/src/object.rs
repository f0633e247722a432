//! The objects that tests write.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::ObjectMeta;

/// A Secret with one entry, `value`.
pub fn secret(name: &str, value: &str) -> Secret {
    Secret {
        metadata: named(name),
        data: Some(BTreeMap::from([("value".to_owned(), ByteString(value.as_bytes().to_vec()))])),
        ..Secret::default()
    }
}

/// A ConfigMap with one entry, `value`.
pub fn config_map(name: &str, value: &str) -> ConfigMap {
    ConfigMap {
        metadata: named(name),
        data: Some(BTreeMap::from([("value".to_owned(), value.to_owned())])),
        ..ConfigMap::default()
    }
}

/// The entry `value` of a Secret.
pub fn value_of(secret: &Secret) -> Option<&str> {
    let value = secret.data.as_ref()?.get("value")?;
    std::str::from_utf8(&value.0).ok()
}

fn named(name: &str) -> ObjectMeta {
    ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() }
}
