"""The cases of the ledger: MACs of rows, contents of heads, the audit chain and its checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from unicodedata import normalize

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from strongroom_format import (
    KEY_LEN,
    MAC_LEN,
    MAX_BLOB,
    MAX_U32,
    MAX_U64,
    RUN_STATES,
    SIGNATURE_LEN,
    START,
    TABLES,
    Checkpoint,
    Column,
    KeyId,
    Record,
    Row,
    State,
    Value,
    Wrapped,
    audit_public_key,
    check_chain,
    columns_of,
    contents,
    enc,
    encode_wraps,
    hmac_sha256,
    root_id,
    sha256,
    signing_key,
    u8,
    u64be,
)
from vector_case import Fields, Folder, data, flip, key, nonce, stream, text

LEDGER_KEY, OTHER_LEDGER_KEY = key("ledger state/v3"), key("ledger state/v4")
CLUSTER, OTHER_CLUSTER = stream("ledger cluster", 16), stream("ledger other cluster", 16)
NOW = 1_700_000_000

# Letters of one to four bytes in UTF-8, a combining mark, the other way of writing, and what no terminal should see raw.
UNICODE = "Zoë Ångström «日本» 🔑 e\u0301 \u202e"

# --- Rows ---------------------------------------------------------------------------------------------------------------------


def write_value(value: Value) -> str:
    """Text is in hexadecimal digits as bytes are; `-` is NULL."""
    match value:
        case None:
            return "-"
        case int():
            return str(value)
        case str():
            return value.encode("utf-8").hex()
        case bytes():
            return value.hex()


def read_value(kind: str, written: str) -> Value:
    if written == "-":
        return None
    match kind:
        case "num" | "opt":
            return int(written)
        case "txt":
            return bytes.fromhex(written).decode("utf-8")
    return bytes.fromhex(written)


def write_row(row: Row) -> Fields:
    columns = columns_of(row.table, row.values)
    return {
        "table": row.table,
        "cluster": row.cluster.hex(),
        "ring": row.ring,
        "field": [f"{column.kind} {column.name} {write_value(row.values[column.name])}" for column in columns],
    }


def read_row(fields: Fields) -> Row:
    values: dict[str, Value] = {}
    for line in fields["field"]:
        kind, name, written = line.split(" ")
        values[name] = read_value(kind, written)
    return Row(text(fields, "table"), data(fields, "cluster"), text(fields, "ring"), values)


def wrap(label: str, key_id: KeyId, secret: bytes, root: bytes) -> Wrapped:
    return Wrapped.wrap(root, key_id, secret, nonce(f"ledger wrap {label}"))


ROOT = key("ledger root")
VERSION_KEY = key("ledger version")
KEY_ID = KeyId.of("etcd", 7, VERSION_KEY)
WRAPS = encode_wraps([wrap("usual", KEY_ID, VERSION_KEY, ROOT)])
NO_WRAPS = encode_wraps([])

USUAL: dict[str, dict[str, Value]] = {
    "heads": {
        "revision": 41,
        "generation": 12,
        "audit_seq": 97,
        "audit_hash": stream("ledger audit hash", 32),
        "versions": 3,
        "holds": 1,
        "runs": 2,
        "replicas": 4,
        "contents": stream("ledger contents", 128),
    },
    "versions": {
        "key_id": str(KEY_ID),
        "state": "destroy_scheduled",
        "created": NOW,
        "activated": NOW + 60,
        "changed": NOW + 7_200,
        "destruction": 1,
        "requested_by": "anna",
        "wait": 604_800,
        "observed": 3_600,
        "approved_by": "berta",
        "wraps": WRAPS,
    },
    "holds": {
        "id": 5,
        "first": 2,
        "last": 7,
        "until": NOW + 31_536_000,
        "reason": "case 17/23",
        "added_by": "anna",
        "added_at": NOW,
        "released_by": "berta",
        "released_at": NOW + 86_400,
    },
    "runs": {
        "id": 9,
        "trigger": "schedule",
        "reason": "older than 90 days",
        "requested_by": "controller",
        "begun": NOW,
        "from": 6,
        "to": 7,
        "activated": NOW + 30,
        "converged": NOW + 90,
        "state": "done",
        "ended": NOW + 120,
        "outcome": "all replicas serve etcd/v7",
    },
    "replicas": {"id": 3, "name": "control-plane-1", "joined": NOW, "removed_by": "anna", "removed_at": NOW + 5},
    "reports": {"replica": "control-plane-1", "generation": 12, "bundle": bytes(range(32)), "serving": 7, "tested": NOW},
}


def usual(table: str, **changed: Value) -> Row:
    values = USUAL[table] | changed
    if table == "versions" and values["destruction"] == 0:
        values = {column.name: values[column.name] for column in columns_of(table, values)}
    return Row(table, CLUSTER, "etcd", values)


def rows() -> Folder:
    def judge(fields: Fields) -> Fields:
        read_row(fields).verify(data(fields, "ledger-key"), data(fields, "mac"))
        return {}

    folder = Folder("row", judge, {})

    def fields(row: Row, mac: bytes, under: bytes = LEDGER_KEY) -> Fields:
        return {"ledger-key": under.hex()} | write_row(row) | {"mac": mac.hex()}

    def accept(name: str, comment: str, row: Row) -> None:
        folder.ok(name, comment, fields(row, row.mac(LEDGER_KEY)), {})

    def refuse(name: str, comment: str, row: Row, mac: bytes, under: bytes = LEDGER_KEY) -> None:
        kind = "open" if len(mac) == MAC_LEN else "length"
        folder.refused(name, comment, kind, fields(row, mac, under))

    for table in TABLES:
        rows_of(table, accept, refuse)
    rows_of_versions(accept, refuse)
    rows_unauthentic(accept, refuse)
    right = usual("replicas")
    refuse("under-other-key", "judged by another ledger key", right, right.mac(LEDGER_KEY), OTHER_LEDGER_KEY)
    return folder


Accept = Callable[[str, str, Row], None]
Refuse = Callable[[str, str, Row, bytes], None]


def another(column: Column, value: Value) -> Value:
    """The least change, and one that the column allows."""
    match value:
        case None:
            return 0 if column.kind == "opt" else "x"
        case int():
            return 1 - value if column.name == "destruction" else value ^ 1
        case bytes() if column.name == "wraps":
            return encode_wraps([wrap("another", KEY_ID, VERSION_KEY, ROOT)])
        case bytes():
            return flip(value, -1)
        case str() if column.name == "key_id":
            return str(replace(KEY_ID, version=8))
        case str() if column.name == "state":
            return {"destroy_scheduled": "deactivated", "done": "open"}[value]
        case str():
            return f"{value}\0"


def rows_of(table: str, accept: Accept, refuse: Refuse) -> None:
    right = usual(table)
    mac = right.mac(LEDGER_KEY)
    accept(f"{table}-usual", "every column has a value", right)

    for column in columns_of(table, right.values):
        if column.name != "destruction":
            changed = usual(table, **{column.name: another(column, right.values[column.name])})
            refuse(f"{table}-changed-{column.name.replace('_', '-')}", "one column changed", changed, mac)
    for column in TABLES[table]:
        name = column.name.replace("_", "-")
        if column.kind == "opt":
            absent, zero, largest = (usual(table, **{column.name: value}) for value in (None, 0, MAX_U64))
            accept(f"{table}-without-{name}", "the column is NULL", absent)
            accept(f"{table}-zero-{name}", "0 is not NULL", zero)
            accept(f"{table}-largest-{name}", "the column is 2^64 - 1", largest)
            refuse(f"{table}-without-{name}-for-zero", "NULL where there was 0", absent, zero.mac(LEDGER_KEY))
            refuse(f"{table}-zero-{name}-for-none", "0 where there was NULL", zero, absent.mac(LEDGER_KEY))
        if column.nullable:
            accept(
                f"{table}-without-{name}", "the column is NULL, which is written as empty", usual(table, **{column.name: None})
            )

    numbers = [column.name for column in TABLES[table] if column.kind in ("num", "opt") and column.name != "destruction"]
    texts = [column.name for column in TABLES[table] if column.kind == "txt" and column.name not in ("key_id", "state")]
    accept(f"{table}-zeros", "every number is 0", usual(table, **dict.fromkeys(numbers, 0)))
    accept(f"{table}-largest", "every number is 2^64 - 1", usual(table, **dict.fromkeys(numbers, MAX_U64)))
    accept(
        f"{table}-signed",
        "every number is 2^63, negative for who reads it with a sign",
        usual(table, **dict.fromkeys(numbers, 2**63)),
    )
    for one, two in pairwise(numbers):
        swapped = usual(table, **{one: right.values[two], two: right.values[one]})
        if swapped != right:
            name = f"{table}-swapped-{one}-{two}".replace("_", "-")
            refuse(name, "two numbers that follow each other changed places", swapped, mac)
    if not texts:
        return
    empty, composed, decomposed = (
        usual(table, **dict.fromkeys(texts, value)) for value in ("", normalize("NFC", UNICODE), normalize("NFD", UNICODE))
    )
    accept(f"{table}-empty-texts", "every text is empty", empty)
    accept(f"{table}-unicode", "letters of every length in UTF-8", composed)
    accept(f"{table}-unicode-decomposed", "the same letters, written in the other way", decomposed)
    refuse(f"{table}-unicode-normalized", "texts are not normalized", composed, decomposed.mac(LEDGER_KEY))
    accept(f"{table}-controls", "a NUL, a newline and a quote", usual(table, **dict.fromkeys(texts, "a\0b\r\n'\"")))
    accept(f"{table}-long-texts", "texts of 300 bytes", usual(table, **dict.fromkeys(texts, "0123456789" * 30)))


def rows_of_versions(accept: Accept, refuse: Refuse) -> None:
    none = usual("versions", destruction=0, state="active")
    accept("versions-no-destruction", "nobody has asked for a destruction: four columns do not stand in the row", none)
    blank = usual("versions", destruction=1, state="active", requested_by="", wait=0, observed=0, approved_by=None)
    accept("versions-blank-destruction", "asked for, and every column of it empty", blank)
    refuse("versions-blank-destruction-for-none", "blank columns where there were none", blank, none.mac(LEDGER_KEY))
    refuse("versions-no-destruction-for-blank", "no columns where there were blank ones", none, blank.mac(LEDGER_KEY))
    withdrawn = usual("versions", destruction=0)
    refuse("versions-destruction-withdrawn", "the request was taken away", withdrawn, usual("versions").mac(LEDGER_KEY))
    approved, open_ = usual("versions"), usual("versions", approved_by=None)
    refuse("versions-approval-added", "an approval where there was none", approved, open_.mac(LEDGER_KEY))
    refuse("versions-approval-removed", "no approval where there was one", open_, approved.mac(LEDGER_KEY))
    for state in State:
        word = state.name.lower()
        destruction = int(state in (State.DESTROY_SCHEDULED, State.DESTROYED))
        wraps = NO_WRAPS if state == State.DESTROYED else WRAPS
        activated = None if state == State.PRE_ACTIVE else NOW + 60
        row = usual("versions", state=word, destruction=destruction, wraps=wraps, activated=activated)
        accept(f"versions-{word.replace('_', '-')}", "a version in this state", row)
    taken_over = usual("versions", state="destroyed", destruction=0, wraps=NO_WRAPS)
    accept("versions-destroyed-elsewhere", "destroyed before there was a ledger: nobody asked for it here", taken_over)
    gone, restored = (usual("versions", state="destroyed", wraps=wraps) for wraps in (NO_WRAPS, WRAPS))
    refuse("versions-wraps-restored", "the wraps of a destroyed version are back", restored, gone.mac(LEDGER_KEY))
    refuse("versions-wraps-lost", "the wraps are gone", usual("versions", wraps=NO_WRAPS), usual("versions").mac(LEDGER_KEY))

    roots = sorted((key(f"ledger crowd {number}") for number in range(16)), key=root_id)
    crowd = encode_wraps([wrap(f"crowd {at}", KEY_ID, VERSION_KEY, root) for at, root in enumerate(roots)])
    accept("versions-16-wraps", "as many wraps as may stand in one place", usual("versions", wraps=crowd))
    longest = encode_wraps([Wrapped(bytes(6), stream("ledger longest blob", MAX_BLOB))])
    accept("versions-longest-wrap", "a blob of 2048 bytes", usual("versions", wraps=longest))
    longest_id = KeyId.of("r" * 31, MAX_U32, VERSION_KEY)
    row = replace(usual("versions", key_id=str(longest_id)), ring="r" * 31)
    accept("versions-longest-key-id", "a ring of 31 letters, a version of 10 digits", row)


def rows_unauthentic(accept: Accept, refuse: Refuse) -> None:
    accept("cluster-zeros", "a cluster of zeros", replace(usual("reports"), cluster=bytes(16)))
    accept("ring-shortest", "a ring of one letter", replace(usual("reports"), ring="a"))
    right = usual("replicas")
    mac = right.mac(LEDGER_KEY)
    refuse("other-key", "a MAC by another ledger key", right, right.mac(OTHER_LEDGER_KEY))
    refuse("other-cluster", "the row of another cluster", replace(right, cluster=OTHER_CLUSTER), mac)
    refuse("cluster-last-bit", "one bit of the cluster changed", replace(right, cluster=flip(CLUSTER, 15)), mac)
    refuse("other-ring", "the row of another ring", replace(right, ring="audit"), mac)
    refuse("longer-ring", "a ring that begins alike", replace(right, ring="etcd-"), mac)
    for name, comment, bad in (
        ("mac-first-byte", "one bit changed in byte 0", flip(mac, 0)),
        ("mac-middle", "one bit changed in byte 16", flip(mac, 16, 0x10)),
        ("mac-last-byte", "one bit changed in byte 31", flip(mac, 31, 0x80)),
        ("mac-zeros", "a MAC of zeros", bytes(32)),
        ("mac-empty", "no MAC", b""),
        ("mac-cut", "a byte of the MAC is missing", mac[:31]),
        ("mac-half", "the first half of the MAC", mac[:16]),
        ("mac-trailing-byte", "a byte after the MAC", mac + b"\0"),
        ("mac-without-label", "a MAC of the row alone", hmac_sha256(LEDGER_KEY, right.encode())),
        (
            "mac-label-without-length",
            "a label without its length",
            hmac_sha256(LEDGER_KEY, b"strongroom/ledger-row/v1" + right.encode()),
        ),
        ("mac-other-label", "the label of a bundle", hmac_sha256(LEDGER_KEY, enc(b"strongroom/bundle/v1") + right.encode())),
        (
            "mac-of-version-2",
            "the label of a version to come",
            hmac_sha256(LEDGER_KEY, enc(b"strongroom/ledger-row/v2") + right.encode()),
        ),
        ("mac-is-hash", "a hash, for which nobody needs the key", sha256(enc(b"strongroom/ledger-row/v1") + right.encode())),
        ("mac-of-another-row", "the MAC of another row of the table", usual("replicas", id=2).mac(LEDGER_KEY)),
    ):
        refuse(name, comment, right, bad)

    for state in RUN_STATES:
        accept(f"runs-{state}", "a run in this state", usual("runs", state=state))

    # As one string of bytes, each pair is the same but for its lengths.
    shifted = usual("holds", reason="case 17/23a", added_by="nna")
    refuse("shifted-text", "a letter moved from one text to the next", shifted, usual("holds").mac(LEDGER_KEY))
    joined = usual("runs", trigger="schedule", reason="", requested_by="older than 90 dayscontroller")
    refuse("shifted-texts", "all letters of one text moved to the next", joined, usual("runs").mac(LEDGER_KEY))
    moved = usual("runs", to=None, activated=7, converged=NOW + 30)
    refuse(
        "shifted-opt",
        "NULL moved from one column to another",
        moved,
        usual("runs", to=7, activated=NOW + 30, converged=None).mac(LEDGER_KEY),
    )
    ring_shifted = Row("replicas", CLUSTER, "etcd", right.values)
    unframed = (
        b"replicas" + CLUSTER + b"etcd" + b"".join((u64be(3), b"control-plane-1", u64be(NOW), b"anna", u8(1) + u64be(NOW + 5)))
    )
    refuse(
        "mac-without-lengths",
        "every field without its length",
        ring_shifted,
        hmac_sha256(LEDGER_KEY, enc(b"strongroom/ledger-row/v1") + unframed),
    )
    signed = usual("replicas", removed_at=None).encode()[:-1] + b"\x01" + bytes(8)
    refuse(
        "mac-null-as-zero",
        "NULL written as 0",
        usual("replicas", removed_at=None),
        hmac_sha256(LEDGER_KEY, enc(b"strongroom/ledger-row/v1") + signed),
    )


# --- Contents of a head -------------------------------------------------------------------------------------------------------

KINDS = ("versions", "holds", "runs", "replicas")


def head_contents() -> Folder:
    """A line is `<number or id> <mac>`; the lines stand in any order."""

    def judge(fields: Fields) -> Fields:
        parts: list[dict[int, bytes]] = []
        for kind in KINDS:
            pairs = [line.split(" ") for line in fields.get(f"{kind}-mac", [])]
            parts.append({int(at): bytes.fromhex(mac) for at, mac in pairs})
        return {"contents": contents(*parts).hex()}

    folder = Folder("contents", judge, {})

    def accept(name: str, comment: str, spelled: str | None = None, **ids: list[int]) -> None:
        fields: Fields = {}
        for kind, numbers in ids.items():
            fields[f"{kind}-mac"] = [f"{at} {stream(f'mac {kind} {at}', 32).hex()}" for at in numbers]
        result = judge(fields)
        if spelled is not None and text(result, "contents") != spelled:
            raise RuntimeError(f"contents/{name} is not what was spelled out")
        folder.ok(name, comment, fields, result)

    # SHA-256 of nothing is in every book.
    accept("empty", "a ring without rows", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" * 4)
    accept("one-version", "the first version of a ring", versions=[1])
    one_each = "".join(sha256(stream(f"mac {kind} 1", 32)).hex() for kind in KINDS)
    accept("one-each", "one row of each table", one_each, versions=[1], holds=[1], runs=[1], replicas=[1])
    accept("usual", "some of each; only versions have gaps", versions=[1, 2, 5], holds=[1, 2], runs=[1, 2, 3], replicas=[1])
    accept("by-number", "9 before 10: by number, not by letters", versions=[100, 10, 9, 1], runs=list(range(12, 0, -1)))
    accept(
        "any-order",
        "the order in which rows come does not matter",
        versions=[5, 1, 2],
        holds=[2, 1],
        runs=[3, 1, 2],
        replicas=[1],
    )
    accept("largest-version", "a version at its largest", versions=[MAX_U32, 1])
    accept("only-replicas", "a part that is not empty among three that are", replicas=[1])
    accept("many", "forty versions", versions=list(range(1, 41)))
    return folder


# --- Audit chain --------------------------------------------------------------------------------------------------------------


def record(seq: int, previous: bytes, **changed: int | str) -> Record:
    right = Record(CLUSTER, "etcd", seq, NOW + 60 * seq, "anna", "hold.add", f"etcd/v{seq}", f"case {seq}/23", previous)
    return replace(right, **changed)  # type: ignore[arg-type]


def chain(count: int, **everywhere: int | str) -> list[Record]:
    return chain_of([everywhere] * count)


def chain_of(changes: Sequence[Mapping[str, int | str]]) -> list[Record]:
    """A record for each of these, as usual but for what is named."""
    records: list[Record] = []
    for seq, changed in enumerate(changes, 1):
        records.append(record(seq, records[-1].hash() if records else START, **changed))
    return records


def write_record(one: Record) -> str:
    texts = (one.actor, one.action, one.subject, one.detail)
    return ",".join([str(one.seq), str(one.at), *(it.encode("utf-8").hex() for it in texts), one.previous.hex()])


def read_record(cluster: bytes, ring: str, line: str) -> Record:
    seq, at, *texts, previous = line.split(",")
    actor, action, subject, detail = (bytes.fromhex(it).decode("utf-8") for it in texts)
    return Record(cluster, ring, int(seq), int(at), actor, action, subject, detail, bytes.fromhex(previous))


def audits() -> Folder:
    """A line is `<seq>,<at>,<actor>,<action>,<subject>,<detail>,<previous>`, from the fourth on in hexadecimal digits."""

    def judge(fields: Fields) -> Fields:
        cluster, ring = data(fields, "cluster"), text(fields, "ring")
        records = [read_record(cluster, ring, line) for line in fields["record"]]
        return {"hash": [one.hex() for one in check_chain(cluster, ring, records)]}

    folder = Folder("audit", judge, {})

    def fields(records: list[Record], cluster: bytes = CLUSTER, ring: str = "etcd") -> Fields:
        return {"cluster": cluster.hex(), "ring": ring, "record": [write_record(one) for one in records]}

    def accept(name: str, comment: str, records: list[Record], cluster: bytes = CLUSTER, ring: str = "etcd") -> None:
        result: Fields = {"hash": [one.hash().hex() for one in records]}
        folder.ok(name, comment, fields(records, cluster, ring), result)

    def refuse(name: str, comment: str, records: list[Record], cluster: bytes = CLUSTER, ring: str = "etcd") -> None:
        folder.refused(name, comment, "chain", fields(records, cluster, ring))

    texts = ("actor", "action", "subject", "detail")
    accept("first", "the first record of a chain", chain(1))
    accept("chain-of-two", "the second holds the hash of the first", chain(2))
    accept("chain-of-20", "twenty records", chain(20))
    accept("empty-texts", "every text is empty", chain_of([dict.fromkeys(texts, "")] * 2))
    for name in texts:
        accept(f"empty-{name}", "one text is empty", chain_of([{name: ""}] * 2))
    accept("unicode", "letters of every length in UTF-8", chain_of([dict.fromkeys(texts, UNICODE)] * 2))
    accept("controls", "a NUL, newlines and a quote", chain_of([dict.fromkeys(texts, "a\0b\r\n'\"")] * 2))
    accept("long-detail", "a text of 1000 bytes", chain(2, detail="0123456789" * 100))
    accept("time-zero", "a record at the beginning of time", chain(2, at=0))
    accept("time-largest", "a record at 2^64 - 1", chain(2, at=MAX_U64))
    accept("time-goes-back", "the order is that of the numbers: a clock may be set back", chain_of([{}, {"at": NOW - 1}, {}]))
    accept("other-ring", "the same records in another ring", chain(2, ring="audit"), ring="audit")
    accept("longest-ring", "a ring of 31 letters", chain(2, ring="r" * 31), ring="r" * 31)
    elsewhere = [replace(one, cluster=bytes(16)) for one in chain(1)]
    accept("cluster-zeros", "the same record in another cluster", elsewhere, bytes(16))
    lone = record(1, START, action="a", actor="bc")
    accept("boundary", "texts that make the same string", [lone])
    accept("boundary-moved", "as `boundary`, a letter moved: another hash", [replace(lone, action="ab", actor="c")])
    if lone.hash() == replace(lone, action="ab", actor="c").hash():
        raise RuntimeError("the boundary between two texts is not in the hash")

    three = chain(3)
    for name, changed in (
        ("at", {"at": NOW}),
        ("actor", {"actor": "berta"}),
        ("action", {"action": "hold.release"}),
        ("subject", {"subject": "etcd/v2"}),
        ("detail", {"detail": ""}),
    ):
        refuse(f"changed-{name}", "a record was changed after the next was written", [replace(three[0], **changed), *three[1:]])
    refuse(
        "changed-boundary", "a letter moved to the next text", [replace(three[0], actor="ann", action="ahold.add"), *three[1:]]
    )
    refuse(
        "changed-previous", "a record that follows none, in the middle", [three[0], replace(three[1], previous=START), three[2]]
    )
    refuse(
        "changed-last-bit",
        "one bit of `previous` changed",
        [*three[:2], replace(three[2], previous=flip(three[2].previous, 31))],
    )
    refuse(
        "previous-of-before",
        "the hash of the record before the one before",
        [*three[:2], replace(three[2], previous=three[1].previous)],
    )
    refuse("previous-own-hash", "a hash of its own", [*three[:2], replace(three[2], previous=three[2].hash())])
    refuse("first-with-previous", "the first record follows another", [record(1, three[0].hash())])
    refuse("first-missing", "the chain begins at 2", three[1:])
    refuse("middle-missing", "a gap", [three[0], three[2]])
    renumbered = [three[0], replace(three[2], seq=2)]
    refuse("middle-missing-renumbered", "a gap that was closed with a number", renumbered)
    refuse("swapped", "two records changed places", [three[0], three[2], three[1]])
    refuse("twice", "a record stands twice", [three[0], three[1], three[1]])
    inserted = record(2, three[0].hash(), detail="another")
    refuse("inserted", "a record put between two", [three[0], inserted, replace(three[1], seq=3), replace(three[2], seq=4)])
    refuse("seq-zero", "records count from 1", [record(0, START)])
    refuse("seq-largest", "records count from 1", [record(MAX_U64, START, at=NOW)])
    refuse("of-another-ring", "the records of another ring", three, ring="audit")
    refuse("of-another-cluster", "the records of another cluster", three, OTHER_CLUSTER)
    one = three[0]
    for name, comment, wrong in (
        ("without-label", "a hash of the record alone", sha256(one.encode())),
        ("label-without-length", "a label without its length", sha256(b"strongroom/audit/v1" + one.encode())),
        ("other-label", "the label of a checkpoint", sha256(enc(b"strongroom/audit-checkpoint/v1") + one.encode())),
        ("without-version", "the version byte left out", sha256(enc(b"strongroom/audit/v1") + one.encode()[1:])),
        ("version-2", "another version byte", sha256(enc(b"strongroom/audit/v1") + u8(2) + one.encode()[1:])),
        ("enc-previous", "`previous` with a length", sha256(enc(b"strongroom/audit/v1") + one.encode()[:-32] + enc(START))),
    ):
        refuse(f"hash-{name}", comment, [one, record(2, wrong)])
    return folder


# --- Checkpoints --------------------------------------------------------------------------------------------------------------

# The order of the base point of edwards25519 (RFC 8032, section 5.1).
GROUP_ORDER = 2**252 + 27742317777372353535851937790883648493


def checkpoints() -> Folder:
    """By the ledger key, as the daemon signs and checks; or by the public key alone, as an auditor does."""

    def judge(fields: Fields) -> Fields:
        checkpoint = Checkpoint(
            data(fields, "cluster"),
            text(fields, "ring"),
            int(text(fields, "seq")),
            int(text(fields, "at")),
            data(fields, "hash"),
        )
        signature = data(fields, "signature")
        if "public-key" in fields:
            checkpoint.verify(data(fields, "public-key"), signature)
            return {}
        ledger_key = data(fields, "ledger-key")
        public_key = audit_public_key(ledger_key, checkpoint.cluster)
        checkpoint.verify(public_key, signature)
        if checkpoint.sign(ledger_key) != signature:
            raise RuntimeError("Ed25519 signs in one way")
        return {"signed-by": public_key.hex()}

    folder = Folder("checkpoint", judge, {})

    def fields(checkpoint: Checkpoint, signature: bytes, by: dict[str, bytes]) -> Fields:
        named: Fields = {name: value.hex() for name, value in by.items()}
        return named | {
            "cluster": checkpoint.cluster.hex(),
            "ring": checkpoint.ring,
            "seq": str(checkpoint.seq),
            "at": str(checkpoint.at),
            "hash": checkpoint.hash.hex(),
            "signature": signature.hex(),
        }

    by_ledger = {"ledger-key": LEDGER_KEY}
    by_public = {"public-key": audit_public_key(LEDGER_KEY, CLUSTER)}

    def accept(name: str, comment: str, checkpoint: Checkpoint, ledger_key: bytes = LEDGER_KEY) -> bytes:
        signature = checkpoint.sign(ledger_key)
        public_key = audit_public_key(ledger_key, checkpoint.cluster)
        signed_by: Fields = {"signed-by": public_key.hex()}
        folder.ok(name, comment, fields(checkpoint, signature, {"ledger-key": ledger_key}), signed_by)
        folder.ok(f"{name}-by-public-key", comment, fields(checkpoint, signature, {"public-key": public_key}), {})
        return signature

    def refuse(name: str, comment: str, checkpoint: Checkpoint, signature: bytes, by: dict[str, bytes] | None = None) -> None:
        by = by or by_public
        whole = len(signature) == SIGNATURE_LEN and all(len(one) == KEY_LEN for one in by.values())
        folder.refused(name, comment, "open" if whole else "length", fields(checkpoint, signature, by))

    three = chain(3)
    right = Checkpoint(CLUSTER, "etcd", 3, NOW + 3_600, three[2].hash())
    signature = accept("chain-of-three", "where audit/chain-of-20 stands after its third record", right)
    accept("first-record", "after one record", replace(right, seq=1, hash=three[0].hash()))
    accept("later", "the same place of the chain, signed once more", replace(right, at=right.at + 1))
    accept("other-ring", "the key is that of the cluster, the place that of the ring", replace(right, ring="audit"))
    accept("other-cluster", "another cluster has another key", replace(right, cluster=OTHER_CLUSTER))
    accept("other-ledger-key", "another ledger key has another key", right, OTHER_LEDGER_KEY)
    accept("zeros", "every number and every byte 0", Checkpoint(bytes(16), "a", 0, 0, START), bytes(32))
    ones = Checkpoint(b"\xff" * 16, "r" * 31, MAX_U64, MAX_U64, b"\xff" * 32)
    accept("ones", "every number and every byte at its largest", ones, b"\xff" * 32)

    for name, comment, changed in (
        ("seq", "another record", replace(right, seq=4)),
        ("at", "another time", replace(right, at=right.at ^ 1)),
        ("hash", "another hash", replace(right, hash=flip(right.hash, 31))),
        ("hash-of-before", "the hash of the record before", replace(right, hash=three[1].hash())),
        ("ring", "another ring of the cluster", replace(right, ring="audit")),
        ("ring-longer", "a ring that begins alike", replace(right, ring="etcd-")),
        ("cluster", "another cluster", replace(right, cluster=flip(CLUSTER, 0))),
        ("seq-for-at", "two numbers changed places", replace(right, seq=right.at, at=right.seq)),
    ):
        refuse(f"changed-{name}", comment, changed, signature)
        refuse(f"changed-{name}-by-ledger-key", comment, changed, signature, by_ledger)
    forked = chain_of([{}, {}, {"detail": "what was written instead"}])
    refuse(
        "last-record-changed",
        "what no chain can show: its last record changed",
        replace(right, hash=forked[2].hash()),
        signature,
    )

    scalar = int.from_bytes(signature[32:], "little") + GROUP_ORDER
    for name, comment, bad in (
        ("first-byte", "one bit changed in R", flip(signature, 0)),
        ("last-of-r", "the sign of R changed", flip(signature, 31, 0x80)),
        ("first-of-s", "one bit changed in S", flip(signature, 32)),
        ("last-byte", "one bit changed at the end of S", flip(signature, 63)),
        ("high-bits", "the upper bits of S set, which are 0", flip(signature, 63, 0xE0)),
        ("s-plus-order", "the same S, one order of the group too large", signature[:32] + scalar.to_bytes(32, "little")),
        ("halves-swapped", "S before R", signature[32:] + signature[:32]),
        ("empty", "no byte", b""),
        ("cut", "a byte is missing", signature[:63]),
        ("r-only", "the first half", signature[:32]),
        ("trailing-byte", "a byte too many", signature + b"\0"),
        ("twice", "two signatures", signature + signature),
        ("zeros", "nothing but zeros", bytes(64)),
        ("of-another-checkpoint", "the signature of a later one", replace(right, at=right.at + 1).sign(LEDGER_KEY)),
    ):
        refuse(f"signature-{name}", comment, right, bad)
        if name in ("first-byte", "cut", "trailing-byte", "s-plus-order", "empty"):
            refuse(f"signature-{name}-by-ledger-key", comment, right, bad, by_ledger)

    signer = signing_key(LEDGER_KEY, CLUSTER)
    message = right.encode()
    bare = message[4 + len("strongroom/audit-checkpoint/v1") :]
    for name, comment, wrong in (
        ("without-label", "a message without its label", bare),
        ("label-without-length", "a label without its length", message[4:]),
        ("other-label", "the label of a record", enc(b"strongroom/audit/v1") + bare),
        ("version-2", "the label of a version to come", enc(b"strongroom/audit-checkpoint/v2") + bare),
        ("hash-only", "only the hash was signed", right.hash),
        ("enc-hash", "the hash with a length", message[:-32] + enc(right.hash)),
        ("hashed", "the hash of the message was signed", sha256(message)),
        ("record", "the record itself was signed", three[2].encode()),
    ):
        refuse(f"message-{name}", comment, right, signer.sign(wrong))

    for name, comment, seed in (
        ("ledger-key", "the ledger key itself as the seed", LEDGER_KEY),
        ("without-label", "a seed without its label", hmac_sha256(LEDGER_KEY, enc(CLUSTER))),
        (
            "label-without-length",
            "a label without its length",
            hmac_sha256(LEDGER_KEY, b"strongroom/audit-signing/v1" + enc(CLUSTER)),
        ),
        (
            "cluster-without-length",
            "a cluster without its length",
            hmac_sha256(LEDGER_KEY, enc(b"strongroom/audit-signing/v1") + CLUSTER),
        ),
        ("without-cluster", "one key for all clusters", hmac_sha256(LEDGER_KEY, enc(b"strongroom/audit-signing/v1"))),
        (
            "other-cluster",
            "the key of another cluster",
            hmac_sha256(LEDGER_KEY, enc(b"strongroom/audit-signing/v1") + enc(OTHER_CLUSTER)),
        ),
        (
            "of-ring",
            "a key for the ring",
            hmac_sha256(LEDGER_KEY, enc(b"strongroom/audit-signing/v1") + enc(CLUSTER) + enc(b"etcd")),
        ),
    ):
        forged = Ed25519PrivateKey.from_private_bytes(seed).sign(message)
        refuse(f"seed-{name}", comment, right, forged, by_ledger)

    refuse("under-other-ledger-key", "judged by another ledger key", right, signature, {"ledger-key": OTHER_LEDGER_KEY})
    public_key = by_public["public-key"]
    for name, comment, other in (
        ("other", "judged by another key", audit_public_key(OTHER_LEDGER_KEY, CLUSTER)),
        ("flipped", "one bit of the key changed", flip(public_key, 0)),
        ("other-sign", "the sign of the key changed", flip(public_key, 31, 0x80)),
        ("is-seed", "the seed for the public key", signer.private_bytes_raw()),
        ("zeros", "a key of zeros", bytes(32)),
        ("no-point", "no point of the curve", b"\x02" + bytes(31)),
        ("empty", "no key", b""),
        ("cut", "a byte is missing", public_key[:31]),
        ("trailing-byte", "a byte too many", public_key + b"\0"),
    ):
        refuse(f"public-key-{name}", comment, right, signature, {"public-key": other})
    return folder
