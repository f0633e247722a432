use std::collections::BTreeMap;

use crate::{DataKey, Place, Scope, Slot, SlotId, Template, Value};

/// The scope, and what the sealer recorded of the place. Nothing is opened by the record: it lets an offline check say what was moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// In how many places the values open.
    pub scope: Scope,
    /// The namespace as sealed, where the scope binds it.
    pub namespace: Option<String>,
    /// The name as sealed, where the scope binds it.
    pub name: Option<String>,
    /// The type as sealed.
    pub secret_type: Option<String>,
}

/// A Secret whose values lie sealed. Parsed from JSON data, changed, and written by whoever keeps the file.
#[derive(Debug, Clone)]
pub struct SealedSecret {
    pub(crate) name: String,
    pub(crate) namespace: Option<String>,
    pub(crate) binding: Binding,
    pub(crate) template: Template,
    pub(crate) slots: Vec<Slot>,
    pub(crate) values: BTreeMap<DataKey, Value>,
}

impl SealedSecret {
    /// An object without values. The binding records what the scope binds, and the type.
    #[must_use]
    pub fn new(scope: Scope, namespace: Option<&str>, name: &str, template: Template) -> Self {
        let binding = Binding {
            scope,
            namespace: namespace.filter(|_| scope.binds_namespace()).map(str::to_owned),
            name: scope.binds_name().then(|| name.to_owned()),
            secret_type: Some(template.secret_type().to_owned()),
        };
        Self {
            name: name.to_owned(),
            namespace: namespace.map(str::to_owned),
            binding,
            template,
            slots: Vec::new(),
            values: BTreeMap::new(),
        }
    }

    /// `metadata.name`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `metadata.namespace/metadata.name`, or the name alone.
    #[must_use]
    pub fn full_name(&self) -> String {
        self.namespace
            .as_ref()
            .map_or_else(|| self.name.clone(), |namespace| format!("{namespace}/{}", self.name))
    }

    /// Whether that is its name, or its full name.
    #[must_use]
    pub fn is_called(&self, name: &str) -> bool {
        self.name == name || self.full_name() == name
    }

    /// `metadata.namespace`.
    #[must_use]
    pub fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    /// What the sealer recorded.
    #[must_use]
    pub fn binding(&self) -> &Binding {
        &self.binding
    }

    /// What the Secret has besides values.
    #[must_use]
    pub fn template(&self) -> &Template {
        &self.template
    }

    /// Gives the Secret other things besides values. Its type is bound, so values open only if that stays.
    pub fn set_template(&mut self, template: Template) {
        self.template = template;
    }

    /// The slots, in the order of the file.
    #[must_use]
    pub fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// The slots that hold a value.
    pub fn used_slots(&self) -> impl Iterator<Item = &Slot> {
        self.slots.iter().filter(|slot| self.uses(slot.id))
    }

    /// The values, by data key.
    #[must_use]
    pub fn values(&self) -> &BTreeMap<DataKey, Value> {
        &self.values
    }

    /// Where the values open: by what the object says now, not by what the binding records. `None` where the scope binds a namespace and
    /// the object has none.
    #[must_use]
    pub fn place(&self) -> Option<Place> {
        let namespace = self.namespace.as_deref().unwrap_or_default();
        Place::new(self.binding.scope, namespace, &self.name, self.template.secret_type())
    }

    /// What differs between the binding and the object: field, as sealed, as it is now. Then the values do not open.
    #[must_use]
    pub fn moved(&self) -> Vec<(&'static str, &str, &str)> {
        let Binding { scope, namespace, name, secret_type } = &self.binding;
        [
            (
                "namespace",
                namespace.as_deref().filter(|_| scope.binds_namespace()),
                self.namespace.as_deref().unwrap_or_default(),
            ),
            ("name", name.as_deref().filter(|_| scope.binds_name()), self.name.as_str()),
            ("type", secret_type.as_deref(), self.template.secret_type()),
        ]
        .into_iter()
        .filter_map(|(field, sealed, now)| {
            sealed.filter(|sealed| *sealed != now).map(|sealed| (field, sealed, now))
        })
        .collect()
    }

    pub(crate) fn slot(&self, id: SlotId) -> Option<&Slot> {
        self.slots.iter().find(|slot| slot.id == id)
    }

    pub(crate) fn uses(&self, id: SlotId) -> bool {
        self.values.values().any(|value| value.slot == id)
    }
}
