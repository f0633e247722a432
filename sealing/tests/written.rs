//! Objects as they are written: for the tests here, and for those against the second implementation.

use data_encoding::BASE64;
use sealing::SealedSecret;
use serde_json::{Value as Json, json};

/// As it is written.
pub(crate) fn written(object: &SealedSecret) -> Json {
    let slots: Vec<_> = object
        .slots()
        .iter()
        .map(|slot| {
            let wrap = |wrap: &sealing::Wrap| json!({"kid": wrap.kid().to_string(), "ct": BASE64.encode(wrap.bytes())});
            json!({
                "id": slot.id().to_string(),
                "commit": BASE64.encode(slot.commit().bytes()),
                "wraps": slot.wraps().iter().map(wrap).collect::<Vec<_>>(),
            })
        })
        .collect();
    let values: serde_json::Map<_, _> = object
        .values()
        .iter()
        .map(|(key, value)| (key.to_string(), value.encode().into()))
        .collect();
    let template = object.template();
    let mut spec = json!({
        "suite": 1,
        "binding": {"scope": object.binding().scope.as_str()},
        "slots": slots,
        "values": values,
    });
    if let (Some(secret_type), Some(spec)) = (&template.secret_type, spec.as_object_mut()) {
        spec.insert("template".into(), json!({"type": secret_type}));
    }
    json!({
        "apiVersion": "strongroom.dev/v1alpha1",
        "kind": "SealedSecret",
        "metadata": {"name": object.name(), "namespace": object.namespace()},
        "spec": spec,
    })
}
