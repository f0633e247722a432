"""One vector file: the folder it stands in, the fields it has, and how this implementation judges it before it is written."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from strongroom_format import FormatError, KeyId, enc


def stream(label: str, size: int) -> bytes:
    return hashlib.shake_256(b"strongroom/vectors/v1" + enc(label.encode())).digest(size)


def key(label: str) -> bytes:
    return stream(f"key {label}", 32)


def nonce(label: str) -> bytes:
    return stream(f"nonce {label}", 24)


def flip(data: bytes, at: int, mask: int = 0x01) -> bytes:
    """`data` with one bit changed; a negative `at` counts from the end."""
    changed = bytearray(data)
    changed[at] ^= mask
    return bytes(changed)


Fields = dict[str, str | list[str]]
Judge = Callable[[Fields], Fields]


@dataclass
class Folder:
    """The cases of one format, and what this implementation makes of each."""

    name: str
    judge: Judge
    cases: dict[str, str]

    def ok(self, name: str, comment: str, fields: Fields, result: Fields) -> None:
        judged = self.judge(fields)
        if judged != result:
            raise RuntimeError(f"{self.name}/{name}: gives {judged}, not {result}")
        self._add(name, comment, "ok", fields | result)

    def refused(self, name: str, comment: str, kind: str, fields: Fields) -> None:
        try:
            self.judge(fields)
        except FormatError as error:
            if error.kind != kind:
                raise RuntimeError(f"{self.name}/{name}: refused by {error}, not by {kind}") from error
        else:
            raise RuntimeError(f"{self.name}/{name}: accepted")
        self._add(name, comment, kind, fields)

    def _add(self, name: str, comment: str, expect: str, fields: Fields) -> None:
        if name in self.cases:
            raise RuntimeError(f"{self.name}/{name} stands twice")
        lines = [f"comment: {comment}", f"expect: {expect}"]
        for label, value in fields.items():
            for one in [value] if isinstance(value, str) else value:
                lines.append(f"{label}: {one}".rstrip())
        self.cases[name] = "\n".join(lines) + "\n"


def text(fields: Fields, name: str) -> str:
    value = fields[name]
    if not isinstance(value, str):
        raise RuntimeError(f"{name} is a list")
    return value


def data(fields: Fields, name: str) -> bytes:
    return bytes.fromhex(text(fields, name))


def named_key(fields: Fields) -> KeyId:
    return KeyId.parse(text(fields, "key-id").encode("ascii"))
