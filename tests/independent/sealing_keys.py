"""The keys of sealed Secrets, from docs/format.md: signed lists of a cluster, and the escrow text."""

from __future__ import annotations

import base64
import hashlib
import re

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from strongroom_format import FormatError, enc
from strongroom_sealing import API_VERSION, base64_of, fields, kid_of, mapping, require, sequence, text
from x_wing import PrivateKey, check_public

STATES = ("pending", "active", "retiring", "retired")
CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def signed(cluster: str, identity: bytes, serial: int, keys: list[tuple[bytes, str, str]]) -> bytes:
    out = b"strongroom/sealing-keys/v1" + enc(cluster.encode()) + identity
    out += serial.to_bytes(8, "big") + len(keys).to_bytes(4, "big")
    for public, state, since in keys:
        out += public + enc(state.encode()) + enc(since.encode())
    return out


def sign(seed: bytes, cluster: str, serial: int, keys: list[dict]) -> dict:
    pair = Ed25519PrivateKey.from_private_bytes(seed)
    identity = pair.public_key().public_bytes_raw()
    parts = [(base64.b64decode(key["publicKey"]), key["state"], key["since"]) for key in keys]
    return {
        "apiVersion": API_VERSION,
        "kind": "SealingKeys",
        "cluster": cluster,
        "identity": base64.b64encode(identity).decode(),
        "serial": serial,
        "keys": [{"kid": kid_of(part[0])} | key for part, key in zip(parts, keys, strict=True)],
        "signature": base64.b64encode(pair.sign(signed(cluster, identity, serial, parts))).decode(),
    }


def verify(obj: object) -> dict:
    mapping(obj)
    require(obj.get("apiVersion") == API_VERSION and obj.get("kind") == "SealingKeys", "kind")
    names = {"apiVersion", "kind", "cluster", "identity", "serial", "keys", "signature"}
    fields(obj, names, names)
    identity, serial, keys = base64_of(obj["identity"], 32), obj["serial"], []
    require(type(serial) is int and 1 <= serial < 2**64, "serial")
    require(bool(re.fullmatch(r"[a-z0-9-]{1,63}", text(obj["cluster"]))), "cluster")
    for key in sequence(obj["keys"]):
        names = {"kid", "state", "since", "publicKey"}
        fields(key, names, names)
        public = base64_of(key["publicKey"], 1216)
        check_public(public)
        require(bool(re.fullmatch(r"k[0-9a-f]{16}", text(key["kid"]))), "kid")
        require(kid_of(public) == key["kid"], "other-kid")
        require(text(key["state"]) in STATES, "state")
        require(bool(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", text(key["since"]), re.ASCII)), "since")
        keys.append((public, key["state"], key["since"]))
    publics = [public for public, _, _ in keys]
    require(len(set(publics)) == len(publics), "twice")
    require([state for _, state, _ in keys].count("active") <= 1, "active")
    try:
        signature = base64_of(obj["signature"], 64)
        Ed25519PublicKey.from_public_bytes(identity).verify(signature, signed(obj["cluster"], identity, serial, keys))
    except InvalidSignature as error:
        raise FormatError("signature", "not by this identity over this") from error
    return {"identity": obj["identity"], "kids": [key["kid"] for key in obj["keys"]]}


def checksum(seed: bytes) -> bytes:
    return hashlib.sha256(b"strongroom/escrow" + seed).digest()[:3]


def print_escrow(data: bytes) -> str:
    number = int.from_bytes(data, "big")
    digits = "".join(CROCKFORD[(number >> (5 * i)) & 31] for i in reversed(range(56)))
    return "-".join(digits[i : i + 4] for i in range(0, 56, 4))


def escrow_text(seed: bytes) -> str:
    return print_escrow(seed + checksum(seed))


def read_escrow_text(typed: str) -> bytes:
    digits = re.sub(r"[-\t\n\f\r ]", "", typed)
    require(digits.isascii(), "character")
    digits = digits.upper().replace("I", "1").replace("L", "1").replace("O", "0")
    require(all(digit in CROCKFORD for digit in digits), "character")
    require(len(digits) == 56, "length")
    number = 0
    for digit in digits:
        number = number << 5 | CROCKFORD.index(digit)
    data = number.to_bytes(35, "big")
    require(checksum(data[:32]) == data[32:], "checksum")
    return data[:32]


def escrow(seed: bytes) -> dict:
    key = PrivateKey(seed)
    return {
        "text": escrow_text(seed),
        "seed": seed.hex(),
        "kid": kid_of(key.public),
        "publicKey": base64.b64encode(key.public).decode(),
    }
