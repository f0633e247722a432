"""X-Wing (draft-connolly-cfrg-xwing-kem-10) and HPKE with it (RFC 9180, Base mode), as docs/format.md has them.

Needs the package `cryptography` (requirements.txt) with ML-KEM. Nothing here is hardened against a second user of the same machine.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass

import mlkem768
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from strongroom_format import FormatError

PUBLIC_LEN, KEM_CT_LEN = 1216, 1120
P = 2**255 - 19
ORDER_8 = (
    bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
)
LOW_ORDER = {0, 1, P - 1, *(int.from_bytes(u, "little") for u in ORDER_8)}


def is_low_order(share: bytes) -> bool:
    u = int.from_bytes(share[:31] + bytes([share[31] & 0x7F]), "little")
    return u % P in LOW_ORDER


def combiner(ss_m: bytes, ss_x: bytes, ct_x: bytes, pk_x: bytes) -> bytes:
    return hashlib.sha3_256(ss_m + ss_x + ct_x + pk_x + bytes.fromhex("5c2e2f2f5e5c")).digest()


def raw_public(key: X25519PrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


@dataclass
class PrivateKey:
    seed: bytes

    def __post_init__(self) -> None:
        expanded = hashlib.shake_256(self.seed).digest(96)
        self.mlkem = MLKEM768PrivateKey.from_seed_bytes(expanded[:64])
        self.x25519 = X25519PrivateKey.from_private_bytes(expanded[64:])
        self.pk_x = raw_public(self.x25519)
        self.public = self.mlkem.public_key().public_bytes_raw() + self.pk_x

    def decapsulate(self, ct: bytes) -> bytes:
        ct_m, ct_x = ct[:1088], ct[1088:]
        if is_low_order(ct_x):
            raise FormatError("closed", "a share of low order")
        ss_x = self.x25519.exchange(X25519PublicKey.from_public_bytes(ct_x))
        return combiner(self.mlkem.decapsulate(ct_m), ss_x, ct_x, self.pk_x)


def encapsulate(public: bytes, randomness: bytes) -> tuple[bytes, bytes]:
    """The shared secret and its ciphertext, of a key that was checked and 64 bytes."""
    ss_m, ct_m = mlkem768.encapsulate(public[:1184], randomness[:32])
    ephemeral, pk_x = X25519PrivateKey.from_private_bytes(randomness[32:]), public[1184:]
    ct_x = raw_public(ephemeral)
    ss_x = ephemeral.exchange(X25519PublicKey.from_public_bytes(pk_x))
    return combiner(ss_m, ss_x, ct_x, pk_x), ct_m + ct_x


def check_public(public: bytes) -> None:
    if len(public) != PUBLIC_LEN:
        raise FormatError("length", "a public key has 1216 bytes")
    if is_low_order(public[1184:]):
        raise FormatError("low-order", "pk_X is of low order")
    for at in range(0, 1152, 3):
        pair = int.from_bytes(public[at : at + 3], "little")
        if (pair & 0xFFF) >= mlkem768.Q or (pair >> 12) >= mlkem768.Q:
            raise FormatError("not-canonical", "a coefficient of 3329 or more")


# HPKE: RFC 9180, section 5.1, Base mode; KEM 0x647a, KDF 0x0001, AEAD 0x0003


def hkdf_extract(salt: bytes, ikm: bytes) -> bytes:
    return hmac.digest(salt or bytes(32), ikm, "sha256")


def hkdf_expand(prk: bytes, info: bytes, length: int) -> bytes:
    out, block, counter = b"", b"", 1
    while len(out) < length:
        block = hmac.digest(prk, block + info + bytes([counter]), "sha256")
        out, counter = out + block, counter + 1
    return out[:length]


def hpke_key(shared: bytes, info: bytes) -> tuple[bytes, bytes]:
    suite = b"HPKE" + (0x647A).to_bytes(2, "big") + (1).to_bytes(2, "big") + (3).to_bytes(2, "big")

    def extract(salt: bytes, label: bytes, ikm: bytes) -> bytes:
        return hkdf_extract(salt, b"HPKE-v1" + suite + label + ikm)

    def expand(prk: bytes, label: bytes, context: bytes, length: int) -> bytes:
        return hkdf_expand(prk, length.to_bytes(2, "big") + b"HPKE-v1" + suite + label + context, length)

    context = b"\x00" + extract(b"", b"psk_id_hash", b"") + extract(b"", b"info_hash", info)
    secret = extract(shared, b"secret", b"")
    return expand(secret, b"key", context, 32), expand(secret, b"base_nonce", context, 12)


def hpke_seal(public: bytes, info: bytes, plaintext: bytes, randomness: bytes, aad: bytes = b"") -> bytes:
    check_public(public)
    shared, kem_ct = encapsulate(public, randomness)
    key, nonce = hpke_key(shared, info)
    return kem_ct + ChaCha20Poly1305(key).encrypt(nonce, plaintext, aad)


def hpke_open(key: PrivateKey, info: bytes, sealed: bytes, aad: bytes = b"") -> bytes:
    aead, nonce = hpke_key(key.decapsulate(sealed[:KEM_CT_LEN]), info)
    try:
        return ChaCha20Poly1305(aead).decrypt(nonce, sealed[KEM_CT_LEN:], aad)
    except InvalidTag as error:
        raise FormatError("closed", "the wrap does not open") from error
