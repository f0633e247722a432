use std::collections::{BTreeMap, BTreeSet};

use crate::{
    At, Binding, DataKey, Kid, MAX_SLOTS, MAX_WRAPS, Place, SealedSecret, Slot, SlotId, Template,
    Value, Wrap,
};

/// Three versions of an object made one, field by field and value by value. Nothing is opened for it: what only one side changed is as
/// that side has it, and a value that is taken brings its slot.
#[derive(Debug, Clone)]
pub struct Merged {
    /// The object, with what ours has in place of each conflict. Without conflicts: the result.
    pub ours: SealedSecret,
    /// The same, with what theirs has.
    pub theirs: SealedSecret,
    /// The same, with what the base has. To be written beside the other two, not to be opened: its values may name slots that are gone.
    pub base: SealedSecret,
    /// What nobody but a person can decide, each once.
    pub conflicts: Vec<Conflict>,
}

/// What both sides changed, each in its own way.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Conflict {
    /// The value of a data key, or what one side seals and the other one writes into the template: a Secret has each key once.
    Value(DataKey),
    /// A field in clear text.
    Field(At),
    /// A value that one side sealed for a scope or a type that the other side changed: there it does not open.
    Elsewhere(DataKey),
}

/// Why versions cannot be made one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MergeError {
    /// Not versions of one object.
    #[error("the versions have different names or namespaces")]
    NotOne,
    /// Two slots of one name: whose values would be lost?
    #[error("slot {0} is another one in another version")]
    SlotDiffers(SlotId),
    /// Together they have more slots than an object may have.
    #[error(
        "together they have more than 64 slots; `strongroom compact` makes those of one version one"
    )]
    TooManySlots,
    /// Together they have more recipients than a slot may have.
    #[error("slot {0} would have more than 32 wraps")]
    TooManyWraps(SlotId),
}

impl SealedSecret {
    /// Merges two versions, `base` being what both were made of; `None` where both sides added the object.
    ///
    /// - a value, a recorded place, a field of the template: what one side changed, or both to the same
    /// - a slot: where a value is in it; an unused one as a field
    /// - the wraps of a slot, by kid: as fields, but a wrap that only one side wants is kept, and of two for one kid ours (both hold
    ///   the same DEK); never none
    ///
    /// # Errors
    /// [`MergeError`].
    pub fn merge(base: Option<&Self>, ours: &Self, theirs: &Self) -> Result<Merged, MergeError> {
        if [Some(theirs), base]
            .into_iter()
            .flatten()
            .any(|other| other.name != ours.name || other.namespace != ours.namespace)
        {
            return Err(MergeError::NotOne);
        }
        let mut conflicts = Conflicts(Vec::new());
        let bindings = conflicts.bindings(base, ours, theirs);
        let templates = conflicts.templates(base, ours, theirs);
        let values = conflicts.values(base, ours, theirs);
        let slots = slots(base, ours, theirs, &values)?;
        let [mut base_, mut ours_, mut theirs_] =
            zip(bindings, templates, values, |binding, template, values| Self {
                name: ours.name.clone(),
                namespace: ours.namespace.clone(),
                binding,
                template,
                slots: slots.clone(),
                values,
            });
        for key in [&ours_, &theirs_].map(Self::keys_twice).concat() {
            base_.take_as_in(base, &key);
            ours_.take_as_in(Some(ours), &key);
            theirs_.take_as_in(Some(theirs), &key);
            conflicts.add(Conflict::Value(key));
        }
        let versions = [Some(ours), Some(theirs), base];
        for merged in [&ours_, &theirs_] {
            conflicts.misplaced(merged, &versions);
        }
        Ok(Merged { base: base_, ours: ours_, theirs: theirs_, conflicts: conflicts.0 })
    }

    fn keys_twice(&self) -> Vec<DataKey> {
        self.values.keys().filter(|key| self.template.data.contains_key(*key)).cloned().collect()
    }

    /// Leaves of a key what one version has of it.
    fn take_as_in(&mut self, version: Option<&Self>, key: &DataKey) {
        if version.is_none_or(|version| !version.values.contains_key(key)) {
            self.values.remove(key);
        }
        if version.is_none_or(|version| !version.template.data.contains_key(key)) {
            self.template.data.remove(key);
        }
    }

    /// Whether another object says the same: the order of slots, wraps and values means nothing here.
    #[must_use]
    pub fn says_the_same(&self, other: &Self) -> bool {
        self.name == other.name
            && self.namespace == other.namespace
            && self.binding == other.binding
            && self.template == other.template
            && self.values == other.values
            && self.slots.len() == other.slots.len()
            && self
                .slots
                .iter()
                .all(|slot| other.slot(slot.id).is_some_and(|other| slot.says_the_same(other)))
    }
}

impl Slot {
    fn says_the_same(&self, other: &Self) -> bool {
        let has =
            |wrap: &Wrap| other.wrap_for(wrap.kid).is_some_and(|other| other.bytes == wrap.bytes);
        self.id == other.id
            && self.commit.0 == other.commit.0
            && self.wraps.len() == other.wraps.len()
            && self.wraps.iter().all(has)
    }

    fn wrap_for(&self, kid: Kid) -> Option<&Wrap> {
        self.wraps.iter().find(|wrap| wrap.kid == kid)
    }
}

/// Of one thing: base, ours, theirs, where they differ; else three times the same.
type Three<T> = [T; 3];

struct Conflicts(Vec<Conflict>);

impl Conflicts {
    fn pick<T: PartialEq + Clone>(
        &mut self,
        [base, ours, theirs]: Three<T>,
        conflict: impl FnOnce() -> Conflict,
    ) -> Three<T> {
        let one = if ours == theirs || base == theirs {
            ours
        } else if base == ours {
            theirs
        } else {
            self.0.push(conflict());
            return [base, ours, theirs];
        };
        [one.clone(), one.clone(), one]
    }

    fn pick_map<K: Ord + Clone, T: PartialEq + Clone>(
        &mut self,
        maps: Three<&BTreeMap<K, T>>,
        conflict: impl Fn(&K) -> Conflict,
    ) -> Three<BTreeMap<K, T>> {
        let keys: BTreeSet<&K> = maps.into_iter().flat_map(BTreeMap::keys).collect();
        let mut out = [BTreeMap::new(), BTreeMap::new(), BTreeMap::new()];
        for key in keys {
            let picked = self.pick(maps.map(|map| map.get(key).cloned()), || conflict(key));
            for (map, value) in out.iter_mut().zip(picked) {
                map.extend(value.map(|value| (key.clone(), value)));
            }
        }
        out
    }

    fn bindings(
        &mut self,
        base: Option<&SealedSecret>,
        ours: &SealedSecret,
        theirs: &SealedSecret,
    ) -> Three<Binding> {
        let at = |field| At::default().field("spec").field("binding").field(field);
        // Where there is no base, whatever differs was changed by both.
        let three = [base.map(|base| &base.binding), Some(&ours.binding), Some(&theirs.binding)];
        let scopes = self.pick(three.map(|binding| binding.map(|binding| binding.scope)), || {
            Conflict::Field(at("scope"))
        });
        let mut field = |name, of: fn(&Binding) -> &Option<String>| {
            self.pick(three.map(|binding| binding.and_then(|binding| of(binding).clone())), || {
                Conflict::Field(at(name))
            })
        };
        let namespaces = field("namespace", |binding| &binding.namespace);
        let names = field("name", |binding| &binding.name);
        let types = field("type", |binding| &binding.secret_type);
        let places = zip(scopes, namespaces, names, |scope, namespace, name| Binding {
            scope: scope.unwrap_or(ours.binding.scope),
            namespace,
            name,
            secret_type: None,
        });
        zip(places, types, [(); 3], |place, secret_type, ()| Binding { secret_type, ..place })
    }

    fn templates(
        &mut self,
        base: Option<&SealedSecret>,
        ours: &SealedSecret,
        theirs: &SealedSecret,
    ) -> Three<Template> {
        let none = Template::default();
        let at = At::default().field("spec").field("template");
        let three = [base.map_or(&none, |base| &base.template), &ours.template, &theirs.template];
        let types = self.pick(three.map(|template| template.secret_type.clone()), || {
            Conflict::Field(at.field("type"))
        });
        let immutables = self.pick(three.map(|template| template.immutable), || {
            Conflict::Field(at.field("immutable"))
        });
        let metadata = at.field("metadata");
        let labels = self.pick_map(three.map(|template| &template.labels), |key| {
            Conflict::Field(metadata.field("labels").field(key))
        });
        let annotations = self.pick_map(three.map(|template| &template.annotations), |key| {
            Conflict::Field(metadata.field("annotations").field(key))
        });
        let data = self.pick_map(three.map(|template| &template.data), |key| {
            Conflict::Field(at.field("data").field(key.as_str()))
        });
        let heads = zip(types, immutables, data, |secret_type, immutable, data| Template {
            secret_type,
            immutable,
            data,
            ..Template::default()
        });
        zip(heads, labels, annotations, |head, labels, annotations| Template {
            labels,
            annotations,
            ..head
        })
    }

    fn values(
        &mut self,
        base: Option<&SealedSecret>,
        ours: &SealedSecret,
        theirs: &SealedSecret,
    ) -> Three<BTreeMap<DataKey, Value>> {
        let none = BTreeMap::new();
        self.pick_map(
            [base.map_or(&none, |base| &base.values), &ours.values, &theirs.values],
            |key| Conflict::Value(key.clone()),
        )
    }

    /// Values that stand where none of the versions sealed them.
    fn misplaced(&mut self, merged: &SealedSecret, versions: &[Option<&SealedSecret>; 3]) {
        let place: Option<Place> = merged.place();
        for (key, value) in &merged.values {
            let fits = versions
                .iter()
                .flatten()
                .any(|version| version.values.get(key) == Some(value) && version.place() == place);
            if !fits {
                self.add(Conflict::Elsewhere(key.clone()));
            }
        }
    }

    fn add(&mut self, conflict: Conflict) {
        if !self.0.contains(&conflict) {
            self.0.push(conflict);
        }
    }
}

fn slots(
    base: Option<&SealedSecret>,
    ours: &SealedSecret,
    theirs: &SealedSecret,
    [_, with_ours, with_theirs]: &Three<BTreeMap<DataKey, Value>>,
) -> Result<Vec<Slot>, MergeError> {
    let used: BTreeSet<SlotId> =
        with_ours.values().chain(with_theirs.values()).map(Value::slot).collect();
    let all =
        ours.slots.iter().chain(&theirs.slots).chain(base.iter().flat_map(|base| &base.slots));
    let mut out: Vec<Slot> = Vec::new();
    for slot in all {
        let id = slot.id;
        if out.iter().any(|there| there.id == id) {
            continue;
        }
        let three = [base.and_then(|base| base.slot(id)), ours.slot(id), theirs.slot(id)];
        let was_used = [base, Some(ours), Some(theirs)].into_iter().flatten().any(|o| o.uses(id));
        let [b, o, t] = three.map(|slot| slot.is_some());
        let wanted_unused = !was_used && if o == t { o } else { !b };
        if !used.contains(&id) && !wanted_unused {
            continue;
        }
        if three.into_iter().flatten().any(|other| other.commit.0 != slot.commit.0) {
            return Err(MergeError::SlotDiffers(id));
        }
        let wraps = wraps(three);
        if wraps.len() > MAX_WRAPS {
            return Err(MergeError::TooManyWraps(id));
        }
        out.push(Slot { wraps, ..slot.clone() });
    }
    if out.len() > MAX_SLOTS { Err(MergeError::TooManySlots) } else { Ok(out) }
}

fn wraps([base, ours, theirs]: Three<Option<&Slot>>) -> Vec<Wrap> {
    let (Some(ours), Some(theirs)) = (ours, theirs) else {
        return ours.or(theirs).or(base).map(|slot| slot.wraps.clone()).unwrap_or_default();
    };
    let both = || {
        let more = theirs.wraps.iter().filter(|wrap| ours.wrap_for(wrap.kid).is_none());
        ours.wraps.iter().chain(more)
    };
    let kept = both().filter_map(|wrap| {
        let bytes = |wrap: Option<&'_ Wrap>| wrap.map(|wrap| wrap.bytes.clone());
        let of_base = base.and_then(|base| base.wrap_for(wrap.kid));
        let (of_ours, of_theirs) = (ours.wrap_for(wrap.kid), theirs.wrap_for(wrap.kid));
        if bytes(of_base) == bytes(of_ours) {
            of_theirs
        } else if bytes(of_base) == bytes(of_theirs) {
            of_ours
        } else {
            // A wrap too many opens nothing that history does not open already; one too few closes a value for ever.
            of_ours.or(of_theirs)
        }
    });
    let kept: Vec<Wrap> = kept.cloned().collect();
    if kept.is_empty() { both().cloned().collect() } else { kept }
}

fn zip<A, B, C, D>(
    [a0, a1, a2]: Three<A>,
    [b0, b1, b2]: Three<B>,
    [c0, c1, c2]: Three<C>,
    make: impl Fn(A, B, C) -> D,
) -> Three<D> {
    [make(a0, b0, c0), make(a1, b1, c1), make(a2, b2, c2)]
}
