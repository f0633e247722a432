#!/usr/bin/env python3
"""Every format of docs/format.md, a second time.

Written from that page alone, so that two implementations which agree show that the page says enough. It makes the vectors in
envelope/vectors, checks what the daemon writes, and opens a ciphertext with nothing but the root key file at hand.

Needs Python 3.11 and the package `cryptography` (requirements.txt); XAES is spelled out here on AES-ECB and AES-GCM. Nothing here
is hardened against a second user of the same machine: keys stay in Python's memory until the process ends.

Every parser takes arbitrary bytes, and either returns a value that encodes to the same bytes or raises FormatError.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import pairwise
from pathlib import Path

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import constant_time, hashes, hmac
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB

KEY_LEN = 32
NONCE_LEN = 24
TAG_LEN = 16
FRAME_LEN = 1 + NONCE_LEN + KEY_LEN + TAG_LEN
FINGERPRINT_LEN = 6
MAC_LEN = 32
CLUSTER_LEN = 16
HASH_LEN = 32
SIGNATURE_LEN = 64

RESERVED_RINGS = ("state", "probe")
MAX_RING = 31
MAX_BLOB = 2048
MAX_ARN = 256
MAX_WRAPPED = 1 + FINGERPRINT_LEN + MAX_BLOB
MAX_BUNDLE = 4_194_304
MAX_VERSIONS = 4096
MAX_WRAPS = 16
MAX_U32 = 2**32 - 1
MAX_U64 = 2**64 - 1

FORMAT_VERSION = 0x01
LEDGER_RING = "state"


class FormatError(Exception):
    """The one refusal of this module.

    `kind` is what a vector expects:

    * `length`   bytes are missing or left over, or a length is over its limit
    * `version`  the first byte of a frame, a wrapped key or a bundle is not known
    * `field`    a value, or a number of values, is not one that the page allows
    * `root`     nothing here is wrapped under this root
    * `open`     a tag, a MAC, a signature or a fingerprint does not fit
    * `chain`    a record is not the one that follows in its chain
    * `stale`    the generation is lower than the accepted one
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(f"{kind}: {message}")
        self.kind = kind


# --- Notation -----------------------------------------------------------------------------------------------------------------


def u8(value: int) -> bytes:
    return value.to_bytes(1, "big")


def u16be(value: int) -> bytes:
    return value.to_bytes(2, "big")


def u32be(value: int) -> bytes:
    return value.to_bytes(4, "big")


def u64be(value: int) -> bytes:
    return value.to_bytes(8, "big")


def enc(value: bytes) -> bytes:
    return u32be(len(value)) + value


def hmac_sha256(key: bytes, message: bytes) -> bytes:
    mac = hmac.HMAC(key, hashes.SHA256())
    mac.update(message)
    return mac.finalize()


def sha256(message: bytes) -> bytes:
    digest = hashes.Hash(hashes.SHA256())
    digest.update(message)
    return digest.finalize()


class Reader:
    """Takes a byte string apart from the front. Never reads past its end."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, count: int) -> bytes:
        if count > len(self._data) - self._at:
            raise FormatError("length", f"{count} bytes are due at offset {self._at}")
        self._at += count
        return self._data[self._at - count : self._at]

    def uint(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def enc(self, limit: int) -> bytes:
        size = self.uint(4)
        if size > limit:
            raise FormatError("length", f"{size} bytes where at most {limit} may stand")
        return self.take(size)

    def rest(self) -> bytes:
        return self.take(len(self._data) - self._at)

    def format_version(self) -> None:
        if self.uint(1) != FORMAT_VERSION:
            raise FormatError("version", "unknown version byte")

    def end(self) -> None:
        if self._at != len(self._data):
            raise FormatError("length", f"bytes are left over at offset {self._at}")


# --- Keys ---------------------------------------------------------------------------------------------------------------------

_RING = re.compile(r"[a-z][a-z0-9-]{0,30}")
_KEY_ID = re.compile(r"([a-z][a-z0-9-]{0,30})/v([1-9][0-9]{0,9})/([0-9a-f]{12})")


def check_key(key: bytes) -> bytes:
    if len(key) != KEY_LEN:
        raise FormatError("length", f"a key is {KEY_LEN} bytes, not {len(key)}")
    return key


def parse_root_file(data: bytes) -> bytes:
    """The root key file: 32 bytes and nothing else."""
    return check_key(data)


def fingerprint(key: bytes) -> bytes:
    return hmac_sha256(check_key(key), b"strongroom/fingerprint/v1")[:FINGERPRINT_LEN]


def root_id(key: bytes) -> bytes:
    return hmac_sha256(check_key(key), b"strongroom/root/v1")[:FINGERPRINT_LEN]


_AWS_KEY = re.compile(r"arn:([a-z0-9-]+):kms:([a-z0-9-]+):([0-9]{12}):key/([a-z0-9-]+)")


def parse_aws_key(data: bytes) -> tuple[str, bytes]:
    """The region and the root id of a key of AWS KMS, by its ARN."""
    match = _AWS_KEY.fullmatch(ascii_text(data))
    if match is None or len(data) > MAX_ARN:
        raise FormatError("field", "not the ARN of a key of AWS KMS")
    partition, region, account, key_id = match.groups()
    named = "" if key_id.startswith("mrk-") else region
    message = b"".join(enc(part.encode("ascii")) for part in ("strongroom/root/aws-kms/v1", partition, named, account, key_id))
    return region, sha256(message)[:FINGERPRINT_LEN]


def ascii_text(data: bytes) -> str:
    try:
        return data.decode("ascii")
    except UnicodeDecodeError:
        raise FormatError("field", "not ASCII") from None


def parse_ring(data: bytes) -> str:
    text = ascii_text(data)
    if _RING.fullmatch(text) is None:
        raise FormatError("field", "not a ring name")
    return text


@dataclass(frozen=True)
class KeyId:
    """`<ring>/v<version>/<hex(fingerprint)>`"""

    ring: str
    version: int
    fingerprint: bytes

    @classmethod
    def parse(cls, data: bytes) -> KeyId:
        match = _KEY_ID.fullmatch(ascii_text(data))
        if match is None:
            raise FormatError("field", "not a key id")
        version = int(match[2])
        if version > MAX_U32:
            raise FormatError("field", "the version in a key id is too large")
        return cls(match[1], version, bytes.fromhex(match[3]))

    @classmethod
    def of(cls, ring: str, version: int, key: bytes) -> KeyId:
        return cls(ring, version, fingerprint(key))

    def __str__(self) -> str:
        return f"{self.ring}/v{self.version}/{self.fingerprint.hex()}"

    def encode(self) -> bytes:
        return str(self).encode("ascii")


# --- Context ------------------------------------------------------------------------------------------------------------------


class Purpose(IntEnum):
    DEK_SEED = 1
    KEY = 2
    PROBE = 3


def context(purpose: int, key_id: KeyId) -> bytes:
    ring = key_id.ring.encode("ascii")
    return b"strongroom/context/v1" + u8(purpose) + enc(ring) + enc(key_id.encode())


def aws_context(purpose: int, key_id: KeyId) -> dict[str, str]:
    """The encryption context under a key of AWS KMS."""
    word = {Purpose.DEK_SEED: "seed", Purpose.KEY: "key", Purpose.PROBE: "probe"}[Purpose(purpose)]
    return {"strongroom:purpose": word, "strongroom:ring": key_id.ring, "strongroom:key-id": str(key_id)}


def associated(purpose: int, key_id: KeyId, annotation: bytes | None) -> bytes:
    """The context, and the annotation beside the frame where there is one."""
    return context(purpose, key_id) + (b"" if annotation is None else enc(annotation))


# --- XAES-256-GCM (C2SP) ------------------------------------------------------------------------------------------------------


def _xaes_inner(key: bytes, nonce: bytes) -> tuple[AESGCM, bytes]:
    """AES-256-GCM under the key derived from nonce[:12], with nonce[12:].

    The derivation is NIST SP 800-108r1 in counter mode over CMAC: two blocks, each of them the last of its message and complete,
    so that CMAC comes down to one AES call after the subkey K1.
    """
    aes = Cipher(AES(check_key(key)), ECB()).encryptor()
    zeros = aes.update(bytes(16))
    doubled = int.from_bytes(zeros, "big") << 1
    if doubled >> 128:
        doubled ^= (1 << 128) | 0x87
    blocks = b""
    for counter in (1, 2):
        message = u16be(counter) + b"X\0" + nonce[:12]
        blocks += (int.from_bytes(message, "big") ^ doubled).to_bytes(16, "big")
    return AESGCM(aes.update(blocks)), nonce[12:]


def xaes_seal(key: bytes, nonce: bytes, plaintext: bytes, aad: bytes) -> bytes:
    if len(nonce) != NONCE_LEN:
        raise FormatError("length", "a nonce is 24 bytes")
    inner, inner_nonce = _xaes_inner(key, nonce)
    return inner.encrypt(inner_nonce, plaintext, aad)


def xaes_open(key: bytes, nonce: bytes, ciphertext: bytes, aad: bytes) -> bytes:
    if len(nonce) != NONCE_LEN or len(ciphertext) < TAG_LEN:
        raise FormatError("length", "a nonce is 24 bytes, and a tag 16")
    inner, inner_nonce = _xaes_inner(key, nonce)
    try:
        return inner.decrypt(inner_nonce, ciphertext, aad)
    except InvalidTag:
        raise FormatError("open", "the tag does not fit this key and context") from None


@dataclass(frozen=True)
class XaesVector:
    comment: str
    key: bytes
    nonce: bytes
    plaintext: bytes
    aad: bytes
    ciphertext: bytes


C2SP_VECTORS = {
    "msb-of-l-is-0": XaesVector(
        "C2SP XAES-256-GCM, first test vector: the most significant bit of L is 0",
        b"\x01" * 32,
        b"ABCDEFGHIJKLMNOPQRSTUVWX",
        b"XAES-256-GCM",
        b"",
        bytes.fromhex("ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271"),
    ),
    "msb-of-l-is-1": XaesVector(
        "C2SP XAES-256-GCM, second test vector: the most significant bit of L is 1",
        b"\x03" * 32,
        b"ABCDEFGHIJKLMNOPQRSTUVWX",
        b"XAES-256-GCM",
        b"c2sp.org/XAES-256-GCM",
        bytes.fromhex("986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d"),
    ),
}


def check_xaes() -> None:
    """Raises unless the construction above gives what C2SP publishes."""
    for name, vector in C2SP_VECTORS.items():
        sealed = xaes_seal(vector.key, vector.nonce, vector.plaintext, vector.aad)
        opened = xaes_open(vector.key, vector.nonce, vector.ciphertext, vector.aad)
        if sealed != vector.ciphertext or opened != vector.plaintext:
            raise RuntimeError(f"XAES-256-GCM does not give the C2SP vector {name}")


# --- Frame --------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Frame:
    """`0x01 ‖ nonce[24] ‖ ciphertext[32] ‖ tag[16]`"""

    nonce: bytes
    ciphertext_and_tag: bytes

    @classmethod
    def parse(cls, data: bytes) -> Frame:
        reader = Reader(data)
        reader.format_version()
        frame = cls(reader.take(NONCE_LEN), reader.take(KEY_LEN + TAG_LEN))
        reader.end()
        return frame

    @classmethod
    def seal(
        cls, key: bytes, purpose: int, key_id: KeyId, secret: bytes, nonce: bytes, annotation: bytes | None = None
    ) -> Frame:
        return cls(nonce, xaes_seal(key, nonce, check_key(secret), associated(purpose, key_id, annotation)))

    def encode(self) -> bytes:
        return u8(FORMAT_VERSION) + self.nonce + self.ciphertext_and_tag

    def open(self, key: bytes, purpose: int, key_id: KeyId, annotation: bytes | None = None) -> bytes:
        return xaes_open(key, self.nonce, self.ciphertext_and_tag, associated(purpose, key_id, annotation))


# --- Wrapped key --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Wrapped:
    """`0x01 ‖ root_id[6] ‖ blob[1…2048]`"""

    root_id: bytes
    blob: bytes

    @classmethod
    def parse(cls, data: bytes) -> Wrapped:
        reader = Reader(data)
        reader.format_version()
        wrapped = cls(reader.take(FINGERPRINT_LEN), reader.rest())
        if not 1 <= len(wrapped.blob) <= MAX_BLOB:
            raise FormatError("length", f"a blob has 1 to {MAX_BLOB} bytes")
        return wrapped

    @classmethod
    def wrap(cls, root: bytes, key_id: KeyId, key: bytes, nonce: bytes) -> Wrapped:
        return cls(root_id(root), Frame.seal(root, Purpose.KEY, key_id, key, nonce).encode())

    def encode(self) -> bytes:
        return u8(FORMAT_VERSION) + self.root_id + self.blob

    def unwrap(self, root: bytes, key_id: KeyId) -> bytes:
        """With a local root. The key that comes out is the one that `key_id` names, or nothing comes out."""
        if self.root_id != root_id(root):
            raise FormatError("root", f"wrapped under the root {self.root_id.hex()}")
        try:
            frame = Frame.parse(self.blob)
        except FormatError:
            raise FormatError("open", "under a local root, a blob is a frame") from None
        key = frame.open(root, Purpose.KEY, key_id)
        if not constant_time.bytes_eq(fingerprint(key), key_id.fingerprint):
            raise FormatError("open", "another key came out than the key id names")
        return key


# --- Bundle -------------------------------------------------------------------------------------------------------------------


class State(IntEnum):
    PRE_ACTIVE = 1
    ACTIVE = 2
    DEACTIVATED = 3
    ARCHIVED = 4
    DESTROY_SCHEDULED = 5
    DESTROYED = 6
    COMPROMISED = 7


def encode_wraps(wraps: Sequence[Wrapped]) -> bytes:
    return u8(len(wraps)) + b"".join(enc(wrapped.encode()) for wrapped in wraps)


def read_wraps(reader: Reader) -> tuple[Wrapped, ...]:
    count = reader.uint(1)
    wraps = tuple(Wrapped.parse(reader.enc(MAX_WRAPPED)) for _ in range(count))
    if count > MAX_WRAPS:
        raise FormatError("field", f"at most {MAX_WRAPS} wraps")
    check_ascending([wrapped.root_id for wrapped in wraps], "wraps ascend by root id")
    return wraps


def read_version(reader: Reader) -> int:
    version = reader.uint(4)
    if version == 0:
        raise FormatError("field", "versions start at 1")
    return version


def check_ascending(values: Sequence[bytes] | Sequence[int], rule: str) -> None:
    if any(not earlier < later for earlier, later in pairwise(values)):  # type: ignore[operator]
        raise FormatError("field", rule)


def unwrap_one(wraps: Sequence[Wrapped], roots: Sequence[bytes], key_id: KeyId) -> bytes:
    """The key, by the first wrap that names one of these roots. Nothing is tried: if that one does not open, none does."""
    for wrapped in wraps:
        for root in roots:
            if wrapped.root_id == root_id(root):
                return wrapped.unwrap(root, key_id)
    raise FormatError("root", "not wrapped under any of these roots")


@dataclass(frozen=True)
class LedgerKey:
    """`u32be(version) ‖ fingerprint[6] ‖ wraps`"""

    version: int
    fingerprint: bytes
    wraps: tuple[Wrapped, ...]

    @classmethod
    def read(cls, reader: Reader) -> LedgerKey:
        ledger = cls(read_version(reader), reader.take(FINGERPRINT_LEN), read_wraps(reader))
        if not ledger.wraps:
            raise FormatError("field", "the ledger key has at least one wrap")
        return ledger

    def encode(self) -> bytes:
        return u32be(self.version) + self.fingerprint + encode_wraps(self.wraps)

    @property
    def key_id(self) -> KeyId:
        return KeyId(LEDGER_RING, self.version, self.fingerprint)


@dataclass(frozen=True)
class KeyVersion:
    """`u32be(version) ‖ fingerprint[6] ‖ u8(state) ‖ u64be(created) ‖ u64be(activated) ‖ wraps`"""

    version: int
    fingerprint: bytes
    state: int
    created: int
    activated: int
    wraps: tuple[Wrapped, ...]

    @classmethod
    def read(cls, reader: Reader) -> KeyVersion:
        version = cls(
            version=read_version(reader),
            fingerprint=reader.take(FINGERPRINT_LEN),
            state=reader.uint(1),
            created=reader.uint(8),
            activated=reader.uint(8),
            wraps=read_wraps(reader),
        )
        version.check()
        return version

    def check(self) -> None:
        if self.state not in State.__members__.values():
            raise FormatError("field", "unknown state")
        if self.state == State.ACTIVE and self.activated == 0:
            raise FormatError("field", "an active version was activated")
        if self.state == State.PRE_ACTIVE and self.activated != 0:
            raise FormatError("field", "a pre_active version was never activated")
        if (self.state == State.DESTROYED) != (not self.wraps):
            raise FormatError("field", "a destroyed version has no wraps, any other at least one")

    def encode(self) -> bytes:
        return (
            u32be(self.version)
            + self.fingerprint
            + u8(self.state)
            + u64be(self.created)
            + u64be(self.activated)
            + encode_wraps(self.wraps)
        )


@dataclass(frozen=True)
class Bundle:
    """All versions of one ring, as far as it can be read without a key."""

    ring: str
    generation: int
    ledger: LedgerKey
    versions: tuple[KeyVersion, ...]
    mac: bytes

    @classmethod
    def parse(cls, data: bytes) -> Bundle:
        """Holds a bundle to every rule that needs no key. Nothing in it is to be believed before `authenticate`."""
        reader = Reader(data)
        reader.format_version()
        size = reader.uint(4)
        if size > MAX_BUNDLE or size != len(data):
            raise FormatError("length", "the length field is not the length of this bundle")
        body = reader.rest()
        if len(body) < MAC_LEN:
            raise FormatError("length", "no room for the MAC")
        reader, mac = Reader(body[:-MAC_LEN]), body[-MAC_LEN:]
        ring = parse_ring(reader.enc(MAX_RING))
        if ring in RESERVED_RINGS:
            raise FormatError("field", "this name belongs to other keys")
        generation = reader.uint(8)
        if generation == 0:
            raise FormatError("field", "the generation is at least 1")
        ledger = LedgerKey.read(reader)
        count = reader.uint(2)
        versions = tuple(KeyVersion.read(reader) for _ in range(count))
        reader.end()
        if count > MAX_VERSIONS:
            raise FormatError("field", f"at most {MAX_VERSIONS} versions")
        check_ascending([version.version for version in versions], "versions ascend")
        if len({version.fingerprint for version in versions}) != len(versions):
            raise FormatError("field", "a fingerprint stands twice")
        if sum(version.state == State.ACTIVE for version in versions) != 1:
            raise FormatError("field", "exactly one version is active")
        return cls(ring, generation, ledger, versions, mac)

    @classmethod
    def seal(cls, ledger_key: bytes, ring: str, generation: int, ledger: LedgerKey, versions: Sequence[KeyVersion]) -> Bundle:
        unsealed = cls(ring, generation, ledger, tuple(versions), b"")
        return cls(ring, generation, ledger, tuple(versions), bundle_mac(ledger_key, unsealed._before_mac()))

    def _before_mac(self) -> bytes:
        rest = enc(self.ring.encode("ascii")) + u64be(self.generation) + self.ledger.encode()
        rest += u16be(len(self.versions)) + b"".join(version.encode() for version in self.versions)
        return u8(FORMAT_VERSION) + u32be(5 + len(rest) + MAC_LEN) + rest

    def encode(self) -> bytes:
        return self._before_mac() + self.mac

    def authenticate(self, roots: Sequence[bytes]) -> None:
        ledger_key = unwrap_one(self.ledger.wraps, roots, self.ledger.key_id)
        if not constant_time.bytes_eq(self.mac, bundle_mac(ledger_key, self._before_mac())):
            raise FormatError("open", "the MAC does not fit")

    @classmethod
    def open(cls, data: bytes, roots: Sequence[bytes], accepted: int | None = None) -> Bundle:
        bundle = cls.parse(data)
        bundle.authenticate(roots)
        if accepted is not None and bundle.generation < accepted:
            raise FormatError("stale", f"generation {bundle.generation} after {accepted} was accepted")
        return bundle

    def key_id(self, version: KeyVersion) -> KeyId:
        return KeyId(self.ring, version.version, version.fingerprint)


def bundle_mac(ledger_key: bytes, before_mac: bytes) -> bytes:
    return hmac_sha256(check_key(ledger_key), enc(b"strongroom/bundle/v1") + before_mac)


# --- Accepted generation ------------------------------------------------------------------------------------------------------


def parse_accepted(data: bytes) -> int:
    match = re.fullmatch(r"([1-9][0-9]{0,19})\n", ascii_text(data))
    if match is None or int(match[1]) > MAX_U64:
        raise FormatError("field", "not an accepted generation")
    return int(match[1])


def encode_accepted(generation: int) -> bytes:
    return f"{generation}\n".encode("ascii")


# --- Ledger rows --------------------------------------------------------------------------------------------------------------

Value = int | str | bytes | None


@dataclass(frozen=True)
class Column:
    """One field of a row. A `nullable` text is written as empty where it is NULL."""

    kind: str
    name: str
    size: int | None = None
    nullable: bool = False
    where_destroyed: bool = False


def num(name: str, where_destroyed: bool = False) -> Column:
    return Column("num", name, where_destroyed=where_destroyed)


def opt(name: str) -> Column:
    return Column("opt", name)


def txt(name: str, nullable: bool = False, where_destroyed: bool = False) -> Column:
    return Column("txt", name, nullable=nullable, where_destroyed=where_destroyed)


def raw(name: str, size: int | None = None) -> Column:
    return Column("raw", name, size)


TABLES: dict[str, tuple[Column, ...]] = {
    "heads": (
        num("revision"),
        num("generation"),
        num("audit_seq"),
        raw("audit_hash", HASH_LEN),
        num("versions"),
        num("holds"),
        num("runs"),
        num("replicas"),
        raw("contents", 4 * HASH_LEN),
    ),
    "versions": (
        txt("key_id"),
        txt("state"),
        num("created"),
        opt("activated"),
        num("changed"),
        num("destruction"),
        txt("requested_by", where_destroyed=True),
        num("wait", where_destroyed=True),
        num("observed", where_destroyed=True),
        txt("approved_by", nullable=True, where_destroyed=True),
        raw("wraps"),
    ),
    "holds": (
        num("id"),
        num("first"),
        num("last"),
        num("until"),
        txt("reason"),
        txt("added_by"),
        num("added_at"),
        txt("released_by", nullable=True),
        opt("released_at"),
    ),
    "runs": (
        num("id"),
        txt("trigger"),
        txt("reason"),
        txt("requested_by"),
        num("begun"),
        num("from"),
        opt("to"),
        opt("activated"),
        opt("converged"),
        txt("state"),
        opt("ended"),
        txt("outcome"),
    ),
    "replicas": (
        num("id"),
        txt("name"),
        num("joined"),
        txt("removed_by", nullable=True),
        opt("removed_at"),
    ),
    "reports": (
        txt("replica"),
        num("generation"),
        raw("bundle", 32),
        num("serving"),
        num("tested"),
    ),
}


RUN_STATES = ("open", "paused", "cancelled", "done")


def columns_of(table: str, values: Mapping[str, Value]) -> list[Column]:
    """The columns that stand in a row with these values: what belongs to a destruction only where there is one."""
    if table not in TABLES:
        raise FormatError("field", "not a table whose rows have a MAC")
    return [column for column in TABLES[table] if values.get("destruction") == 1 or not column.where_destroyed]


def encode_field(column: Column, value: Value) -> bytes:
    match column.kind, value:
        case "num", int():
            return number(value)
        case "opt", None:
            return u8(0)
        case "opt", int():
            return u8(1) + number(value)
        case "txt", str():
            return enc(value.encode("utf-8"))
        case "txt", None if column.nullable:
            return enc(b"")
        case "raw", bytes():
            if column.size not in (None, len(value)):
                raise FormatError("length", f"{column.name} has {column.size} bytes")
            return enc(value)
    raise FormatError("field", f"{column.name} is a {column.kind}")


def number(value: int) -> bytes:
    if not 0 <= value <= MAX_U64:
        raise FormatError("field", "not a number of 8 bytes")
    return u64be(value)


def check_cluster(cluster: bytes) -> bytes:
    if len(cluster) != CLUSTER_LEN:
        raise FormatError("length", f"the id of a cluster is {CLUSTER_LEN} bytes")
    return cluster


@dataclass(frozen=True)
class Row:
    """`enc(table) ‖ enc(cluster[16]) ‖ enc(ring) ‖ fields`"""

    table: str
    cluster: bytes
    ring: str
    values: Mapping[str, Value]

    def encode(self) -> bytes:
        columns = columns_of(self.table, self.values)
        if {column.name for column in columns} != set(self.values):
            raise FormatError("field", "a column is missing or too many")
        if self.table == "versions":
            self._check_version()
        if self.table == "runs" and self.values["state"] not in RUN_STATES:
            raise FormatError("field", "not the word for a state of a run")
        fields = b"".join(encode_field(column, self.values[column.name]) for column in columns)
        ring = self.ring.encode("ascii")
        return enc(self.table.encode("ascii")) + enc(check_cluster(self.cluster)) + enc(ring) + fields

    def _check_version(self) -> None:
        key_id, state, wraps = (self.values[name] for name in ("key_id", "state", "wraps"))
        if not isinstance(key_id, str) or not isinstance(state, str) or not isinstance(wraps, bytes):
            raise FormatError("field", "a version has a key id, a state and wraps")
        KeyId.parse(key_id.encode("utf-8"))
        if state not in [known.name.lower() for known in State]:
            raise FormatError("field", "not the word for a state")
        if self.values["destruction"] not in (0, 1):
            raise FormatError("field", "a destruction is asked for, or it is not")
        reader = Reader(wraps)
        read_wraps(reader)
        reader.end()

    def mac(self, ledger_key: bytes) -> bytes:
        return hmac_sha256(check_key(ledger_key), enc(b"strongroom/ledger-row/v1") + self.encode())

    def verify(self, ledger_key: bytes, mac: bytes) -> None:
        if len(mac) != MAC_LEN:
            raise FormatError("length", f"a MAC is {MAC_LEN} bytes")
        if not constant_time.bytes_eq(mac, self.mac(ledger_key)):
            raise FormatError("open", "the MAC does not fit")


def contents(
    versions: Mapping[int, bytes], holds: Mapping[int, bytes], runs: Mapping[int, bytes], replicas: Mapping[int, bytes]
) -> bytes:
    """What a head says of all other rows of its ring, from their MACs by number or by id."""
    return b"".join(sha256(b"".join(macs[at] for at in sorted(macs))) for macs in (versions, holds, runs, replicas))


# --- Audit chain --------------------------------------------------------------------------------------------------------------

START = bytes(HASH_LEN)


@dataclass(frozen=True)
class Record:
    """One decision, or one thing that was done."""

    cluster: bytes
    ring: str
    seq: int
    at: int
    actor: str
    action: str
    subject: str
    detail: str
    previous: bytes

    def encode(self) -> bytes:
        if len(self.previous) != HASH_LEN:
            raise FormatError("length", f"a hash is {HASH_LEN} bytes")
        place = enc(check_cluster(self.cluster)) + enc(self.ring.encode("ascii")) + number(self.seq) + number(self.at)
        texts = b"".join(enc(text.encode("utf-8")) for text in (self.actor, self.action, self.subject, self.detail))
        return u8(FORMAT_VERSION) + place + texts + self.previous

    def hash(self) -> bytes:
        return sha256(enc(b"strongroom/audit/v1") + self.encode())


def check_chain(cluster: bytes, ring: str, records: Sequence[Record]) -> list[bytes]:
    """The hashes of a whole chain, from its first record."""
    hashes_: list[bytes] = []
    for seq, record in enumerate(records, 1):
        if (record.cluster, record.ring) != (cluster, ring):
            raise FormatError("chain", "a record of another chain")
        if record.seq != seq:
            raise FormatError("chain", f"record {record.seq} where {seq} is due")
        if record.previous != (hashes_[-1] if hashes_ else START):
            raise FormatError("chain", f"record {seq} does not follow the one before")
        hashes_.append(record.hash())
    return hashes_


@dataclass(frozen=True)
class Checkpoint:
    """Where a chain stands after record `seq`."""

    cluster: bytes
    ring: str
    seq: int
    at: int
    hash: bytes

    def encode(self) -> bytes:
        """What is signed."""
        if len(self.hash) != HASH_LEN:
            raise FormatError("length", f"a hash is {HASH_LEN} bytes")
        place = enc(check_cluster(self.cluster)) + enc(self.ring.encode("ascii"))
        return enc(b"strongroom/audit-checkpoint/v1") + place + number(self.seq) + number(self.at) + self.hash

    def sign(self, ledger_key: bytes) -> bytes:
        return signing_key(ledger_key, self.cluster).sign(self.encode())

    def verify(self, public_key: bytes, signature: bytes) -> None:
        if len(public_key) != KEY_LEN or len(signature) != SIGNATURE_LEN:
            raise FormatError("length", f"a public key is {KEY_LEN} bytes, a signature {SIGNATURE_LEN}")
        try:
            Ed25519PublicKey.from_public_bytes(public_key).verify(signature, self.encode())
        except (InvalidSignature, ValueError):
            raise FormatError("open", "the signature does not fit") from None


def signing_key(ledger_key: bytes, cluster: bytes) -> Ed25519PrivateKey:
    seed = hmac_sha256(check_key(ledger_key), enc(b"strongroom/audit-signing/v1") + enc(check_cluster(cluster)))
    return Ed25519PrivateKey.from_private_bytes(seed)


def audit_public_key(ledger_key: bytes, cluster: bytes) -> bytes:
    return signing_key(ledger_key, cluster).public_key().public_bytes_raw()


# --- What a ciphertext of kube-apiserver needs --------------------------------------------------------------------------------


def recover(root: bytes, key_id: KeyId, annotation: bytes, ciphertext: bytes) -> bytes:
    """The DEK seed in `ciphertext`, by the wrapped key in the annotation beside it and the root key. No bundle is read."""
    key = Wrapped.parse(annotation).unwrap(root, key_id)
    return Frame.parse(ciphertext).open(key, Purpose.DEK_SEED, key_id, annotation)


# --- Command line -------------------------------------------------------------------------------------------------------------


def hex_bytes(text: str) -> bytes:
    if re.fullmatch(r"([0-9a-f]{2})*", text) is None:
        raise argparse.ArgumentTypeError("lower-case hexadecimal digits are due")
    return bytes.fromhex(text)


def key_id_argument(text: str) -> KeyId:
    try:
        return KeyId.parse(text.encode("utf-8", "surrogateescape"))
    except FormatError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def run_open_frame(args: argparse.Namespace) -> None:
    key = parse_root_file(args.key.read_bytes())
    print(Frame.parse(args.frame).open(key, args.purpose, args.key_id).hex())


def run_open_bundle(args: argparse.Namespace) -> None:
    root = parse_root_file(args.rootfile.read_bytes())
    accepted = None if args.accepted is None else parse_accepted(args.accepted.read_bytes())
    bundle = Bundle.open(args.bundle.read_bytes(), [root], accepted)
    print(f"ring: {bundle.ring}")
    print(f"generation: {bundle.generation}")
    print(f"ledger-key: {bundle.ledger.key_id} {roots_of(bundle.ledger.wraps)}")
    for version in bundle.versions:
        key_id = bundle.key_id(version)
        if any(wrapped.root_id == root_id(root) for wrapped in version.wraps):
            unwrap_one(version.wraps, [root], key_id)
        state = State(version.state).name.lower()
        print(f"version: {key_id} {state} {version.created} {version.activated} {roots_of(version.wraps)}")


def roots_of(wraps: Sequence[Wrapped]) -> str:
    return ",".join(wrapped.root_id.hex() for wrapped in wraps) or "-"


def run_open_annotation(args: argparse.Namespace) -> None:
    root = parse_root_file(args.root.read_bytes())
    print(Wrapped.parse(args.annotation).unwrap(root, args.key_id).hex())


def run_recover(args: argparse.Namespace) -> None:
    root = parse_root_file(args.root.read_bytes())
    print(recover(root, args.key_id, args.annotation, args.ciphertext).hex())


def run_vectors(args: argparse.Namespace) -> None:
    # Beside this file, and only this command needs it.
    import strongroom_vectors

    check_xaes()
    print(f"{strongroom_vectors.write(args.directory)} vectors in {args.directory}")


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        description="The formats of Strongroom, a second time. Secrets that open go to standard output."
    )
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: Callable[[argparse.Namespace], None], about: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=about, description=about)
        sub.set_defaults(run=run)
        return sub

    sub = command("open-frame", run_open_frame, "open one frame and print the 32 bytes in it")
    sub.add_argument("--key", type=Path, required=True, metavar="FILE", help="a file of exactly 32 bytes")
    sub.add_argument("--purpose", type=int, choices=[purpose.value for purpose in Purpose], default=Purpose.DEK_SEED)
    sub.add_argument("--key-id", type=key_id_argument, required=True, metavar="ID")
    sub.add_argument("--frame", type=hex_bytes, required=True, metavar="HEX")

    sub = command("open-bundle", run_open_bundle, "check a bundle, unwrap what this root wraps, and print all but the keys")
    sub.add_argument("rootfile", type=Path, metavar="ROOTFILE")
    sub.add_argument("bundle", type=Path, metavar="BUNDLE")
    sub.add_argument("--accepted", type=Path, metavar="FILE", help="refuse a generation lower than the one in this file")

    sub = command("open-annotation", run_open_annotation, "unwrap an annotation and print the key version in it")
    sub.add_argument("--root", type=Path, required=True, metavar="FILE")
    sub.add_argument("--key-id", type=key_id_argument, required=True, metavar="ID")
    sub.add_argument("--annotation", type=hex_bytes, required=True, metavar="HEX")

    sub = command("recover", run_recover, "open a ciphertext of kube-apiserver with its annotation and the root key")
    sub.add_argument("--root", type=Path, required=True, metavar="FILE")
    sub.add_argument("--key-id", type=key_id_argument, required=True, metavar="ID")
    sub.add_argument("--annotation", type=hex_bytes, required=True, metavar="HEX")
    sub.add_argument("--ciphertext", type=hex_bytes, required=True, metavar="HEX")

    sub = command("vectors", run_vectors, "write the vector files, always the same ones")
    sub.add_argument("directory", type=Path, metavar="DIR")
    return top


def main() -> int:
    """0: done. 1: refused, with one line that says which rule. 2: the command line or a file is not there."""
    args = parser().parse_args()
    try:
        args.run(args)
    except FormatError as error:
        print(f"refused: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"{error.filename}: {error.strerror}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
