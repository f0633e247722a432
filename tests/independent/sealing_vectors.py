"""Writes sealing/vectors: one file per case, `key: value` lines, the expected outcome among them.

Every case is judged by strongroom_sealing before it is written. Keys and what is drawn come from SHAKE-256 over the name of their
use: the files are the same on every run, and a new case changes no other. x-wing and hpke lie beside, from outside.
"""

from __future__ import annotations

from pathlib import Path

import mlkem768
from sealing_keys import CROCKFORD, checksum, escrow_text, print_escrow, read_escrow_text
from strongroom_format import enc
from strongroom_sealing import (
    AESGCM,
    Random,
    commit_of,
    ctx,
    kid_of,
    open_value,
    pad,
    seal_value,
    unwrap,
    value_key,
    wrap,
)
from vector_case import Fields, Folder, data, flip, key, stream, text
from vector_objects import lists, objects
from x_wing import ORDER_8, P, ChaCha20Poly1305, PrivateKey, check_public, combiner, hpke_key

PLACE = ("scope", "namespace", "name", "type", "slot")


def place(*parts: str) -> Fields:
    return dict(zip(PLACE, parts, strict=True))


def context_of(fields: Fields) -> bytes:
    return ctx(*(text(fields, name) for name in PLACE))


HERE = place("strict", "prod", "db", "Opaque", "s7f3a9c21")
ELSEWHERE = place("strict", "prod", "other", "Opaque", "s7f3a9c21")
CONTEXT = context_of(HERE)


def low_order_shares() -> dict[str, bytes]:
    """All fourteen, by name."""
    points = {name: u.to_bytes(32, "little") for name, u in (("0", 0), ("1", 1), ("p-1", P - 1), ("p", P), ("p+1", P + 1))}
    points |= {"order-8-a": ORDER_8[0], "order-8-b": ORDER_8[1]}
    top = {f"{name}-top-bit": flip(u, 31, 0x80) for name, u in points.items()}
    return points | top


def drawn(label: str) -> Random:
    count = iter(range(1000))
    return lambda size: stream(f"{label} {next(count)}", size)


def seeds() -> Folder:
    def judge(fields: Fields) -> Fields:
        public = PrivateKey(data(fields, "seed")).public
        return {"public": public.hex(), "kid": kid_of(public)}

    folder = Folder("seed", judge, {})
    for name, seed in {"zeros": bytes(32), "counting": bytes(range(32)), "random": key("sealing seed")}.items():
        fields: Fields = {"seed": seed.hex()}
        folder.ok(name, "a private key, its public half and its name", fields, judge(fields))
    return folder


def publics() -> Folder:
    def judge(fields: Fields) -> Fields:
        public = data(fields, "public")
        check_public(public)
        return {"kid": kid_of(public)}

    folder = Folder("public", judge, {})
    public = PrivateKey(key("sealing public")).public
    for name, u in {"2": 2, "9": 9, "p-2": P - 2, "p+2": P + 2, "largest": 2**255 - 1}.items():
        fields: Fields = {"public": (public[:1184] + u.to_bytes(32, "little")).hex()}
        folder.ok(f"share-{name}", f"pk_X is {name}: near the forbidden ones, and none of them", fields, judge(fields))
    for name, share in low_order_shares().items():
        comment = f"pk_X is {name}, of low order"
        folder.refused(f"share-{name}", comment, "low-order", {"public": (public[:1184] + share).hex()})
    for name, at, value in (
        ("first-q", 0, 3329),
        ("second-q", 1, 3329),
        ("middle-largest", 383, 4095),
        ("last-q", 767, 3329),
        ("last-largest", 767, 4095),
    ):
        number = int.from_bytes(public[:1152], "little")
        number = number & ~(0xFFF << 12 * at) | value << 12 * at
        changed = number.to_bytes(1152, "little") + public[1152:]
        folder.refused(name, f"coefficient {at} is {value}", "not-canonical", {"public": changed.hex()})
    for name, changed in {"empty": b"", "short": public[:-1], "long": public + b"\0"}.items():
        folder.refused(name, "the wrong number of bytes", "length", {"public": changed.hex()})
    return folder


def contexts() -> Folder:
    def judge(fields: Fields) -> Fields:
        return {"context": context_of(fields).hex()}

    folder = Folder("context", judge, {})
    for name, comment, fields in (
        ("strict", "namespace and name are bound", place("strict", "prod", "db", "Opaque", "s7f3a9c21")),
        ("namespace", "the name is not bound", place("namespace", "prod", "db", "Opaque", "s7f3a9c21")),
        ("cluster", "neither is", place("cluster", "prod", "db", "kubernetes.io/tls", "s00000000")),
        ("cluster-nowhere", "an object without a namespace", place("cluster", "", "db", "Opaque", "sffffffff")),
        ("boundary", "ab and c", place("strict", "ab", "c", "Opaque", "s7f3a9c21")),
        ("boundary-moved", "a and bc", place("strict", "a", "bc", "Opaque", "s7f3a9c21")),
        ("longest-type", "253 bytes", place("strict", "prod", "db", "t" * 253, "s7f3a9c21")),
    ):
        folder.ok(name, comment, fields, judge(fields))
    for scope in ("strict", "namespace"):
        fields = place(scope, "", "db", "Opaque", "s7f3a9c21")
        folder.refused(f"{scope}-nowhere", "a scope that binds a namespace, and none", "no-namespace", fields)
    return folder


def commits() -> Folder:
    def judge(fields: Fields) -> Fields:
        return {"commit": commit_of(data(fields, "dek"), context_of(fields)).hex()}

    folder = Folder("commit", judge, {})
    for name, dek, where in (
        ("zeros", bytes(32), HERE),
        ("random", key("sealing commit"), HERE),
        ("other-place", key("sealing commit"), ELSEWHERE),
    ):
        fields: Fields = {"dek": dek.hex()} | where
        folder.ok(name, "what a DEK commits to", fields, judge(fields))
    return folder


def wraps() -> Folder:
    """`randomness` is what X-Wing draws; who has it makes the same wrap. What is refused has none."""

    def judge(fields: Fields) -> Fields:
        private = PrivateKey(data(fields, "seed"))
        dek = unwrap(private, context_of(fields), data(fields, "commit"), data(fields, "wrap"))
        return {"dek": dek.hex()}

    folder = Folder("wrap", judge, {})
    private, dek = PrivateKey(key("sealing wrap key")), key("sealing wrap dek")
    commit = commit_of(dek, CONTEXT)

    def case(where: Fields, commit: bytes, sealed: bytes) -> Fields:
        return {"seed": private.seed.hex()} | where | {"commit": commit.hex(), "wrap": sealed.hex()}

    for name in ("a", "b"):
        randomness = stream(f"sealing wrap {name}", 64)
        sealed = wrap(private.public, CONTEXT, commit, dek, randomness)
        fields = case(HERE, commit, sealed) | {"randomness": randomness.hex()}
        folder.ok(name, "a DEK for one recipient", fields, {"dek": dek.hex()})
    for name, at, mask in (
        ("changed-mlkem", 0, 1),
        ("changed-mlkem-end", 1087, 0x80),
        ("changed-share", 1088, 1),
        ("changed-share-top-bit", 1119, 0x80),
        ("changed-dek", 1120, 1),
        ("changed-tag", 1167, 0x80),
    ):
        folder.refused(name, f"a bit of byte {at}", "closed", case(HERE, commit, flip(sealed, at, mask)))
    folder.refused("other-place", "opened under another name", "closed", case(ELSEWHERE, commit, sealed))
    folder.refused("other-commit", "opened with another commit", "closed", case(HERE, flip(commit, 0), sealed))
    wrong = flip(commit, 31)
    sealed = wrap(private.public, CONTEXT, wrong, dek, stream("sealing wrap wrong", 64))
    folder.refused("wrong-commit", "made with a commit that is not the DEK's", "closed", case(HERE, wrong, sealed))
    for name, share in low_order_shares().items():
        ss_m, ct_m = mlkem768.encapsulate(private.public[:1184], stream(f"sealing wrap {name}", 32))
        aead, nonce = hpke_key(combiner(ss_m, bytes(32), share, private.pk_x), b"wrap" + CONTEXT + commit)
        sealed = ct_m + share + ChaCha20Poly1305(aead).encrypt(nonce, dek, b"")
        comment = f"the share is {name}, of low order, and whoever takes it finds the DEK (as C2SP/CCTV hybrid_low_order)"
        folder.refused(f"share-{name}", comment, "closed", case(HERE, commit, sealed))
    return folder


def values() -> Folder:
    def judge(fields: Fields) -> Fields:
        arguments = (data(fields, "dek"), context_of(fields), text(fields, "key"), data(fields, "value"))
        return {"plaintext": open_value(*arguments).hex()}

    folder = Folder("value", judge, {})
    dek = key("sealing value dek")

    def case(name: str, value: bytes, where: Fields = HERE) -> Fields:
        return {"dek": dek.hex()} | where | {"key": name, "value": value.hex()}

    def sealed(label: str, padded: bytes) -> bytes:
        salt = stream(f"sealing value {label}", 16)
        aead, nonce = value_key(dek, CONTEXT, "password", salt)
        return salt + AESGCM(aead).encrypt(nonce, padded, b"")

    for size in (0, 1, 27, 28, 29, 60, 61, 1000):
        plaintext = stream(f"sealing plaintext {size}", size)
        value = seal_value(dek, CONTEXT, "password", plaintext, stream(f"sealing value {size}", 16))
        folder.ok(f"{size}-bytes", "a value of this length", case("password", value), {"plaintext": plaintext.hex()})
    good = sealed("good", pad(b"hunter2"))
    value = seal_value(dek, CONTEXT, "k" * 253, b"v", bytes(16))
    folder.ok("longest-key", "a data key of 253 letters", case("k" * 253, value), {"plaintext": b"v".hex()})
    folder.refused("other-key", "under another data key", "closed", case("passwore", good))
    folder.refused("other-place", "under another name", "closed", case("password", good, ELSEWHERE))
    for name, at in (("changed-salt", 0), ("changed-length", 19), ("changed-plaintext", 20), ("changed-tag", -1)):
        folder.refused(name, "a bit", "closed", case("password", flip(good, at)))
    body = enc(b"hunter2")
    for name, comment, padded in (
        ("padding-not-zero", "the last byte of padding is 1", body + bytes(20) + b"\1"),
        ("padding-too-long", "a block more than needed", body + bytes(53)),
        ("length-too-large", "more bytes than there are", enc(b"hunter2")[:3] + b"\x1d" + b"hunter2" + bytes(21)),
        ("length-largest", "2^32 − 1 bytes", b"\xff" * 4 + bytes(28)),
        ("length-too-small", "a byte of plaintext among the padding", enc(b"hunter")[:4] + b"hunter2" + bytes(21)),
        ("no-block", "a padding that is not a multiple of 32", body),
    ):
        folder.refused(name, comment, "closed", case("password", sealed(name, padded)))
    return folder


def escrows() -> Folder:
    folder = Folder("escrow", lambda fields: {"seed": read_escrow_text(text(fields, "text")).hex()}, {})
    counting, seed = bytes(range(32)), key("sealing escrow")
    for name, value in {"counting": counting, "zeros": bytes(32), "ones": b"\xff" * 32, "random": seed}.items():
        folder.ok(name, "as it is printed", {"text": escrow_text(value)}, {"seed": value.hex()})
    printed = escrow_text(counting)
    for name, comment, typed in (
        ("small-letters", "case", printed.lower()),
        ("one-word", "no hyphens", printed.replace("-", "")),
        ("spaces", "spaces and a tab instead of hyphens", printed.replace("-", " \t")),
        ("letters-for-digits", "O for 0, I for 1", printed.replace("0", "O").replace("1", "I")),
        ("small-letters-for-digits", "o for 0, l for 1", printed.replace("0", "o").replace("1", "l")),
    ):
        folder.ok(f"typed-{name}", comment, {"text": typed}, {"seed": counting.hex()})
    for name, comment, typed in (
        ("letter-u", "U is no digit", "U" + printed[1:]),
        ("underscore", "not a hyphen", printed.replace("-", "_")),
        ("dash", "a dash is no hyphen", printed.replace("-", "–")),
        ("no-break-space", "not a blank of ASCII", printed.replace("-", "\u00a0")),
        ("dotless-i", "a letter that is no I", printed.replace("1", "ı")),
        ("full-width", "a digit outside ASCII", printed.replace("0", "０")),
    ):
        folder.refused(name, comment, "character", {"text": typed})
    for name, typed in {"empty": "", "short": printed[:-1], "long": printed + "0"}.items():
        folder.refused(name, "not 56 digits", "length", {"text": typed})
    digits = printed.replace("-", "")
    for at in (0, 27, 51, 52, 55):
        other = CROCKFORD[CROCKFORD.index(digits[at]) ^ 1]
        typed = digits[:at] + other + digits[at + 1 :]
        folder.refused(f"digit-{at}", f"digit {at} is another one", "checksum", {"text": typed})
    swapped = digits[:4] + digits[5] + digits[4] + digits[6:]
    folder.refused("swapped", "two digits changed places", "checksum", {"text": swapped})
    wrong = print_escrow(counting + flip(checksum(counting), 2))
    folder.refused("other-checksum", "the last bit", "checksum", {"text": wrong})
    return folder


def write(directory: Path) -> int:
    """Writes every folder; a file of an earlier run that is no case any more goes. Returns how many cases there are."""
    folders = [seeds(), publics(), contexts(), commits(), wraps(), values(), escrows(), objects(drawn), lists()]
    for folder in folders:
        path = directory / folder.name
        path.mkdir(parents=True, exist_ok=True)
        for old in path.glob("*.txt"):
            if old.stem not in folder.cases:
                old.unlink()
        for name, content in folder.cases.items():
            (path / f"{name}.txt").write_text(content, encoding="utf-8", newline="\n")
    return sum(len(folder.cases) for folder in folders)
