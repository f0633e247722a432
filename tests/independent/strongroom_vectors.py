"""Writes envelope/vectors: one file per case, `key: value` lines, the expected outcome among them.

Every case is judged by strongroom_format before it is written, so a vector that this implementation does not fulfil is never
there. Keys and nonces come from SHAKE-256 over the name of their use: the files are the same on every run, and a new case
changes no other.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from strongroom_format import (
    C2SP_VECTORS,
    FRAME_LEN,
    MAX_BLOB,
    MAX_U32,
    MAX_U64,
    Frame,
    KeyId,
    Purpose,
    Wrapped,
    aws_context,
    context,
    encode_accepted,
    fingerprint,
    parse_accepted,
    parse_aws_key,
    parse_ring,
    parse_root_file,
    recover,
    root_id,
    sha256,
    u8,
    xaes_open,
    xaes_seal,
)
from vector_bundles import bundles
from vector_case import Fields, Folder, data, flip, key, named_key, nonce, stream, text
from vector_ledger import audits, checkpoints, head_contents, rows

# --- Keys and the notation around them ----------------------------------------------------------------------------------------


def xaes() -> Folder:
    def judge(fields: Fields) -> Fields:
        arguments = (data(fields, "key"), data(fields, "nonce"))
        sealed = xaes_seal(*arguments, data(fields, "plaintext"), data(fields, "aad"))
        xaes_open(*arguments, sealed, data(fields, "aad"))
        return {"ciphertext": sealed.hex()}

    folder = Folder("xaes", judge, {})
    for name, vector in C2SP_VECTORS.items():
        fields: Fields = {
            "key": vector.key.hex(),
            "nonce": vector.nonce.hex(),
            "plaintext": vector.plaintext.hex(),
            "aad": vector.aad.hex(),
        }
        folder.ok(name, vector.comment, fields, {"ciphertext": vector.ciphertext.hex()})
    return folder


def fingerprints() -> Folder:
    folder = Folder(
        "fingerprint",
        lambda fields: {
            "fingerprint": fingerprint(data(fields, "key")).hex(),
            "root-id": root_id(data(fields, "key")).hex(),
        },
        {},
    )
    for name, value in {
        "zeros": bytes(32),
        "ones": b"\xff" * 32,
        "counting": bytes(range(32)),
        "random": key("fingerprint"),
    }.items():
        result: Fields = {"fingerprint": fingerprint(value).hex(), "root-id": root_id(value).hex()}
        folder.ok(name, "the public names of one key, as a key version and as a local root", {"key": value.hex()}, result)
    return folder


def root_files() -> Folder:
    folder = Folder("root", lambda fields: {"root-id": root_id(parse_root_file(data(fields, "file"))).hex()}, {})
    root = key("root file")
    folder.ok("random", "32 bytes", {"file": root.hex()}, {"root-id": root_id(root).hex()})
    newlines = b"\n" * 32
    folder.ok(
        "newlines", "bytes are not text: nothing is trimmed", {"file": newlines.hex()}, {"root-id": root_id(newlines).hex()}
    )
    for name, comment, value in (
        ("empty", "an empty file", b""),
        ("short", "a byte is missing", root[:31]),
        ("newline", "a newline after the key", root + b"\n"),
        ("hex", "the key in hexadecimal digits", root.hex().encode()),
        ("two-keys", "two keys", root + root),
    ):
        folder.refused(name, comment, "length", {"file": value.hex()})
    return folder


def aws_roots() -> Folder:
    def judge(fields: Fields) -> Fields:
        region, root = parse_aws_key(data(fields, "bytes"))
        return {"region": region, "root-id": root.hex()}

    folder = Folder("aws-root", judge, {})
    account, single, multi = "111122223333", "1234abcd-12ab-34cd-56ef-1234567890ab", "mrk-1234abcd12ab34cd56ef1234567890ab"

    def accept(name: str, comment: str, partition: str, region: str, key_id: str) -> None:
        # Spelled out a second time, so that this folder does not only repeat the function that it judges.
        message = b""
        for part in ("strongroom/root/aws-kms/v1", partition, "" if key_id[:4] == "mrk-" else region, account, key_id):
            message += bytes([0, 0, 0, len(part)]) + part.encode()
        arn = f"arn:{partition}:kms:{region}:{account}:key/{key_id}"
        folder.ok(name, comment, {"bytes": arn.encode().hex()}, {"region": region, "root-id": sha256(message)[:6].hex()})

    accept("single-region", "as most keys are", "aws", "eu-central-1", single)
    accept("other-region", "another key, although its id is the same", "aws", "eu-west-1", single)
    accept("multi-region-primary", "the region is not in the id", "aws", "eu-central-1", multi)
    accept("multi-region-replica", "the same root as its primary", "aws", "us-east-1", multi)
    accept("china", "another partition", "aws-cn", "cn-north-1", single)
    good = f"arn:aws:kms:eu-central-1:{account}:key/{single}"
    for name, comment, bad in (
        ("empty", "no byte", ""),
        ("key-id-alone", "of which account and region?", single),
        ("alias", "an alias may point elsewhere tomorrow", f"arn:aws:kms:eu-central-1:{account}:alias/strongroom"),
        ("other-service", "not KMS", f"arn:aws:s3:eu-central-1:{account}:key/{single}"),
        ("no-region", "an empty part", f"arn:aws:kms::{account}:key/{single}"),
        ("no-key-id", "an empty part", f"arn:aws:kms:eu-central-1:{account}:key/"),
        ("short-account", "11 digits", f"arn:aws:kms:eu-central-1:{account[1:]}:key/{single}"),
        ("letters-in-account", "not a digit", f"arn:aws:kms:eu-central-1:{account[1:]}a:key/{single}"),
        ("upper-case", "a second way to write it", good.upper()),
        ("upper-case-key-id", "a second way to write it", good[:-2] + "AB"),
        ("trailing-part", "something after the key", good + ":1"),
        ("trailing-slash", "something after the key", good + "/x"),
        ("trailing-newline", "a newline", good + "\n"),
        ("leading-space", "a space", " " + good),
        ("too-long", "257 bytes", good + "0" * (257 - len(good))),
    ):
        folder.refused(name, comment, "field", {"bytes": bad.encode().hex()})
    return folder


def rings() -> Folder:
    folder = Folder("ring", lambda fields: {"ring": parse_ring(data(fields, "bytes"))}, {})
    for name, comment, value in (
        ("one-letter", "the shortest", "a"),
        ("usual", "as in every example", "etcd"),
        ("all-classes", "letters, digits and hyphens", "a-0z9-"),
        ("longest", "31 bytes", "r" * 31),
    ):
        folder.ok(name, comment, {"bytes": value.encode().hex()}, {"ring": value})
    for name, comment, bad in (
        ("empty", "no byte", b""),
        ("too-long", "32 bytes", b"r" * 32),
        ("digit-first", "the first is a letter", b"1etcd"),
        ("hyphen-first", "the first is a letter", b"-etcd"),
        ("upper-case", "only lower case", b"Etcd"),
        ("upper-case-inside", "only lower case", b"etCd"),
        ("underscore", "not in the alphabet", b"et_cd"),
        ("dot", "not in the alphabet", b"et.cd"),
        ("slash", "what separates the parts of a key id", b"et/cd"),
        ("space", "not in the alphabet", b"et cd"),
        ("newline", "a newline at the end", b"etcd\n"),
        ("nul", "a NUL at the end", b"etcd\0"),
        ("not-ascii", "a letter outside ASCII, in UTF-8", "étcd".encode()),
        ("not-utf8", "a byte that is no text at all", b"etcd\xff"),
        ("parent", "a way out of a directory", b"../etcd"),
    ):
        folder.refused(name, comment, "field", {"bytes": bad.hex()})
    return folder


def key_ids() -> Folder:
    def judge(fields: Fields) -> Fields:
        parsed = KeyId.parse(data(fields, "bytes"))
        if parsed.encode() != data(fields, "bytes"):
            raise RuntimeError("a key id was read and not written back")
        return {"ring": parsed.ring, "version": str(parsed.version), "fingerprint": parsed.fingerprint.hex()}

    folder = Folder("key-id", judge, {})

    def accept(name: str, comment: str, ring: str, version: int, mark: str) -> None:
        result: Fields = {"ring": ring, "version": str(version), "fingerprint": mark}
        folder.ok(name, comment, {"bytes": f"{ring}/v{version}/{mark}".encode().hex()}, result)

    accept("example", "the example of the page", "etcd", 7, "1f0c5a9be2d4")
    accept("shortest", "every part as short as it gets", "a", 1, "000000000000")
    accept("largest-version", "4294967295", "etcd", MAX_U32, "ffffffffffff")
    accept("longest-ring", "a ring of 31 bytes", "r" * 31, 1, "0123456789ab")
    accept("longest", "56 bytes: 31 of ring, 10 digits of version", "r" * 31, MAX_U32, "cdef01234567")
    accept("ledger-key", "the ring of the ledger key", "state", 1, "00000000000a")
    accept("probe", "as in the context of purpose 3", "probe", 1, "a00000000000")

    mark = "1f0c5a9be2d4"
    for name, comment, bad in (
        ("empty", "no byte", ""),
        ("ring-only", "no version, no fingerprint", "etcd"),
        ("no-fingerprint", "the last part is missing", "etcd/v7"),
        ("empty-fingerprint", "the last part is empty", "etcd/v7/"),
        ("empty-ring", "the first part is empty", f"/v7/{mark}"),
        ("empty-version", "the part between is empty", f"etcd//{mark}"),
        ("version-without-digits", "v and nothing", f"etcd/v/{mark}"),
        ("version-without-v", "only digits", f"etcd/7/{mark}"),
        ("version-upper-case-v", "V for v", f"etcd/V7/{mark}"),
        ("version-zero", "versions start at 1", f"etcd/v0/{mark}"),
        ("version-leading-zero", "v07 would be a second way to write v7", f"etcd/v07/{mark}"),
        ("version-leading-zero-1", "v01", f"etcd/v01/{mark}"),
        ("version-plus", "a sign", f"etcd/v+7/{mark}"),
        ("version-plus-1", "v+1", f"etcd/v+1/{mark}"),
        ("version-minus", "a sign", f"etcd/v-7/{mark}"),
        ("version-space", "a space before the digit", f"etcd/v 7/{mark}"),
        ("version-space-after", "a space after the digit", f"etcd/v7 /{mark}"),
        ("version-underscore", "digits in groups", f"etcd/v1_000/{mark}"),
        ("version-hexadecimal", "not decimal", f"etcd/v0x7/{mark}"),
        ("version-letter", "not a digit", f"etcd/v7a/{mark}"),
        ("version-one-too-large", "4294967296", f"etcd/v{MAX_U32 + 1}/{mark}"),
        ("version-far-too-large", "20 digits", f"etcd/v18446744073709551617/{mark}"),
        ("version-wraps-to-7", "2^32 + 7", f"etcd/v{2**32 + 7}/{mark}"),
        ("version-full-width-digit", "a digit outside ASCII", f"etcd/v７/{mark}"),
        ("version-arabic-digit", "a digit outside ASCII", f"etcd/v٧/{mark}"),
        ("fingerprint-upper-case", "upper-case digits", f"etcd/v7/{mark.upper()}"),
        ("fingerprint-one-upper-case", "one upper-case digit", "etcd/v7/1f0c5A9be2d4"),
        ("fingerprint-11-digits", "a digit is missing", f"etcd/v7/{mark[:11]}"),
        ("fingerprint-10-digits", "a byte is missing", f"etcd/v7/{mark[:10]}"),
        ("fingerprint-13-digits", "a digit too many", f"etcd/v7/{mark}0"),
        ("fingerprint-14-digits", "a byte too many", f"etcd/v7/{mark}00"),
        ("fingerprint-not-hexadecimal", "g", "etcd/v7/1f0c5g9be2d4"),
        ("fingerprint-sign", "a sign that a number parser would take", "etcd/v7/+f0c5a9be2d4"),
        ("fingerprint-not-ascii", "12 bytes, of which two are no digit", "etcd/v7/1f0c5é9be2d"),
        ("ring-upper-case", "only lower case", f"Etcd/v7/{mark}"),
        ("ring-digit-first", "the first is a letter", f"1etcd/v7/{mark}"),
        ("ring-underscore", "not in the alphabet", f"et_cd/v7/{mark}"),
        ("ring-too-long", "32 bytes", f"{'r' * 32}/v7/{mark}"),
        ("trailing-slash", "an empty fourth part", f"etcd/v7/{mark}/"),
        ("leading-slash", "an empty part before the ring", f"/etcd/v7/{mark}"),
        ("fourth-part", "something after the fingerprint", f"etcd/v7/{mark}/x"),
        ("two-slashes", "an empty part", f"etcd//v7/{mark}"),
        ("trailing-newline", "a newline", f"etcd/v7/{mark}\n"),
        ("trailing-space", "a space", f"etcd/v7/{mark} "),
        ("trailing-nul", "a NUL", f"etcd/v7/{mark}\0"),
        ("leading-space", "a space", f" etcd/v7/{mark}"),
        ("backslash", "another separator", f"etcd\\v7\\{mark}"),
        ("very-long", "no limit is reached by reading to the end", "r" * 700),
    ):
        folder.refused(name, comment, "field", {"bytes": bad.encode().hex()})
    folder.refused(
        "not-utf8", "a byte that is no text at all", "field", {"bytes": f"etcd/v7/{mark}".encode()[:-1].hex() + "ff"}
    )
    return folder


def contexts() -> Folder:
    folder = Folder("context", lambda fields: {"context": context(int(text(fields, "purpose")), named_key(fields)).hex()}, {})
    for purpose, name, ring, version in (
        (Purpose.DEK_SEED, "dek-seed", "etcd", 7),
        (Purpose.DEK_SEED, "dek-seed-longest", "r" * 31, MAX_U32),
        (Purpose.KEY, "key-version", "etcd", 7),
        (Purpose.KEY, "ledger-key", "state", 1),
        (Purpose.PROBE, "probe", "probe", 1),
    ):
        key_id = KeyId.of(ring, version, key(f"context {name}"))
        # Spelled out a second time, so that this folder does not only repeat the function that it judges.
        expected = b"strongroom/context/v1" + bytes([purpose]) + bytes([0, 0, 0, len(ring)]) + ring.encode()
        expected += bytes([0, 0, 0, len(str(key_id))]) + str(key_id).encode()
        fields: Fields = {"purpose": str(purpose.value), "key-id": str(key_id)}
        folder.ok(name, "additional authenticated data", fields, {"context": expected.hex()})
    return folder


def aws_contexts() -> Folder:
    def judge(fields: Fields) -> Fields:
        pairs = aws_context(int(text(fields, "purpose")), named_key(fields))
        return {"pair": [f"{name}={value}" for name, value in pairs.items()]}

    folder = Folder("aws-context", judge, {})
    for purpose, word, ring, version in (
        (Purpose.DEK_SEED, "seed", "etcd", 7),
        (Purpose.KEY, "key", "state", 1),
        (Purpose.PROBE, "probe", "probe", 1),
    ):
        key_id = KeyId.of(ring, version, key(f"aws context {word}"))
        pairs = [f"strongroom:purpose={word}", f"strongroom:ring={ring}", f"strongroom:key-id={key_id}"]
        folder.ok(word, "encryption context", {"purpose": str(purpose.value), "key-id": str(key_id)}, {"pair": pairs})
    return folder


# --- Frame --------------------------------------------------------------------------------------------------------------------

FRAME_REGIONS = {
    "nonce-first-byte": (1, 0x01),
    "nonce-derives-the-key": (12, 0x80),
    "nonce-of-gcm": (13, 0x01),
    "nonce-last-byte": (24, 0x80),
    "ciphertext-first-byte": (25, 0x01),
    "ciphertext-middle": (41, 0x10),
    "ciphertext-last-byte": (56, 0x80),
    "tag-first-byte": (57, 0x01),
    "tag-middle": (64, 0x10),
    "tag-last-byte": (72, 0x80),
}


def frames() -> Folder:
    def judge(fields: Fields) -> Fields:
        frame = Frame.parse(data(fields, "frame"))
        if frame.encode() != data(fields, "frame"):
            raise RuntimeError("a frame was read and not written back")
        opened = frame.open(data(fields, "key"), int(text(fields, "purpose")), named_key(fields))
        return {"plaintext": opened.hex()}

    folder = Folder("frame", judge, {})

    def fields(frame: bytes, under: bytes, purpose: int, key_id: KeyId) -> Fields:
        return {"key": under.hex(), "purpose": str(purpose), "key-id": str(key_id), "frame": frame.hex()}

    def accept(name: str, comment: str, under: bytes, purpose: int, key_id: KeyId, secret: bytes, salt: bytes) -> bytes:
        frame = Frame.seal(under, purpose, key_id, secret, salt).encode()
        folder.ok(name, comment, fields(frame, under, purpose, key_id), {"plaintext": secret.hex()})
        return frame

    kek, root, seed = key("frame etcd/v7"), key("frame root"), key("frame seed")
    key_id = KeyId.of("etcd", 7, kek)
    right = accept("dek-seed", "purpose 1: what Encrypt returns", kek, 1, key_id, seed, nonce("frame dek-seed"))
    accept("key-version", "purpose 2: a key version under a root", root, 2, key_id, kek, nonce("frame key-version"))
    ledger_id = KeyId.of("state", 1, key("frame state/v1"))
    accept("ledger-key", "purpose 2: the ledger key", root, 2, ledger_id, key("frame state/v1"), nonce("frame ledger-key"))
    probe = key("frame probe")
    probe_id = KeyId.of("probe", 1, probe)
    accept("probe", "purpose 3: throw-away bytes", root, 3, probe_id, probe, nonce("frame probe"))
    accept("zeros", "a key, a nonce and a secret of zeros", bytes(32), 1, KeyId.of("a", 1, bytes(32)), bytes(32), bytes(24))
    ones = b"\xff" * 32
    accept("ones", "a key, a nonce and a secret of ones", ones, 1, KeyId.of("a", 1, ones), ones, ones[:24])
    longest_id = KeyId.of("r" * 31, MAX_U32, kek)
    accept("longest-key-id", "a context as long as it gets", kek, 1, longest_id, seed, nonce("frame longest"))

    def refuse(name: str, comment: str, kind: str, frame: bytes) -> None:
        folder.refused(name, comment, kind, fields(frame, kek, 1, key_id))

    refuse("empty", "no byte", "length", b"")
    for size in (1, 2, 12, 13, 24, 25, 26, 56, 57, 58, 71, 72):
        refuse(f"cut-at-{size:02}", f"only the first {size} bytes", "length", right[:size])
    refuse("trailing-byte", "a byte after the tag", "length", right + b"\0")
    refuse("twice", "two frames", "length", right + right)
    for value in (0x00, 0x02, 0x81, 0xFF):
        refuse(f"version-{value:02x}", "the version byte is not known", "version", u8(value) + right[1:])
    for name, (at, mask) in FRAME_REGIONS.items():
        refuse(f"flip-{name}", f"one bit changed in byte {at}", "open", flip(right, at, mask))
    refuse("zeros-after-version", "nothing but zeros", "open", b"\x01" + bytes(FRAME_LEN - 1))
    refuse("tag-zeros", "a tag of zeros", "open", right[:57] + bytes(16))
    refuse(
        "nonce-halves-swapped",
        "both halves of the nonce are authenticated in place",
        "open",
        right[:1] + right[13:25] + right[1:13] + right[25:],
    )

    def elsewhere(name: str, comment: str, under: bytes, purpose: int, other: KeyId) -> None:
        folder.refused(name, comment, "open", fields(right, under, purpose, other))

    elsewhere("other-key", "the right context under another key", key("frame other"), 1, key_id)
    elsewhere("key-one-bit-off", "the right context, one bit of the key changed", flip(kek, 31, 0x80), 1, key_id)
    elsewhere("purpose-2-for-1", "a DEK seed opened as a key version", kek, 2, key_id)
    elsewhere("purpose-3-for-1", "a DEK seed opened as a probe", kek, 3, key_id)
    elsewhere("other-ring", "the same version of another ring", kek, 1, replace(key_id, ring="etce"))
    elsewhere("longer-ring", "a ring that begins alike", kek, 1, replace(key_id, ring="etcd-"))
    elsewhere("other-version", "another version of the ring", kek, 1, replace(key_id, version=8))
    elsewhere("version-with-a-digit-more", "v70 for v7", kek, 1, replace(key_id, version=70))
    elsewhere(
        "other-fingerprint", "the same version, another key", kek, 1, replace(key_id, fingerprint=flip(key_id.fingerprint, 5))
    )

    root_frame = Frame.seal(root, 2, key_id, kek, nonce("frame key-version")).encode()
    folder.refused("purpose-1-for-2", "a key version opened as a DEK seed", "open", fields(root_frame, root, 1, key_id))
    probe_frame = Frame.seal(root, 3, probe_id, probe, nonce("frame probe")).encode()
    folder.refused("purpose-2-for-3", "a probe opened as a key version", "open", fields(probe_frame, root, 2, probe_id))
    bare = u8(1) + nonce("frame bare") + xaes_seal(kek, nonce("frame bare"), seed, b"")
    refuse("no-context", "sealed without additional data", "open", bare)
    split = b"strongroom/context/v1" + u8(1) + b"etcd" + key_id.encode()
    unframed = u8(1) + nonce("frame unframed") + xaes_seal(kek, nonce("frame unframed"), seed, split)
    refuse("context-without-lengths", "sealed with a context that leaves out the lengths", "open", unframed)
    return folder


# --- Wrapped key --------------------------------------------------------------------------------------------------------------


def wrapped_keys() -> Folder:
    def judge(fields: Fields) -> Fields:
        wrapped = Wrapped.parse(data(fields, "wrapped"))
        if wrapped.encode() != data(fields, "wrapped"):
            raise RuntimeError("a wrapped key was read and not written back")
        return {"root-id": wrapped.root_id.hex(), "blob": wrapped.blob.hex()}

    folder = Folder("wrapped", judge, {})
    root, kek = key("wrapped root"), key("wrapped etcd/v7")
    right = Wrapped.wrap(root, KeyId.of("etcd", 7, kek), kek, nonce("wrapped"))

    def accept(name: str, comment: str, wrapped: Wrapped) -> None:
        result: Fields = {"root-id": wrapped.root_id.hex(), "blob": wrapped.blob.hex()}
        folder.ok(name, comment, {"wrapped": wrapped.encode().hex()}, result)

    accept("local", "80 bytes: a frame under a local root", right)
    accept("shortest", "a blob of one byte", Wrapped(right.root_id, b"\0"))
    accept("longest", "a blob of 2048 bytes", Wrapped(right.root_id, stream("wrapped longest", MAX_BLOB)))
    accept("opaque", "what another root made: its bytes are its own", Wrapped(bytes(6), b"vault:v1:q83vEjRWeJA="))

    def refuse(name: str, comment: str, kind: str, encoded: bytes) -> None:
        folder.refused(name, comment, kind, {"wrapped": encoded.hex()})

    refuse("empty", "no byte", "length", b"")
    for size in (1, 3, 6):
        refuse(f"cut-at-{size}", f"only the first {size} bytes", "length", right.encode()[:size])
    refuse("no-blob", "the blob is empty", "length", right.encode()[:7])
    refuse("blob-too-long", "a blob of 2049 bytes", "length", Wrapped(right.root_id, bytes(MAX_BLOB + 1)).encode())
    for value in (0x00, 0x02, 0xFF):
        refuse(f"version-{value:02x}", "the version byte is not known", "version", u8(value) + right.encode()[1:])
    return folder


def unwraps() -> Folder:
    def judge(fields: Fields) -> Fields:
        return {"unwrapped": Wrapped.parse(data(fields, "wrapped")).unwrap(data(fields, "root"), named_key(fields)).hex()}

    folder = Folder("unwrap", judge, {})
    root, other_root, kek = key("unwrap root"), key("unwrap other root"), key("unwrap etcd/v7")
    key_id = KeyId.of("etcd", 7, kek)
    right = Wrapped.wrap(root, key_id, kek, nonce("unwrap"))

    def fields(wrapped: Wrapped | bytes, under: bytes, named: KeyId) -> Fields:
        encoded = wrapped if isinstance(wrapped, bytes) else wrapped.encode()
        return {"root": under.hex(), "key-id": str(named), "wrapped": encoded.hex()}

    folder.ok("key-version", "a key version under a local root", fields(right, root, key_id), {"unwrapped": kek.hex()})
    ledger_key = key("unwrap state/v1")
    ledger_id = KeyId.of("state", 1, ledger_key)
    ledger = Wrapped.wrap(root, ledger_id, ledger_key, nonce("unwrap ledger"))
    folder.ok(
        "ledger-key", "the ledger key under a local root", fields(ledger, root, ledger_id), {"unwrapped": ledger_key.hex()}
    )
    own_id = KeyId.of("etcd", 1, root)
    own = Wrapped.wrap(root, own_id, root, nonce("unwrap itself"))
    folder.ok(
        "root-itself", "a root that wraps itself is no special case", fields(own, root, own_id), {"unwrapped": root.hex()}
    )

    def refuse(
        name: str, comment: str, kind: str, wrapped: Wrapped | bytes, under: bytes = root, named: KeyId = key_id
    ) -> None:
        folder.refused(name, comment, kind, fields(wrapped, under, named))

    refuse("other-root", "the root id names another root", "root", right, other_root)
    refuse("root-id-changed", "one bit of the root id changed", "root", flip(right.encode(), 6))
    refuse(
        "root-id-forged",
        "another root's blob under this root's id",
        "open",
        replace(Wrapped.wrap(other_root, key_id, kek, nonce("unwrap forged")), root_id=root_id(root)),
    )
    refuse(
        "root-id-is-fingerprint",
        "a root is not named by the fingerprint of its key",
        "root",
        replace(right, root_id=fingerprint(root)),
    )
    for name, (at, mask) in FRAME_REGIONS.items():
        refuse(f"flip-{name}", f"one bit changed in byte {at} of the frame", "open", flip(right.encode(), 7 + at, mask))
    refuse("frame-version", "the version byte of the frame is not known", "open", flip(right.encode(), 7, 0x03))
    refuse("cut-in-root-id", "only the first 6 bytes", "length", right.encode()[:6])
    refuse("cut-before-blob", "only the first 7 bytes", "length", right.encode()[:7])
    for size in (8, 44, 79):
        refuse(f"cut-at-{size}", f"only the first {size} bytes: a blob, but no frame", "open", right.encode()[:size])
    refuse("trailing-byte", "a byte after the frame", "open", right.encode() + b"\0")
    refuse("other-ring", "wrapped for another ring", "open", right, named=replace(key_id, ring="audit"))
    refuse("other-version", "wrapped for another version", "open", right, named=replace(key_id, version=8))
    refuse(
        "other-fingerprint",
        "wrapped for another key",
        "open",
        right,
        named=replace(key_id, fingerprint=flip(key_id.fingerprint, 0)),
    )
    refuse("ledger-key-for-key-version", "the ledger key where a key version belongs", "open", ledger)
    refuse(
        "purpose-1",
        "sealed as a DEK seed",
        "open",
        Wrapped(root_id(root), Frame.seal(root, 1, key_id, kek, nonce("unwrap purpose 1")).encode()),
    )
    refuse(
        "purpose-3",
        "sealed as a probe",
        "open",
        Wrapped(root_id(root), Frame.seal(root, 3, key_id, kek, nonce("unwrap purpose 3")).encode()),
    )
    refuse(
        "another-key-inside",
        "the tag and the context are right, the key is not the one that the key id names",
        "open",
        Wrapped.wrap(root, key_id, key("unwrap stranger"), nonce("unwrap stranger")),
    )
    return folder


def recoveries() -> Folder:
    def judge(fields: Fields) -> Fields:
        seed = recover(data(fields, "root"), named_key(fields), data(fields, "annotation"), data(fields, "ciphertext"))
        return {"plaintext": seed.hex()}

    folder = Folder("recover", judge, {})
    root, kek, seed = key("recover root"), key("recover etcd/v7"), key("recover seed")
    key_id = KeyId.of("etcd", 7, kek)
    annotation = Wrapped.wrap(root, key_id, kek, nonce("recover annotation")).encode()
    ciphertext = Frame.seal(kek, 1, key_id, seed, nonce("recover ciphertext"), annotation).encode()

    def fields(**changed: str) -> Fields:
        right: Fields = {
            "root": root.hex(),
            "key-id": str(key_id),
            "annotation": annotation.hex(),
            "ciphertext": ciphertext.hex(),
        }
        return right | {name.replace("_", "-"): value for name, value in changed.items()}

    folder.ok("usual", "ciphertext, annotation, key id and root: nothing else", fields(), {"plaintext": seed.hex()})

    next_key = key("recover etcd/v8")
    next_id = KeyId.of("etcd", 8, next_key)
    next_annotation = Wrapped.wrap(root, next_id, next_key, nonce("recover annotation v8")).encode()
    folder.refused("other-root", "another root", "root", fields(root=key("recover other root").hex()))
    folder.refused("annotation-of-next", "the annotation of another version", "open", fields(annotation=next_annotation.hex()))
    folder.refused("key-id-of-next", "the key id of another version", "open", fields(key_id=str(next_id)))
    folder.refused(
        "both-of-next",
        "key id and annotation of another version",
        "open",
        fields(annotation=next_annotation.hex(), key_id=str(next_id)),
    )
    rewrapped = Wrapped.wrap(root, key_id, kek, nonce("recover annotation again")).encode()
    folder.refused(
        "annotation-rewrapped", "the same version, wrapped once more", "open", fields(annotation=rewrapped.hex())
    )
    alone = Frame.seal(kek, 1, key_id, seed, nonce("recover alone")).encode()
    folder.refused("ciphertext-of-none", "sealed beside no annotation", "open", fields(ciphertext=alone.hex()))
    folder.refused("annotation-cut", "the annotation lost a byte", "open", fields(annotation=annotation[:-1].hex()))
    folder.refused("annotation-empty", "no annotation", "length", fields(annotation=""))
    folder.refused(
        "annotation-is-ciphertext", "the ciphertext where the annotation belongs", "root", fields(annotation=ciphertext.hex())
    )
    folder.refused("ciphertext-cut", "the ciphertext lost a byte", "length", fields(ciphertext=ciphertext[:-1].hex()))
    folder.refused(
        "ciphertext-changed", "one bit of the ciphertext changed", "open", fields(ciphertext=flip(ciphertext, 30).hex())
    )
    folder.refused(
        "ciphertext-is-blob",
        "the wrapped key's frame where the ciphertext belongs",
        "open",
        fields(ciphertext=annotation[7:].hex()),
    )
    return folder


# --- Accepted generation ------------------------------------------------------------------------------------------------------


def accepted_generations() -> Folder:
    def judge(fields: Fields) -> Fields:
        generation = parse_accepted(data(fields, "file"))
        if encode_accepted(generation) != data(fields, "file"):
            raise RuntimeError("an accepted generation was read and not written back")
        return {"generation": str(generation)}

    folder = Folder("accepted", judge, {})
    for name, comment, generation in (
        ("one", "the first", 1),
        ("ten", "a zero that does not lead", 10),
        ("usual", "some digits", 1742),
        ("largest", "2^64 - 1", MAX_U64),
    ):
        folder.ok(name, comment, {"file": encode_accepted(generation).hex()}, {"generation": str(generation)})
    for name, comment, bad in (
        ("empty", "an empty file", b""),
        ("newline-only", "no digit", b"\n"),
        ("no-newline", "the newline is missing", b"5"),
        ("two-newlines", "a newline too many", b"5\n\n"),
        ("carriage-return", "the line end of another system", b"5\r\n"),
        ("zero", "generations start at 1", b"0\n"),
        ("leading-zero", "a second way to write 5", b"05\n"),
        ("plus", "a sign", b"+5\n"),
        ("minus", "a sign", b"-5\n"),
        ("leading-space", "a space", b" 5\n"),
        ("trailing-space", "a space", b"5 \n"),
        ("second-line", "something after the newline", b"5\n6\n"),
        ("after-newline", "a digit after the newline", b"5\n6"),
        ("underscore", "digits in groups", b"1_000\n"),
        ("hexadecimal", "not decimal", b"0x5\n"),
        ("fraction", "not a whole number", b"5.0\n"),
        ("exponent", "not only digits", b"5e1\n"),
        ("nul", "a NUL", b"5\0\n"),
        ("one-too-large", "2^64", b"18446744073709551616\n"),
        ("far-too-large", "40 digits", b"1" * 40 + b"\n"),
        ("full-width-digit", "a digit outside ASCII", "５\n".encode()),
        ("not-utf8", "a byte that is no text at all", b"5\xff\n"),
    ):
        folder.refused(name, comment, "field", {"file": bad.hex()})
    return folder


def write(directory: Path) -> int:
    """Writes every folder; a file of an earlier run that is no case any more goes. Returns how many cases there are."""
    folders = [
        xaes(),
        fingerprints(),
        root_files(),
        aws_roots(),
        rings(),
        key_ids(),
        contexts(),
        aws_contexts(),
        frames(),
        wrapped_keys(),
        unwraps(),
        recoveries(),
        bundles(),
        accepted_generations(),
        rows(),
        head_contents(),
        audits(),
        checkpoints(),
    ]
    for folder in folders:
        place = directory / folder.name
        place.mkdir(parents=True, exist_ok=True)
        for old in place.glob("*.txt"):
            if old.stem not in folder.cases:
                old.unlink()
        for name, content in folder.cases.items():
            (place / f"{name}.txt").write_text(content, encoding="ascii", newline="\n")
    return sum(len(folder.cases) for folder in folders)
