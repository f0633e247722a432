"""The vectors of whole objects: sealed Secrets that open, signed lists of keys, and each of both that is refused."""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Callable

from sealing_keys import sign, verify
from strongroom_sealing import Random, kid_of, open_object, seal_object
from vector_case import Fields, Folder, flip, key, stream, text
from x_wing import PrivateKey

KEYS = [PrivateKey(key(f"sealing object {i}")) for i in range(3)]
STRANGER = PrivateKey(key("sealing object stranger"))
MALICIOUS = "two clusters are to see two plaintexts: "


def flipped(encoded: str, at: int, mask: int = 1) -> str:
    return base64.b64encode(flip(base64.b64decode(encoded), at, mask)).decode()


def joined(encoded: str) -> str:
    """The same bytes, with padding where the first one or two of them end."""
    raw = base64.b64decode(encoded)
    return base64.b64encode(raw[: len(raw) % 3]).decode() + base64.b64encode(raw[len(raw) % 3 :]).decode()


class At:
    """A place in an object, by its path."""

    def __init__(self, obj: dict, path: str) -> None:
        *steps, self.last = [int(step) if step.isdigit() else step for step in path.split("/")]
        self.parent = obj
        for step in steps:
            self.parent = self.parent[step]

    def get(self) -> object:
        return self.parent[self.last]

    def set(self, value: object) -> None:
        self.parent[self.last] = value


def changed(obj: dict, *changes: tuple[str, object]) -> dict:
    """A copy with values at paths; a function gets what is there, None takes it away."""
    obj = copy.deepcopy(obj)
    for path, value in changes:
        at = At(obj, path)
        if value is None:
            del at.parent[at.last]
        else:
            at.set(value(at.get()) if callable(value) else value)
    return obj


def objects(drawn: Callable[[str], Random]) -> Folder:
    def judge(fields: Fields) -> Fields:
        seeds = [bytes.fromhex(seed) for seed in fields["seed"]]
        opened = open_object(json.loads(text(fields, "object")), seeds)
        return {"value": [f"{name}={value.hex()}" for name, value in sorted(opened.items())]}

    folder = Folder("object", judge, {})
    plain = {"password": b"hunter2", "user": b"anna"}

    def seal(label: str, values: dict[str, bytes] = plain, keys: list[PrivateKey] = KEYS[:1], **place: str) -> dict:
        asked = {"scope": "strict", "namespace": "prod", "name": "db", "type": "Opaque"} | place
        asked |= {"values": values, "recipients": [each.public for each in keys]}
        return seal_object(asked, drawn(f"sealing object {label}"))

    def case(obj: dict, keys: list[PrivateKey] = KEYS[:1]) -> Fields:
        return {"seed": [each.seed.hex() for each in keys], "object": json.dumps(obj, separators=(",", ":"))}

    def ok(name: str, comment: str, obj: dict, keys: list[PrivateKey] = KEYS[:1], values: dict[str, bytes] = plain) -> None:
        result = {"value": [f"{name}={value.hex()}" for name, value in sorted(values.items())]}
        folder.ok(name, comment, case(obj, keys), result)

    def refused(name: str, comment: str, kind: str, obj: dict, keys: list[PrivateKey] = KEYS[:1]) -> None:
        folder.refused(name, comment, kind, case(obj, keys))

    good = seal("good")
    slot, wraps = good["spec"]["slots"][0], "spec/slots/0/wraps"
    ct, commit = f"{wraps}/0/ct", "spec/slots/0/commit"
    ok("strict", "one place", good)
    ok("three", "three recipients, the second opens", seal("three", keys=KEYS), KEYS[1:2])
    ok("three-all", "three recipients, whoever has all keys takes the first", seal("three", keys=KEYS), KEYS)
    ok("type", "another type", seal("type", type="kubernetes.io/tls"))
    ok("no-type", "no template: the type is Opaque", changed(good, ("spec/template", None)))
    ok("no-values", "no value and no slot", changed(good, ("spec/values", {}), ("spec/slots", [])), values={})
    ok("no-records", "only the scope is recorded", changed(good, ("spec/binding", {"scope": "strict"})))
    ok("other-records", "records open nothing", changed(good, ("spec/binding/name", "other")))
    ok("other-metadata", "what people put there", changed(good, ("metadata/labels", {"a": "b"}), ("status", {})))
    second = seal("second", {"more": b""})
    both = [slot, second["spec"]["slots"][0]]
    two = changed(good, ("spec/slots", both), ("spec/values/more", second["spec"]["values"]["more"]))
    ok("two-slots", "two sealings", two, values=plain | {"more": b""})
    unused = changed(second["spec"]["slots"][0], ("wraps/0/ct", flipped(second["spec"]["slots"][0]["wraps"][0]["ct"], 0)))
    ok("unused-slot", "a slot that nothing uses is not opened", changed(good, ("spec/slots", [unused, slot])))
    metadata = {"labels": {"a": "b"}, "annotations": {}}
    template = {"type": "Opaque", "immutable": True, "metadata": metadata, "data": {"c": "{{ user }}"}}
    ok("template", "what a Secret has besides", changed(good, ("spec/template", template)))
    for scope in ("namespace", "cluster"):
        sealed = seal(scope, scope=scope)
        ok(scope, "a wider scope", sealed)
        ok(f"{scope}-renamed", "the name is not bound", changed(sealed, ("metadata/name", "other")))
    ok("cluster-moved", "the namespace is not bound either", changed(sealed, ("metadata/namespace", "dev")))
    ok("cluster-nowhere", "nor must there be one", changed(sealed, ("metadata/namespace", None)))
    moved = changed(seal("namespace", scope="namespace"), ("metadata/namespace", "dev"))
    refused("namespace-moved", "another namespace", "closed", moved)
    refused("cluster-as-strict", "a narrower scope", "closed", changed(sealed, ("spec/binding/scope", "strict")))

    for name, kind, change in (
        ("moved", "closed", ("metadata/namespace", "dev")),
        ("renamed", "closed", ("metadata/name", "other")),
        ("other-type", "closed", ("spec/template/type", "kubernetes.io/tls")),
        ("wider", "closed", ("spec/binding/scope", "cluster")),
        ("nowhere", "no-namespace", ("metadata/namespace", None)),
        ("changed-commit", "closed", (commit, lambda old: flipped(old, 0))),
        ("changed-wrap", "closed", (ct, lambda old: flipped(old, 1167))),
        ("changed-salt", "closed", ("spec/values/user", lambda old: old[:10] + flipped(old[10:], 0))),
        ("changed-value", "closed", ("spec/values/user", lambda old: old[:10] + flipped(old[10:], 20))),
        ("other-value", "closed", ("spec/values/user", good["spec"]["values"]["password"])),
        ("kind", "kind", ("kind", "Secret")),
        ("api-version", "kind", ("apiVersion", "strongroom.dev/v1")),
        ("no-metadata", "missing", ("metadata", None)),
        ("no-name", "missing", ("metadata/name", None)),
        ("name-empty", "empty", ("metadata/name", "")),
        ("name-long", "too-long", ("metadata/name", "x" * 254)),
        ("namespace-empty", "empty", ("metadata/namespace", "")),
        ("namespace-number", "text", ("metadata/namespace", 1)),
        ("no-spec", "missing", ("spec", None)),
        ("spec-sequence", "mapping", ("spec", [])),
        ("suite-2", "suite", ("spec/suite", 2)),
        ("suite-fraction", "suite", ("spec/suite", 1.0)),
        ("suite-text", "suite", ("spec/suite", "1")),
        ("suite-true", "suite", ("spec/suite", True)),
        ("no-slots", "missing", ("spec/slots", None)),
        ("no-values-field", "missing", ("spec/values", None)),
        ("scope", "scope", ("spec/binding/scope", "Strict")),
        ("record-number", "text", ("spec/binding/name", 5)),
        ("record-long", "too-long", ("spec/binding/type", "x" * 254)),
        ("field-of-spec", "unknown-field", ("spec/new", 1)),
        ("field-of-binding", "unknown-field", ("spec/binding/uid", "x")),
        ("field-of-template", "unknown-field", ("spec/template/stringData", {})),
        ("field-of-metadata", "unknown-field", ("spec/template/metadata", {"name": "x"})),
        ("field-of-slot", "unknown-field", ("spec/slots/0/new", 1)),
        ("field-of-wrap", "unknown-field", (f"{wraps}/0/new", 1)),
        ("type-empty", "empty", ("spec/template/type", "")),
        ("type-long", "too-long", ("spec/template/type", "x" * 254)),
        ("type-of-tokens", "service-account-token", ("spec/template/type", "kubernetes.io/service-account-token")),
        ("immutable-text", "bool", ("spec/template/immutable", "true")),
        ("label-number", "text", ("spec/template/metadata", {"labels": {"a": 1}})),
        ("text-number", "text", ("spec/template/data", {"a": 1})),
        ("text-key", "data-key", ("spec/template/data", {"a b": ""})),
        ("key-twice", "key-twice", ("spec/template/data", {"user": ""})),
        ("slots-mapping", "sequence", ("spec/slots", {})),
        ("slot-id", "slot-id", ("spec/slots/0/id", "s7F3a9c21")),
        ("slot-id-number", "text", ("spec/slots/0/id", 12)),
        ("slot-twice", "slot-twice", ("spec/slots", [slot, slot])),
        ("no-wraps", "no-wraps", (wraps, [])),
        ("kid", "kid", (f"{wraps}/0/kid", "k1")),
        ("kid-twice", "kid-twice", (wraps, slot["wraps"] * 2)),
        ("commit-url", "base64", (commit, lambda old: "-" + old[1:])),
        ("commit-joined", "base64", (commit, joined)),
        ("commit-bits", "base64", (commit, lambda old: old[:42] + chr(ord(old[42]) + 1) + "=")),
        ("commit-short", "length", (commit, lambda old: old[4:])),
        ("ct-joined", "base64", (ct, joined)),
        ("ct-long", "length", (ct, lambda old: old + "AAAA")),
        ("value-number", "text", ("spec/values/user", 5)),
        ("value-no-slot", "value", ("spec/values/user", lambda old: old[10:])),
        ("value-other-slot", "no-slot", ("spec/values/user", lambda old: "s00000000" + old[9:])),
        ("value-joined", "base64", ("spec/values/user", lambda old: old[:10] + joined(old[10:]))),
        ("value-no-padding", "base64", ("spec/values/user", lambda old: old.rstrip("="))),
        ("value-line-feed", "base64", ("spec/values/user", lambda old: old + "\n")),
        ("value-no-block", "value", ("spec/values/user", lambda old: old[:10] + base64.b64encode(bytes(32)).decode())),
        ("value-half-block", "value", ("spec/values/user", lambda old: old[:10] + base64.b64encode(bytes(80)).decode())),
        ("data-key", "data-key", ("spec/values/..user", good["spec"]["values"]["user"])),
        ("data-key-empty", "data-key", ("spec/values/", good["spec"]["values"]["user"])),
        ("data-key-long", "data-key", ("spec/values/" + "x" * 254, good["spec"]["values"]["user"])),
    ):
        refused(name, change[0], kind, changed(good, change))

    refused("no-key", "none of the reader's keys is a recipient", "no-key", good, [STRANGER])
    one_each = changed(two, ("spec/slots/1/wraps", seal("third", keys=[STRANGER])["spec"]["slots"][0]["wraps"]))
    refused("no-key-for-one", "a key for one of two slots: nothing is opened", "no-key", one_each)
    following = [(f"spec/values/{name}", lambda old: "s00000000" + old[9:]) for name in plain]
    renamed = changed(good, ("spec/slots/0/id", "s00000000"), *following)
    refused("slot-renamed", "another id of the slot", "closed", renamed)
    exchanged = changed(good, (f"{wraps}/0/kid", kid_of(KEYS[1].public)))
    refused("kid-exchanged", "the wrap is said to be for another key of the reader", "closed", exchanged, KEYS)
    three = seal("three", keys=KEYS)
    spoilt = changed(three, (ct, lambda old: flipped(old, 1160)))
    refused("first-spoilt", "the first wrap for a key at hand decides", "closed", spoilt, KEYS)
    ok("first-spoilt-for-others", "who has another key is not held up", spoilt, KEYS[1:])
    another = seal("another", {"password": b"something else", "user": b"eve"}, KEYS)["spec"]["slots"][0]
    mixed = changed(three, (f"{wraps}/1", another["wraps"][1]))
    refused("two-deks", MALICIOUS + "a wrap of another DEK", "closed", mixed, KEYS[1:2])
    ok("two-deks-first", MALICIOUS + "whose DEK the commit is of opens", mixed, KEYS[:1])
    return folder


def lists() -> Folder:
    def judge(fields: Fields) -> Fields:
        verified = verify(json.loads(text(fields, "object")))
        return {"identity": base64.b64decode(verified["identity"]).hex(), "kid": verified["kids"]}

    folder = Folder("keys", judge, {})
    identity = key("sealing identity")

    def pinned(n: int, state: str) -> dict:
        return {"publicKey": base64.b64encode(KEYS[n].public).decode(), "state": state, "since": f"2026-11-2{n}T10:00:00Z"}

    def signed(keys: list[dict], cluster: str = "prod", serial: int = 3) -> dict:
        return sign(identity, cluster, serial, keys)

    def case(obj: dict) -> Fields:
        return {"object": json.dumps(obj, separators=(",", ":"))}

    rotated = [pinned(0, "retired"), pinned(1, "retiring"), pinned(2, "active")]
    good = signed(rotated)
    for name, obj in {
        "three": good,
        "one": signed([pinned(0, "active")], "x" * 63, 1),
        "pending": signed([pinned(0, "pending")], "0-9", 2**64 - 1),
        "none": signed([]),
    }.items():
        folder.ok(name, "a list that its identity signed", case(obj), judge(case(obj)))
    other = sign(key("sealing identity other"), "prod", 3, rotated)
    for name, kind, change in (
        ("other-cluster", "signature", ("cluster", "dev")),
        ("other-serial", "signature", ("serial", 4)),
        ("other-identity", "signature", ("identity", other["identity"])),
        ("other-signature", "signature", ("signature", other["signature"])),
        ("other-state", "signature", ("keys/0/state", "pending")),
        ("other-time", "signature", ("keys/0/since", "2026-11-20T10:00:01Z")),
        ("other-order", "signature", ("keys", lambda old: old[::-1])),
        ("key-less", "signature", ("keys", lambda old: old[:2])),
        ("kind", "kind", ("kind", "EscrowKey")),
        ("field", "unknown-field", ("comment", "x")),
        ("field-of-key", "unknown-field", ("keys/0/comment", "x")),
        ("no-serial", "missing", ("serial", None)),
        ("serial-0", "serial", ("serial", 0)),
        ("serial-too-large", "serial", ("serial", 2**64)),
        ("serial-text", "serial", ("serial", "3")),
        ("cluster-upper", "cluster", ("cluster", "Prod")),
        ("cluster-long", "cluster", ("cluster", "x" * 64)),
        ("cluster-empty", "cluster", ("cluster", "")),
        ("state", "state", ("keys/0/state", "Active")),
        ("since-date", "since", ("keys/0/since", "2026-11-28")),
        ("since-offset", "since", ("keys/0/since", "2026-11-28T10:00:00+00:00")),
        ("since-fraction", "since", ("keys/0/since", "2026-11-28T10:00:00.0Z")),
        ("kid", "kid", ("keys/0/kid", "k1")),
        ("other-kid", "other-kid", ("keys/0/kid", "k0000000000000000")),
        ("other-key", "other-kid", ("keys/0/publicKey", base64.b64encode(STRANGER.public).decode())),
        ("low-order", "low-order", ("keys/0/publicKey", base64.b64encode(KEYS[0].public[:1184] + bytes(32)).decode())),
        ("not-canonical", "not-canonical", ("keys/0/publicKey", base64.b64encode(b"\xff\xff" + KEYS[0].public[2:]).decode())),
        ("identity-joined", "base64", ("identity", joined)),
        ("signature-joined", "base64", ("signature", joined)),
    ):
        folder.refused(name, change[0], kind, case(changed(good, change)))
    twice, active = [pinned(0, "active"), pinned(0, "retired")], [pinned(0, "active"), pinned(1, "active")]
    folder.refused("twice", "a key twice", "twice", case(signed(twice)))
    folder.refused("two-active", "two active keys", "active", case(signed(active)))
    return folder
