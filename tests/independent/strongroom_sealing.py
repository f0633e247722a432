#!/usr/bin/env python3
"""Sealed Secrets, a second time: written from the part "Sealed Secrets" of docs/format.md alone.

    open       stdin {"object": ..., "seeds": [hex]}                        stdout {data key: base64}
    seal       stdin {"scope", "namespace", "name", "type", "values": {data key: base64}, "recipients": [base64]}
               stdout the object
    keys       stdin a SealingKeys object                                   stdout {"identity": base64, "kids": [...]}
    escrow     stdin {"seed": hex} or {"text": ...}                         stdout {"text", "seed", "kid", "publicKey"}

What is refused is {"refused": why}. Needs the package `cryptography` (requirements.txt) with ML-KEM; HPKE and X-Wing are spelled out here.
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
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

SUITE = 1
Q = 3329
P = 2**255 - 19
LOW_ORDER = {
    0,
    1,
    P - 1,
    int.from_bytes(bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"), "little"),
    int.from_bytes(bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"), "little"),
}
MAX_VALUE = 1_048_576


class Refused(Exception):
    """What a reader refuses, with a word that says why."""


def require(condition: bool, why: str) -> None:
    if not condition:
        raise Refused(why)


def enc(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


def hkdf_extract(salt: bytes, ikm: bytes) -> bytes:
    return hmac.digest(salt or bytes(32), ikm, "sha256")


def hkdf_expand(prk: bytes, info: bytes, length: int) -> bytes:
    out, block, counter = b"", b"", 1
    while len(out) < length:
        block = hmac.digest(prk, block + info + bytes([counter]), "sha256")
        out, counter = out + block, counter + 1
    return out[:length]


def hkdf(key: bytes, info: bytes, length: int) -> bytes:
    return hkdf_expand(hkdf_extract(b"", key), info, length)


def is_low_order(share: bytes) -> bool:
    u = int.from_bytes(share[:31] + bytes([share[31] & 0x7F]), "little")
    return u % P in LOW_ORDER


# X-Wing: draft-connolly-cfrg-xwing-kem-10


def x_wing_combiner(ss_m: bytes, ss_x: bytes, ct_x: bytes, pk_x: bytes) -> bytes:
    return hashlib.sha3_256(ss_m + ss_x + ct_x + pk_x + bytes.fromhex("5c2e2f2f5e5c")).digest()


def raw_public(key: X25519PublicKey) -> bytes:
    return key.public_bytes(Encoding.Raw, PublicFormat.Raw)


@dataclass
class PrivateKey:
    seed: bytes

    def __post_init__(self) -> None:
        expanded = hashlib.shake_256(self.seed).digest(96)
        self.mlkem = MLKEM768PrivateKey.from_seed_bytes(expanded[:64])
        self.x25519 = X25519PrivateKey.from_private_bytes(expanded[64:])
        self.pk_x = raw_public(self.x25519.public_key())
        self.public = self.mlkem.public_key().public_bytes_raw() + self.pk_x

    def decapsulate(self, ct: bytes) -> bytes:
        ct_m, ct_x = ct[:1088], ct[1088:]
        require(not is_low_order(ct_x), "closed")
        ss_x = self.x25519.exchange(X25519PublicKey.from_public_bytes(ct_x))
        return x_wing_combiner(self.mlkem.decapsulate(ct_m), ss_x, ct_x, self.pk_x)


def encapsulate(public: bytes) -> tuple[bytes, bytes]:
    ss_m, ct_m = MLKEM768PublicKey.from_public_bytes(public[:1184]).encapsulate()
    ephemeral, pk_x = X25519PrivateKey.generate(), public[1184:]
    ct_x = raw_public(ephemeral.public_key())
    ss_x = ephemeral.exchange(X25519PublicKey.from_public_bytes(pk_x))
    return x_wing_combiner(ss_m, ss_x, ct_x, pk_x), ct_m + ct_x


def check_public(public: bytes) -> None:
    require(len(public) == 1216, "length")
    require(not is_low_order(public[1184:]), "low order")
    packed = public[:1152]
    for i in range(0, len(packed), 3):
        pair = int.from_bytes(packed[i : i + 3], "little")
        require((pair & 0xFFF) < Q and (pair >> 12) < Q, "not canonical")


def kid_of(public: bytes) -> str:
    return "k" + hashlib.sha256(b"strongroom/kid" + bytes([SUITE]) + public).digest()[:8].hex()


# HPKE: RFC 9180, section 5.1, Base mode; KEM 0x647a, KDF 0x0001, AEAD 0x0003


def hpke_key(shared: bytes, info: bytes) -> tuple[bytes, bytes]:
    suite = b"HPKE" + (0x647A).to_bytes(2, "big") + (1).to_bytes(2, "big") + (3).to_bytes(2, "big")

    def extract(salt: bytes, label: bytes, ikm: bytes) -> bytes:
        return hkdf_extract(salt, b"HPKE-v1" + suite + label + ikm)

    def expand(prk: bytes, label: bytes, context: bytes, length: int) -> bytes:
        return hkdf_expand(prk, length.to_bytes(2, "big") + b"HPKE-v1" + suite + label + context, length)

    context = b"\x00" + extract(b"", b"psk_id_hash", b"") + extract(b"", b"info_hash", info)
    secret = extract(shared, b"secret", b"")
    return expand(secret, b"key", context, 32), expand(secret, b"base_nonce", context, 12)


# Sealed Secrets


def ctx(scope: str, namespace: str, name: str, kind: str, slot: str) -> bytes:
    namespace = "" if scope == "cluster" else namespace
    name = name if scope == "strict" else ""
    parts = [scope, namespace, name, kind, slot]
    return b"strongroom/seal/v1" + bytes([SUITE]) + b"".join(enc(part.encode()) for part in parts)


def pad(plaintext: bytes) -> bytes:
    body = enc(plaintext)
    return body + bytes(-len(body) % 32)


def value_key(dek: bytes, context: bytes, data_key: str, salt: bytes) -> tuple[bytes, bytes]:
    okm = hkdf(dek, b"value" + context + enc(data_key.encode()) + salt, 44)
    return okm[:32], okm[32:]


def base64_of(text: object, length: int | None = None) -> bytes:
    require(isinstance(text, str), "text")
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Refused("base64") from error
    require(base64.b64encode(data).decode() == text, "base64")
    require(length is None or len(data) == length, "length")
    return data


def fields(value: object, known: set[str]) -> dict:
    require(isinstance(value, dict), "mapping")
    require(set(value) <= known, "unknown field")
    return value


def is_data_key(key: str) -> bool:
    return bool(re.fullmatch(r"[-._a-zA-Z0-9]{1,253}", key)) and key != "." and not key.startswith("..")


def open_object(obj: dict, seeds: list[bytes]) -> dict[str, bytes]:
    require(isinstance(obj, dict) and obj.get("apiVersion") == "strongroom.dev/v1alpha1" and obj.get("kind") == "SealedSecret", "kind")
    metadata = obj["metadata"]
    name, namespace = metadata["name"], metadata.get("namespace", "")
    spec = fields(obj["spec"], {"suite", "binding", "template", "slots", "values"})
    require(spec["suite"] == SUITE and type(spec["suite"]) is int, "suite")
    binding = fields(spec["binding"], {"scope", "namespace", "name", "type"})
    scope = binding["scope"]
    require(scope in ("strict", "namespace", "cluster"), "scope")
    template = fields(spec.get("template", {}), {"type", "immutable", "metadata", "data"})
    fields(template.get("metadata", {}), {"labels", "annotations"})
    kind = template.get("type", "Opaque")
    require(kind != "" and kind != "kubernetes.io/service-account-token", "type")
    require(scope == "cluster" or namespace != "", "namespace")

    require(len(spec["slots"]) <= 64, "slots")
    slots = {}
    for slot in spec["slots"]:
        fields(slot, {"id", "commit", "wraps"})
        require(bool(re.fullmatch(r"s[0-9a-f]{8}", slot["id"])) and slot["id"] not in slots, "slot id")
        require(1 <= len(slot["wraps"]) <= 32, "wraps")
        wraps = []
        for wrap in slot["wraps"]:
            fields(wrap, {"kid", "ct"})
            require(bool(re.fullmatch(r"k[0-9a-f]{16}", wrap["kid"])), "kid")
            require(all(wrap["kid"] != kid for kid, _ in wraps), "kid")
            wraps.append((wrap["kid"], base64_of(wrap["ct"], 1168)))
        slots[slot["id"]] = (base64_of(slot["commit"], 32), wraps)

    values = {}
    for key, text in spec["values"].items():
        require(is_data_key(key), "data key")
        require(key not in template.get("data", {}), "data key")
        slot, _, rest = text.partition(".")
        require(slot in slots, "slot")
        data = base64_of(rest)
        sealed = len(data) - 32
        require(sealed >= 32 and sealed % 32 == 0 and sealed <= MAX_VALUE + 32, "value")
        values[key] = (slot, data)

    keys = {kid_of(key.public): key for key in map(PrivateKey, seeds)}
    used = {slot for slot, _ in values.values()}
    chosen = {}
    for slot in used:
        mine = [(kid, wrap) for kid, wrap in slots[slot][1] if kid in keys]
        require(bool(mine), "no key")
        chosen[slot] = mine[0]
    deks = {}
    for slot, (kid, wrap) in chosen.items():
        context, commit = ctx(scope, namespace, name, kind, slot), slots[slot][0]
        key, nonce = hpke_key(keys[kid].decapsulate(wrap[:1120]), b"wrap" + context + commit)
        try:
            dek = ChaCha20Poly1305(key).decrypt(nonce, wrap[1120:], b"")
        except InvalidTag as error:
            raise Refused("closed") from error
        require(hmac.compare_digest(hkdf(dek, b"commit" + context, 32), commit), "closed")
        deks[slot] = (dek, context)
    out = {}
    for data_key, (slot, data) in values.items():
        dek, context = deks[slot]
        key, nonce = value_key(dek, context, data_key, data[:16])
        try:
            padded = AESGCM(key).decrypt(nonce, data[16:], b"")
        except InvalidTag as error:
            raise Refused("closed") from error
        plaintext = padded[4 : 4 + int.from_bytes(padded[:4], "big")]
        require(pad(plaintext) == padded, "closed")
        out[data_key] = plaintext
    return out


def seal_object(scope: str, namespace: str, name: str, kind: str, values: dict[str, bytes], recipients: list[bytes]) -> dict:
    slot = "s" + os.urandom(4).hex()
    context, dek = ctx(scope, namespace, name, kind, slot), os.urandom(32)
    commit, wraps, sealed = hkdf(dek, b"commit" + context, 32), [], {}
    for public in recipients:
        check_public(public)
        shared, kem_ct = encapsulate(public)
        key, nonce = hpke_key(shared, b"wrap" + context + commit)
        ct = kem_ct + ChaCha20Poly1305(key).encrypt(nonce, dek, b"")
        wraps.append({"kid": kid_of(public), "ct": base64.b64encode(ct).decode()})
    for data_key, plaintext in values.items():
        salt = os.urandom(16)
        key, nonce = value_key(dek, context, data_key, salt)
        data = salt + AESGCM(key).encrypt(nonce, pad(plaintext), b"")
        sealed[data_key] = f"{slot}.{base64.b64encode(data).decode()}"
    binding = {"scope": scope, "type": kind}
    if scope != "cluster":
        binding["namespace"] = namespace
    if scope == "strict":
        binding["name"] = name
    return {
        "apiVersion": "strongroom.dev/v1alpha1",
        "kind": "SealedSecret",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "suite": SUITE,
            "binding": binding,
            "template": {"type": kind},
            "slots": [{"id": slot, "commit": base64.b64encode(commit).decode(), "wraps": wraps}],
            "values": sealed,
        },
    }


# Keys


def verify_keys(obj: dict) -> dict:
    known = {"apiVersion", "kind", "cluster", "identity", "serial", "keys", "signature"}
    require(obj.get("kind") == "SealingKeys" and set(obj) == known, "kind")
    identity = base64_of(obj["identity"], 32)
    signed = b"strongroom/sealing-keys/v1" + enc(obj["cluster"].encode()) + identity
    signed += obj["serial"].to_bytes(8, "big") + len(obj["keys"]).to_bytes(4, "big")
    kids = []
    for key in obj["keys"]:
        public = base64_of(key["publicKey"], 1216)
        check_public(public)
        require(kid_of(public) == key["kid"] and key["kid"] not in kids, "kid")
        kids.append(key["kid"])
        signed += public + enc(key["state"].encode()) + enc(key["since"].encode())
    try:
        Ed25519PublicKey.from_public_bytes(identity).verify(base64_of(obj["signature"], 64), signed)
    except InvalidSignature as error:
        raise Refused("signature") from error
    return {"identity": obj["identity"], "kids": kids}


CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def checksum(seed: bytes) -> bytes:
    return hashlib.sha256(b"strongroom/escrow" + seed).digest()[:3]


def escrow_text(seed: bytes) -> str:
    number = int.from_bytes(seed + checksum(seed), "big")
    digits = "".join(CROCKFORD[(number >> (5 * i)) & 31] for i in reversed(range(56)))
    return "-".join(digits[i : i + 4] for i in range(0, 56, 4))


def read_escrow_text(text: str) -> bytes:
    digits = re.sub(r"[-\t\n\f\r ]", "", text).upper().replace("I", "1").replace("L", "1").replace("O", "0")
    require(all(digit in CROCKFORD for digit in digits) and text.isascii(), "character")
    require(len(digits) == 56, "length")
    number = 0
    for digit in digits:
        number = number << 5 | CROCKFORD.index(digit)
    data = number.to_bytes(35, "big")
    require(checksum(data[:32]) == data[32:], "checksum")
    return data[:32]


def escrow(asked: dict) -> dict:
    seed = bytes.fromhex(asked["seed"]) if "seed" in asked else read_escrow_text(asked["text"])
    key = PrivateKey(seed)
    return {
        "text": escrow_text(seed),
        "seed": seed.hex(),
        "kid": kid_of(key.public),
        "publicKey": base64.b64encode(key.public).decode(),
    }


def main() -> None:
    asked = json.load(sys.stdin)
    try:
        match sys.argv[1]:
            case "open":
                opened = open_object(asked["object"], [bytes.fromhex(seed) for seed in asked["seeds"]])
                answer = {key: base64.b64encode(value).decode() for key, value in opened.items()}
            case "seal":
                values = {key: base64.b64decode(value) for key, value in asked["values"].items()}
                recipients = [base64.b64decode(public) for public in asked["recipients"]]
                answer = seal_object(asked["scope"], asked["namespace"], asked["name"], asked["type"], values, recipients)
            case "keys":
                answer = verify_keys(asked)
            case "escrow":
                answer = escrow(asked)
            case other:
                raise SystemExit(f"unknown command {other}")
    except Refused as refused:
        answer = {"refused": str(refused)}
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
