#!/usr/bin/env python3
"""Sealed Secrets, a second time: written from the part "Sealed Secrets" of docs/format.md alone.

    open       stdin {"object": ..., "seeds": [hex]}                        stdout {data key: base64}
    seal       stdin {"scope", "namespace", "name", "type", "values": {data key: base64}, "recipients": [base64]}
               stdout the object
    keys       stdin a SealingKeys object                                   stdout {"identity": base64, "kids": [...]}
    sign       stdin {"seed": hex, "cluster", "serial", "keys": [{"publicKey", "state", "since"}]}
               stdout a SealingKeys object
    escrow     stdin {"seed": hex} or {"text": ...}                         stdout {"text", "seed", "kid", "publicKey"}
    vectors    writes sealing/vectors into the directory that is named, always the same

What is refused is {"refused": word}; the words are those that a vector expects. HPKE and X-Wing are spelled out beside (x_wing.py).
Nothing here is hardened against a second user of the same machine.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from strongroom_format import FormatError, enc
from x_wing import PrivateKey, check_public, hkdf_expand, hkdf_extract, hpke_open, hpke_seal

API_VERSION = "strongroom.dev/v1alpha1"
SUITE = 1
MAX_SLOTS, MAX_WRAPS, MAX_VALUE, MAX_NAME = 64, 32, 1_048_576, 253
SERVICE_ACCOUNT_TOKEN = "kubernetes.io/service-account-token"

Random = Callable[[int], bytes]


def require(condition: bool, kind: str, message: str = "") -> None:
    if not condition:
        raise FormatError(kind, message or kind)


# Data: what JSON and YAML have


def mapping(value: object) -> dict:
    require(isinstance(value, dict), "mapping")
    return value


def fields(value: object, known: set[str], compulsory: set[str] = frozenset()) -> dict:
    value = mapping(value)
    for name in value:
        require(name in known, "unknown-field", name)
    for name in sorted(compulsory):
        require(name in value, "missing", name)
    return value


def sequence(value: object) -> list:
    require(isinstance(value, list), "sequence")
    return value


def text(value: object) -> str:
    require(isinstance(value, str), "text")
    return value


def name_text(value: object) -> str:
    require(text(value) != "", "empty")
    require(len(value.encode()) <= MAX_NAME, "too-long")
    return value


def base64_of(value: object, length: int | None = None) -> bytes:
    if length is not None:
        require(len(text(value)) == (length + 2) // 3 * 4, "length")
    try:
        data = base64.b64decode(text(value), validate=True)
    except (binascii.Error, ValueError) as error:
        raise FormatError("base64", str(error)) from error
    require(base64.b64encode(data).decode() == value, "base64")
    require(length is None or len(data) == length, "length")
    return data


def is_data_key(key: str) -> bool:
    return bool(re.fullmatch(r"[-._a-zA-Z0-9]{1,253}", key)) and key != "." and not key.startswith("..")


# What is derived


def hkdf(key: bytes, info: bytes, length: int) -> bytes:
    return hkdf_expand(hkdf_extract(b"", key), info, length)


def kid_of(public: bytes) -> str:
    return "k" + hashlib.sha256(b"strongroom/kid" + bytes([SUITE]) + public).digest()[:8].hex()


def ctx(scope: str, namespace: str, name: str, kind: str, slot: str) -> bytes:
    require(scope in ("strict", "namespace", "cluster"), "scope")
    namespace = "" if scope == "cluster" else namespace
    name = name if scope == "strict" else ""
    require(scope == "cluster" or namespace != "", "no-namespace")
    parts = [scope, namespace, name, kind, slot]
    return b"strongroom/seal/v1" + bytes([SUITE]) + b"".join(enc(part.encode()) for part in parts)


def commit_of(dek: bytes, context: bytes) -> bytes:
    return hkdf(dek, b"commit" + context, 32)


def wrap(public: bytes, context: bytes, commit: bytes, dek: bytes, randomness: bytes) -> bytes:
    return hpke_seal(public, b"wrap" + context + commit, dek, randomness)


def unwrap(key: PrivateKey, context: bytes, commit: bytes, sealed: bytes) -> bytes:
    dek = hpke_open(key, b"wrap" + context + commit, sealed)
    require(hmac.compare_digest(commit_of(dek, context), commit), "closed", "another commit")
    return dek


def pad(plaintext: bytes) -> bytes:
    body = enc(plaintext)
    return body + bytes(-len(body) % 32)


def value_key(dek: bytes, context: bytes, data_key: str, salt: bytes) -> tuple[bytes, bytes]:
    okm = hkdf(dek, b"value" + context + enc(data_key.encode()) + salt, 44)
    return okm[:32], okm[32:]


def seal_value(dek: bytes, context: bytes, data_key: str, plaintext: bytes, salt: bytes) -> bytes:
    key, nonce = value_key(dek, context, data_key, salt)
    return salt + AESGCM(key).encrypt(nonce, pad(plaintext), b"")


def open_value(dek: bytes, context: bytes, data_key: str, data: bytes) -> bytes:
    key, nonce = value_key(dek, context, data_key, data[:16])
    try:
        padded = AESGCM(key).decrypt(nonce, data[16:], b"")
    except InvalidTag as error:
        raise FormatError("closed", "the value does not open") from error
    plaintext = padded[4 : 4 + int.from_bytes(padded[:4], "big")]
    require(pad(plaintext) == padded and len(plaintext) <= MAX_VALUE, "closed", "padding")
    return plaintext


# The object


def parse_template(value: object) -> dict:
    template = fields(value, {"type", "immutable", "metadata", "data"})
    require(name_text(template.get("type", "Opaque")) != SERVICE_ACCOUNT_TOKEN, "service-account-token")
    require(isinstance(template.get("immutable", False), bool), "bool")
    for texts in fields(template.get("metadata", {}), {"labels", "annotations"}).values():
        for value in mapping(texts).values():
            text(value)
    for key, value in mapping(template.get("data", {})).items():
        require(is_data_key(key), "data-key")
        text(value)
    return template


def parse_slots(value: object) -> dict[str, tuple[bytes, dict[str, bytes]]]:
    """By id: the commit, and wraps by kid, in their order."""
    slots = {}
    require(len(sequence(value)) <= MAX_SLOTS, "too-many-slots")
    for slot in value:
        names = {"id", "commit", "wraps"}
        fields(slot, names, names)
        require(bool(re.fullmatch(r"s[0-9a-f]{8}", text(slot["id"]))), "slot-id")
        require(slot["id"] not in slots, "slot-twice")
        commit, wraps = base64_of(slot["commit"], 32), {}
        require(len(sequence(slot["wraps"])) <= MAX_WRAPS, "too-many-wraps")
        require(len(slot["wraps"]) > 0, "no-wraps")
        for each in slot["wraps"]:
            fields(each, {"kid", "ct"}, {"kid", "ct"})
            require(bool(re.fullmatch(r"k[0-9a-f]{16}", text(each["kid"]))), "kid")
            require(each["kid"] not in wraps, "kid-twice")
            wraps[each["kid"]] = base64_of(each["ct"], 1168)
        slots[slot["id"]] = (commit, wraps)
    return slots


def parse_value(value: object) -> tuple[str, bytes]:
    slot, dot, rest = text(value).partition(".")
    require(dot == "." and bool(re.fullmatch(r"s[0-9a-f]{8}", slot)), "value")
    data = base64_of(rest)
    sealed = len(data) - 32
    require(sealed >= 32 and sealed % 32 == 0 and sealed <= MAX_VALUE + 32, "value")
    return slot, data


def open_object(obj: object, seeds: list[bytes]) -> dict[str, bytes]:
    mapping(obj)
    require(obj.get("apiVersion") == API_VERSION and obj.get("kind") == "SealedSecret", "kind")
    for name in ("metadata", "spec"):
        require(name in obj, "missing", name)
    metadata = mapping(obj["metadata"])
    require("name" in metadata, "missing", "name")
    name = name_text(metadata["name"])
    namespace = name_text(metadata["namespace"]) if "namespace" in metadata else ""
    compulsory = {"suite", "binding", "slots", "values"}
    spec = fields(obj["spec"], compulsory | {"template"}, compulsory)
    require(type(spec["suite"]) is int and spec["suite"] == SUITE, "suite")
    binding = fields(spec["binding"], {"scope", "namespace", "name", "type"}, {"scope"})
    for record in binding.values():
        require(len(text(record).encode()) <= MAX_NAME, "too-long")
    require(binding["scope"] in ("strict", "namespace", "cluster"), "scope")
    template = parse_template(spec.get("template", {}))
    slots, values = parse_slots(spec["slots"]), {}
    for key, value in mapping(spec["values"]).items():
        require(is_data_key(key), "data-key")
        values[key] = parse_value(value)
        require(values[key][0] in slots, "no-slot")
        require(key not in template.get("data", {}), "key-twice")

    keys = {kid_of(key.public): key for key in map(PrivateKey, seeds)}
    used = {slot for slot, _ in values.values()}
    chosen, deks, out = {}, {}, {}
    for slot in used:
        chosen[slot] = next(((kid, sealed) for kid, sealed in slots[slot][1].items() if kid in keys), None)
        require(chosen[slot] is not None, "no-key")
    for slot, (kid, sealed) in chosen.items():
        context = ctx(binding["scope"], namespace, name, template.get("type", "Opaque"), slot)
        deks[slot] = (unwrap(keys[kid], context, slots[slot][0], sealed), context)
    for key, (slot, data) in values.items():
        out[key] = open_value(*deks[slot], key, data)
    return out


def seal_object(asked: dict, random: Random = os.urandom) -> dict:
    """One slot. `asked`: scope, namespace, name, type, values, recipients."""
    scope, namespace, name, kind = asked["scope"], asked["namespace"], asked["name"], asked["type"]
    slot = "s" + random(4).hex()
    context, dek = ctx(scope, namespace, name, kind, slot), random(32)
    commit, wraps, sealed = commit_of(dek, context), [], {}
    for public in asked["recipients"]:
        ct = wrap(public, context, commit, dek, random(64))
        wraps.append({"kid": kid_of(public), "ct": base64.b64encode(ct).decode()})
    for key, plaintext in asked["values"].items():
        data = seal_value(dek, context, key, plaintext, random(16))
        sealed[key] = f"{slot}.{base64.b64encode(data).decode()}"
    binding = {"scope": scope, "type": kind}
    if scope != "cluster":
        binding["namespace"] = namespace
    if scope == "strict":
        binding["name"] = name
    return {
        "apiVersion": API_VERSION,
        "kind": "SealedSecret",
        "metadata": {"name": name} | ({"namespace": namespace} if namespace else {}),
        "spec": {
            "suite": SUITE,
            "binding": binding,
            "template": {"type": kind},
            "slots": [{"id": slot, "commit": base64.b64encode(commit).decode(), "wraps": wraps}],
            "values": sealed,
        },
    }


def main() -> None:
    import sealing_keys

    if sys.argv[1] == "vectors":
        import sealing_vectors

        print(f"{sealing_vectors.write(Path(sys.argv[2]))} vectors in {sys.argv[2]}")
        return
    asked = json.load(sys.stdin)
    try:
        match sys.argv[1]:
            case "open":
                opened = open_object(asked["object"], [bytes.fromhex(seed) for seed in asked["seeds"]])
                answer = {key: base64.b64encode(value).decode() for key, value in opened.items()}
            case "seal":
                values = {key: base64.b64decode(value) for key, value in asked["values"].items()}
                recipients = [base64.b64decode(public) for public in asked["recipients"]]
                answer = seal_object(asked | {"values": values, "recipients": recipients})
            case "keys":
                answer = sealing_keys.verify(asked)
            case "sign":
                answer = sealing_keys.sign(bytes.fromhex(asked["seed"]), asked["cluster"], asked["serial"], asked["keys"])
            case "escrow":
                seed = bytes.fromhex(asked["seed"]) if "seed" in asked else sealing_keys.read_escrow_text(asked["text"])
                answer = sealing_keys.escrow(seed)
            case other:
                raise SystemExit(f"unknown command {other}")
    except FormatError as error:
        answer = {"refused": error.kind}
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
