"""The cases of the bundle. Most break one rule under a right length and a right MAC, so that only that rule can refuse them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from strongroom_format import (
    MAC_LEN,
    MAX_BLOB,
    MAX_BUNDLE,
    MAX_U32,
    MAX_U64,
    Bundle,
    FormatError,
    Frame,
    KeyId,
    KeyVersion,
    LedgerKey,
    Purpose,
    State,
    Wrapped,
    bundle_mac,
    enc,
    encode_wraps,
    hmac_sha256,
    root_id,
    u8,
    u16be,
    u32be,
    u64be,
    unwrap_one,
)
from vector_case import Fields, Folder, data, flip, key, nonce, stream


@dataclass
class Draft:
    """A bundle that may break any rule. `encode` computes the length and the MAC over whatever it holds."""

    ring: bytes
    generation: int
    ledger: LedgerKey
    versions: list[KeyVersion]
    ledger_key: bytes
    count: int | None = None

    def pieces(self) -> list[bytes]:
        """What stands between the length field and the MAC, field by field, so that cases can cut between any two."""
        count = len(self.versions) if self.count is None else self.count
        pieces = [u32be(len(self.ring)), self.ring, u64be(self.generation)]
        pieces += [u32be(self.ledger.version), self.ledger.fingerprint, *wraps_pieces(self.ledger.wraps)]
        pieces.append(u16be(count))
        for version in self.versions:
            pieces += [u32be(version.version), version.fingerprint, u8(version.state), u64be(version.created)]
            pieces += [u64be(version.activated), *wraps_pieces(version.wraps)]
        return pieces

    def encode(self) -> bytes:
        return finish(b"".join(self.pieces()), self.ledger_key)


def wraps_pieces(wraps: Sequence[Wrapped]) -> list[bytes]:
    pieces = [u8(len(wraps))]
    for wrapped in wraps:
        encoded = wrapped.encode()
        pieces += [u32be(len(encoded)), encoded[:1], encoded[1:7], encoded[7:]]
    return pieces


def finish(body: bytes, ledger_key: bytes, version: int = 1, size: int | None = None) -> bytes:
    """A right length and a right MAC around `body`, whatever it is."""
    total = 5 + len(body) + MAC_LEN if size is None else size
    before_mac = u8(version) + u32be(total) + body
    return before_mac + bundle_mac(ledger_key, before_mac)


def boundaries(pieces: Iterable[bytes]) -> list[int]:
    offsets, at = [0], 0
    for piece in pieces:
        at += len(piece)
        offsets.append(at)
    return offsets


ROOT, OTHER_ROOT = key("bundle root"), key("bundle other root")
LEDGER_KEY = key("bundle state/v3")
LEDGER_ID = KeyId.of("state", 3, LEDGER_KEY)


def wrap_all(label: str, key_id: KeyId, secret: bytes, roots: Sequence[bytes]) -> tuple[Wrapped, ...]:
    wraps = [Wrapped.wrap(root, key_id, secret, nonce(f"{label} {root_id(root).hex()}")) for root in roots]
    return tuple(sorted(wraps, key=lambda wrapped: wrapped.root_id))


def ledger_part(label: str, roots: Sequence[bytes] = (ROOT,)) -> LedgerKey:
    return LedgerKey(LEDGER_ID.version, LEDGER_ID.fingerprint, wrap_all(f"ledger {label}", LEDGER_ID, LEDGER_KEY, roots))


def version_key(number: int) -> bytes:
    return key(f"bundle version {number}")


def version_part(
    label: str,
    number: int,
    state: State,
    *,
    ring: str = "etcd",
    roots: Sequence[bytes] = (ROOT,),
    created: int = 1_700_000_000,
    activated: int | None = None,
) -> KeyVersion:
    secret = version_key(number)
    key_id = KeyId.of(ring, number, secret)
    if activated is None:
        activated = 0 if state == State.PRE_ACTIVE else created + 86_400
    wraps = () if state == State.DESTROYED else wrap_all(f"{label} {ring} {number}", key_id, secret, roots)
    return KeyVersion(number, key_id.fingerprint, state, created, activated, wraps)


def bundle_result(encoded: bytes, roots: Sequence[bytes]) -> Fields:
    bundle = Bundle.open(encoded, roots)
    if bundle.encode() != encoded:
        raise RuntimeError("a bundle was read and not written back")
    versions = []
    for version in bundle.versions:
        try:
            opened = unwrap_one(version.wraps, roots, bundle.key_id(version)).hex()
        except FormatError as error:
            opened = error.kind
        state = State(version.state).name.lower()
        versions.append(f"{bundle.key_id(version)} {state} {version.created} {version.activated} {len(version.wraps)} {opened}")
    return {
        "ring": bundle.ring,
        "generation": str(bundle.generation),
        "ledger-key": f"{bundle.ledger.key_id} {len(bundle.ledger.wraps)}",
        "version": versions,
    }


def bundles() -> Folder:
    folder = Folder("bundle", lambda fields: bundle_result(data(fields, "bundle"), [data(fields, "root")]), {})

    def accept(name: str, comment: str, draft: Draft, root: bytes = ROOT) -> bytes:
        encoded = draft.encode()
        fields: Fields = {"root": root.hex(), "bundle": encoded.hex()}
        folder.ok(name, comment, fields, folder.judge(fields))
        return encoded

    def refuse(name: str, comment: str, kind: str, encoded: bytes, root: bytes = ROOT) -> None:
        folder.refused(name, comment, kind, {"root": root.hex(), "bundle": encoded.hex()})

    def draft(label: str, *versions: KeyVersion, **changed: object) -> Draft:
        parts = versions or (version_part(label, 1, State.ACTIVE),)
        return replace(Draft(b"etcd", 5, ledger_part(label), list(parts), LEDGER_KEY), **changed)  # type: ignore[arg-type]

    bundles_accepted(accept, draft)
    bundles_cut(refuse, draft)
    bundles_field_by_field(refuse, draft)
    bundles_wraps(refuse, draft)
    bundles_unauthentic(refuse, draft)
    return folder


Accept = Callable[..., bytes]
Refuse = Callable[..., None]
MakeDraft = Callable[..., Draft]


def bundles_accepted(accept: Accept, draft: MakeDraft) -> None:
    accept("smallest", "one active version, one root", draft("smallest"))
    every = [version_part("every-state", number, state) for number, state in enumerate(State, 1)]
    accept("every-state", "each state once", draft("every-state", *every))
    both = (ROOT, OTHER_ROOT)
    two = [
        version_part("two-roots", 1, State.DEACTIVATED, roots=(OTHER_ROOT,)),
        version_part("two-roots", 2, State.ACTIVE, roots=both),
        version_part("two-roots", 9, State.PRE_ACTIVE, roots=(ROOT,)),
    ]
    migrating = draft("two-roots", *two, ledger=ledger_part("two-roots", both))
    accept("two-roots-by-first", "between two roots: what the one opens", migrating)
    accept("two-roots-by-second", "between two roots: what the other opens", migrating, OTHER_ROOT)

    crowd = [ROOT, *(key(f"bundle crowd {number}") for number in range(15))]
    accept(
        "16-wraps",
        "as many wraps as may stand in one place",
        draft("16-wraps", version_part("16-wraps", 1, State.ACTIVE, roots=crowd), ledger=ledger_part("16-wraps", crowd)),
    )

    foreign = [Wrapped(bytes(6), b"\0"), Wrapped(b"\xff" * 6, stream("bundle foreign", MAX_BLOB))]
    base = version_part("foreign", 1, State.ACTIVE)
    mixed = replace(base, wraps=(foreign[0], *base.wraps, foreign[1]))
    accept("foreign-wraps", "blobs of other roots, the shortest and the longest", draft("foreign", mixed))

    accept(
        "largest-numbers",
        "every number at its largest",
        draft(
            "largest", version_part("largest", MAX_U32, State.ACTIVE, created=MAX_U64, activated=MAX_U64), generation=MAX_U64
        ),
    )
    accept(
        "smallest-numbers",
        "every number at its smallest",
        draft("smallest-numbers", version_part("smallest-numbers", 1, State.ACTIVE, created=0, activated=1), generation=1),
    )
    accept(
        "gaps",
        "versions need not be neighbours",
        draft("gaps", version_part("gaps", 3, State.ARCHIVED), version_part("gaps", 4096, State.ACTIVE)),
    )
    accept(
        "active-before-others",
        "the active version need not be the last",
        draft("active-first", version_part("active-first", 1, State.ACTIVE), version_part("active-first", 2, State.PRE_ACTIVE)),
    )
    accept(
        "destroyed-never-active",
        "destroyed before it was used",
        draft("unused", version_part("unused", 1, State.DESTROYED, activated=0), version_part("unused", 2, State.ACTIVE)),
    )
    accept(
        "compromised-never-active",
        "compromised before it was used",
        draft("leaked", version_part("leaked", 1, State.COMPROMISED, activated=0), version_part("leaked", 2, State.ACTIVE)),
    )
    ring = "r" * 31
    accept(
        "longest-ring",
        "a ring of 31 bytes",
        draft("longest-ring", version_part("longest-ring", 1, State.ACTIVE, ring=ring), ring=ring.encode()),
    )

    wrong = replace(version_part("bad-wrap", 1, State.DEACTIVATED), wraps=wrap_all("bad-wrap", LEDGER_ID, LEDGER_KEY, [ROOT]))
    accept(
        "version-does-not-open",
        "a version that does not unwrap is refused when it is used; the bundle is authentic",
        draft("bad-wrap", wrong, version_part("bad-wrap", 2, State.ACTIVE)),
    )
    cut = version_part("cut-wrap", 1, State.DEACTIVATED)
    cut = replace(cut, wraps=(replace(cut.wraps[0], blob=cut.wraps[0].blob[:-1]),))
    accept(
        "version-wrap-is-no-frame",
        "as before: the blob under the local root is a byte short",
        draft("cut-wrap", cut, version_part("cut-wrap", 2, State.ACTIVE)),
    )


def bundles_cut(refuse: Refuse, draft: MakeDraft) -> None:
    versions = [version_part("cut", 1, State.DESTROYED), version_part("cut", 2, State.ACTIVE)]
    sample = draft("cut", *versions)
    right = sample.encode()
    refuse("empty", "no byte", "length", b"")
    for size in (
        1,
        2,
        4,
        5,
        9,
        13,
        21,
        25,
        31,
        32,
        116,
        118,
        len(right) - 33,
        len(right) - 32,
        len(right) - 16,
        len(right) - 1,
    ):
        refuse(f"cut-at-{size:03}", f"only the first {size} bytes", "length", right[:size])
    refuse("trailing-byte", "a byte after the MAC", "length", right + b"\0")
    refuse("twice", "two bundles", "length", right + right)

    # The same cuts, with the length field and the MAC made right again: now only the fields inside can tell.
    pieces = sample.pieces()
    body = b"".join(pieces)
    for offset in boundaries(pieces)[:-1]:
        refuse(
            f"body-cut-at-{offset:03}",
            f"the first {offset} bytes between length and MAC; both fit",
            "length",
            finish(body[:offset], LEDGER_KEY),
        )
    refuse("body-cut-in-a-field", "as before, within the fingerprint of a version", "length", finish(body[:120], LEDGER_KEY))
    refuse(
        "body-trailing-byte",
        "a byte between the last version and the MAC; both fit",
        "length",
        finish(body + b"\0", LEDGER_KEY),
    )

    for name, comment, size in (
        ("length-one-less", "the length field is one less", len(right) - 1),
        ("length-one-more", "the length field is one more", len(right) + 1),
        ("length-without-mac", "the length field leaves out the MAC", len(right) - MAC_LEN),
        ("length-zero", "the length field is 0", 0),
        ("length-over-limit", "the length field is over the limit", MAX_BUNDLE + 1),
        ("length-largest", "the length field is 4294967295", MAX_U32),
    ):
        refuse(name, comment, "length", finish(body, LEDGER_KEY, size=size))
    for value in (0x00, 0x02, 0xFF):
        refuse(
            f"version-byte-{value:02x}",
            "the version byte is not known; the MAC fits",
            "version",
            finish(body, LEDGER_KEY, version=value),
        )


def bundles_field_by_field(refuse: Refuse, draft: MakeDraft) -> None:
    for name, comment, ring, kind in (
        ("ring-empty", "an empty ring", b"", "field"),
        ("ring-upper-case", "a ring with an upper-case letter", b"Etcd", "field"),
        ("ring-digit-first", "a ring that begins with a digit", b"1etcd", "field"),
        ("ring-not-utf8", "a ring that is no text", b"etc\xff", "field"),
        ("ring-too-long", "a ring of 32 bytes", b"r" * 32, "length"),
    ):
        refuse(name, f"{comment}; the MAC fits", kind, draft(name, ring=ring).encode())
    refuse(
        "ring-length-largest",
        "the length of the ring is 4294967295",
        "length",
        finish(u32be(MAX_U32) + b"".join(draft("ring-length").pieces()[1:]), LEDGER_KEY),
    )
    refuse("generation-zero", "the generation is at least 1; the MAC fits", "field", draft("generation", generation=0).encode())

    zero = LedgerKey(0, LEDGER_ID.fingerprint, wrap_all("ledger zero", replace(LEDGER_ID, version=0), LEDGER_KEY, [ROOT]))
    refuse(
        "ledger-version-zero",
        "the version of the ledger key is at least 1; the MAC fits",
        "field",
        draft("ledger-zero", ledger=zero).encode(),
    )

    def broken(name: str, comment: str, *versions: KeyVersion) -> None:
        refuse(name, f"{comment}; the MAC fits", "field", draft(name, *versions).encode())

    def part(name: str, number: int, state: State, **changed: int) -> KeyVersion:
        return version_part(name, number, state, **changed)  # type: ignore[arg-type]

    for name in ("state", "probe"):
        versions = [version_part(f"ring-{name}", 1, State.ACTIVE, ring=name)]
        refuse(f"ring-{name}", f"the name {name} belongs to other keys; the MAC fits", "field",
               draft(f"ring-{name}", *versions, ring=name.encode()).encode())
    broken("version-zero", "versions start at 1", replace(part("version-zero", 1, State.ACTIVE), version=0))
    broken("versions-descend", "versions ascend", part("descend", 2, State.ACTIVE), part("descend", 1, State.DEACTIVATED))
    broken(
        "versions-equal",
        "a number stands twice",
        part("equal", 1, State.ACTIVE),
        replace(part("equal", 2, State.DEACTIVATED), version=1),
    )
    broken(
        "versions-descend-late",
        "the third is lower than the second",
        part("late", 1, State.ACTIVE),
        part("late", 3, State.DEACTIVATED),
        part("late", 2, State.DEACTIVATED),
    )
    twin = version_part("twin", 1, State.DEACTIVATED)
    broken(
        "fingerprint-twice",
        "a fingerprint stands twice",
        twin,
        replace(part("twin", 2, State.ACTIVE), fingerprint=twin.fingerprint),
    )
    broken(
        "fingerprint-twice-apart",
        "a fingerprint stands twice, not side by side",
        twin,
        part("twin", 2, State.ACTIVE),
        replace(part("twin", 3, State.DESTROYED), fingerprint=twin.fingerprint),
    )
    broken(
        "none-active", "exactly one version is active", part("none", 1, State.DEACTIVATED), part("none", 2, State.PRE_ACTIVE)
    )
    broken("two-active", "exactly one version is active", part("two", 1, State.ACTIVE), part("two", 2, State.ACTIVE))
    broken("active-without-time", "an active version was activated", part("active", 1, State.ACTIVE, activated=0))
    broken(
        "pre-active-with-time",
        "a pre_active version was not activated",
        part("pre", 1, State.ACTIVE),
        part("pre", 2, State.PRE_ACTIVE, activated=1),
    )
    for value in (0, 8, 255):
        broken(
            f"state-{value}",
            "the state is not known",
            part("state", 1, State.ACTIVE),
            replace(part("state", 2, State.DEACTIVATED), state=value),
        )
    broken(
        "destroyed-with-wrap",
        "a destroyed version has no wraps",
        part("destroyed", 1, State.ACTIVE),
        replace(part("destroyed", 2, State.DEACTIVATED), state=State.DESTROYED),
    )
    for state in State:
        if state == State.DESTROYED:
            continue
        name = f"{state.name.lower().replace('_', '-')}-without-wraps"
        others = [] if state == State.ACTIVE else [part(name, 1, State.ACTIVE)]
        broken(name, "only a destroyed version has no wraps", *others, replace(part(name, 2, state), wraps=()))

    refuse(
        "no-versions",
        "exactly one version is active, so there is one; the MAC fits",
        "field",
        replace(draft("no-versions"), versions=[]).encode(),
    )
    one = draft("count")
    refuse(
        "count-one-less",
        "a version more than the count says; the MAC fits",
        "length",
        replace(
            draft("count-2", version_part("count-2", 1, State.ACTIVE), version_part("count-2", 2, State.PRE_ACTIVE)), count=1
        ).encode(),
    )
    refuse("count-one-more", "a version less than the count says; the MAC fits", "length", replace(one, count=2).encode())
    refuse("count-over-limit", "a count of 4097; the MAC fits", "length", replace(one, count=4097).encode())
    refuse("count-largest", "a count of 65535; the MAC fits", "length", replace(one, count=65535).encode())


def bundles_wraps(refuse: Refuse, draft: MakeDraft) -> None:
    crowd = [ROOT, *(key(f"bundle crowd {number}") for number in range(16))]
    active = version_part("wraps", 1, State.ACTIVE, roots=(ROOT, OTHER_ROOT))
    ledger = ledger_part("wraps", (ROOT, OTHER_ROOT))
    swapped, equal = ledger.wraps[::-1], (ledger.wraps[0], ledger.wraps[0])

    refuse(
        "ledger-without-wraps",
        "the ledger key has at least one wrap; the MAC fits",
        "field",
        draft("wraps", ledger=replace(ledger, wraps=())).encode(),
    )
    refuse(
        "ledger-wraps-descend",
        "wraps ascend by root id; the MAC fits",
        "field",
        draft("wraps", ledger=replace(ledger, wraps=swapped)).encode(),
    )
    refuse(
        "ledger-wraps-equal",
        "a root stands twice; the MAC fits",
        "field",
        draft("wraps", ledger=replace(ledger, wraps=equal)).encode(),
    )
    refuse(
        "ledger-17-wraps", "a wrap too many; the MAC fits", "field", draft("wraps", ledger=ledger_part("17", crowd)).encode()
    )
    refuse(
        "version-wraps-descend",
        "wraps ascend by root id; the MAC fits",
        "field",
        draft("wraps", replace(active, wraps=active.wraps[::-1])).encode(),
    )
    refuse(
        "version-wraps-equal",
        "a root stands twice; the MAC fits",
        "field",
        draft("wraps", replace(active, wraps=(active.wraps[0], active.wraps[0]))).encode(),
    )
    refuse(
        "version-17-wraps",
        "a wrap too many; the MAC fits",
        "field",
        draft("wraps", version_part("17", 1, State.ACTIVE, roots=crowd)).encode(),
    )

    sample = draft("wrap inside")
    only = sample.versions[0].wraps[0].encode()
    for name, comment, kind, encoded in (
        ("empty", "a wrapped key of no bytes", "length", b""),
        ("cut-in-root-id", "a wrapped key that ends in its root id", "length", only[:4]),
        ("no-blob", "a wrapped key without blob", "length", only[:7]),
        ("blob-too-long", "a blob of 2049 bytes", "length", only[:7] + bytes(MAX_BLOB + 1)),
        ("version-byte", "the version byte of a wrapped key is not known", "version", b"\x02" + only[1:]),
    ):
        body = b"".join(sample.pieces()).removesuffix(encode_wraps(sample.versions[0].wraps)) + u8(1) + enc(encoded)
        refuse(f"version-wrap-{name}", f"{comment}; the MAC fits", kind, finish(body, LEDGER_KEY))
    body = b"".join(sample.pieces()).removesuffix(enc(only)) + u32be(MAX_U32) + only
    refuse(
        "version-wrap-length-largest",
        "the length of a wrapped key is 4294967295; the MAC fits",
        "length",
        finish(body, LEDGER_KEY),
    )


def bundles_unauthentic(refuse: Refuse, draft: MakeDraft) -> None:
    versions = [version_part("mac", 1, State.DEACTIVATED), version_part("mac", 2, State.ACTIVE)]
    sample = draft("mac", *versions)
    right = sample.encode()
    body = b"".join(sample.pieces())
    before_mac, mac = right[:-MAC_LEN], right[-MAC_LEN:]

    refuse("mac-first-byte", "one bit of the MAC changed", "open", flip(right, -32, 0x80))
    refuse("mac-middle", "one bit of the MAC changed", "open", flip(right, -16, 0x10))
    refuse("mac-last-byte", "one bit of the MAC changed", "open", flip(right, -1))
    refuse("mac-zeros", "a MAC of zeros", "open", before_mac + bytes(MAC_LEN))
    refuse(
        "mac-of-another-bundle",
        "the MAC of another bundle under the same key",
        "open",
        before_mac + draft("smallest").encode()[-MAC_LEN:],
    )
    refuse(
        "mac-by-version-key",
        "the MAC under the active version in place of the ledger key",
        "open",
        finish(body, version_key(2)),
    )
    refuse("mac-by-root", "the MAC under the root", "open", finish(body, ROOT))
    for name, comment, message in (
        ("mac-without-label", "the MAC without its label", before_mac),
        (
            "mac-label-without-length",
            "the MAC with its label, without the label's length",
            b"strongroom/bundle/v1" + before_mac,
        ),
        ("mac-other-label", "the MAC with another label", enc(b"strongroom/bundle/v2") + before_mac),
        ("mac-without-header", "the MAC without version byte and length", enc(b"strongroom/bundle/v1") + body),
    ):
        refuse(name, comment, "open", before_mac + hmac_sha256(LEDGER_KEY, message))

    def resealed(name: str, comment: str, changed: Draft, kind: str = "open") -> None:
        """What somebody without the ledger key can do: change a bundle and keep its MAC."""
        refuse(name, f"{comment}; the old MAC", kind, changed.encode()[:-MAC_LEN] + mac)

    first, second = sample.versions
    resealed("changed-ring", "another ring", replace(sample, ring=b"audit"))
    resealed("changed-generation", "a higher generation", replace(sample, generation=6))
    resealed("changed-version", "another number", replace(sample, versions=[first, replace(second, version=3)]))
    resealed(
        "changed-fingerprint",
        "another fingerprint",
        replace(sample, versions=[first, replace(second, fingerprint=flip(second.fingerprint, 0))]),
    )
    resealed(
        "changed-state",
        "deactivated became compromised",
        replace(sample, versions=[replace(first, state=State.COMPROMISED), second]),
    )
    resealed(
        "changed-active",
        "another version is active",
        replace(sample, versions=[replace(first, state=State.ACTIVE), replace(second, state=State.DEACTIVATED)]),
    )
    resealed("changed-created", "another time", replace(sample, versions=[replace(first, created=1), second]))
    resealed("changed-activated", "another time", replace(sample, versions=[replace(first, activated=1), second]))
    resealed(
        "changed-wrap",
        "one bit of a version's blob",
        replace(
            sample, versions=[first, replace(second, wraps=(replace(second.wraps[0], blob=flip(second.wraps[0].blob, 40)),))]
        ),
    )
    resealed(
        "changed-wrap-root",
        "the root id of a version's wrap",
        replace(sample, versions=[first, replace(second, wraps=(replace(second.wraps[0], root_id=bytes(6)),))]),
    )
    resealed("dropped-version", "a version is gone", replace(sample, versions=[second]))
    resealed(
        "added-version", "a version more", replace(sample, versions=[first, second, version_part("mac", 3, State.PRE_ACTIVE)])
    )
    resealed(
        "added-wrap",
        "a wrap under another root more",
        replace(sample, versions=[first, version_part("mac", 2, State.ACTIVE, roots=(ROOT, OTHER_ROOT))]),
    )

    def ledger(name: str, comment: str, changed: LedgerKey, kind: str = "open") -> None:
        refuse(f"ledger-{name}", f"{comment}; the MAC fits", kind, replace(sample, ledger=changed).encode())

    good = sample.ledger
    stranger = key("bundle stranger")

    def wrapped_as(label: str, key_id: KeyId, purpose: int = Purpose.KEY) -> tuple[Wrapped, ...]:
        return (Wrapped(root_id(ROOT), Frame.seal(ROOT, purpose, key_id, LEDGER_KEY, nonce(f"ledger {label}")).encode()),)

    ledger("not-under-this-root", "no wrap names this root", ledger_part("other root", (OTHER_ROOT,)), "root")
    ledger(
        "flip-blob",
        "one bit of the blob changed",
        replace(good, wraps=(replace(good.wraps[0], blob=flip(good.wraps[0].blob, 30)),)),
    )
    ledger(
        "wrapped-in-ring",
        "wrapped as a version of the ring that the bundle is of",
        replace(good, wraps=wrapped_as("ring", replace(LEDGER_ID, ring="etcd"))),
    )
    ledger(
        "wrapped-as-other-version",
        "wrapped as another version",
        replace(good, wraps=wrapped_as("version", replace(LEDGER_ID, version=4))),
    )
    ledger(
        "wrapped-by-purpose-1",
        "wrapped as a DEK seed",
        replace(good, wraps=wrapped_as("purpose 1", LEDGER_ID, Purpose.DEK_SEED)),
    )
    ledger("other-version", "the version does not fit the wrap", replace(good, version=4))
    ledger("other-fingerprint", "the fingerprint does not fit the wrap", replace(good, fingerprint=flip(good.fingerprint, 5)))
    ledger(
        "blob-cut",
        "the blob under this root is a byte short",
        replace(good, wraps=(replace(good.wraps[0], blob=good.wraps[0].blob[:-1]),)),
    )
    ledger(
        "blob-trailing-byte",
        "the blob under this root is a byte long",
        replace(good, wraps=(replace(good.wraps[0], blob=good.wraps[0].blob + b"\0"),)),
    )
    ledger(
        "blob-version",
        "the version byte of the blob is not known",
        replace(good, wraps=(replace(good.wraps[0], blob=flip(good.wraps[0].blob, 0, 0x03)),)),
    )
    other_inside = wrap_all("ledger stranger", LEDGER_ID, stranger, [ROOT])
    inside = replace(sample, ledger=replace(good, wraps=other_inside), ledger_key=stranger)
    refuse(
        "ledger-another-key-inside",
        "the wrap opens and the MAC fits, but the key is not the one with this fingerprint",
        "open",
        inside.encode(),
    )
