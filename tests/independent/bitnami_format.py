#!/usr/bin/env python3
"""The format of Bitnami's SealedSecrets, a second time, on another library for RSA and AES (OpenSSL's).

Written from the description of their controller's maintainers (docs/developer/crypto.md in bitnami/sealed-secrets).
It makes keys, certificates and values for the tests, and opens what our crate `bitnami` sealed. For tests only.

Needs Python 3.11 and the package `cryptography` (requirements.txt).
"""

import argparse
import base64
import datetime
import json
import os
import struct
import sys
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.x509.oid import NameOID

NONCE = bytes(12)
LABELS = {"strict": "prod/db", "namespace": "prod", "cluster": ""}
FORMATS = serialization.PrivateFormat
# A name, the size in bits, and the form of tls.key. Their controller makes 4096 bits in PKCS #1; who brings a key has PKCS #8.
KEYS = [("small", 2048, FORMATS.TraditionalOpenSSL), ("usual", 4096, FORMATS.TraditionalOpenSSL), ("brought", 3072, FORMATS.PKCS8)]


def oaep(label: str, hash_type=hashes.SHA256, mgf_hash=hashes.SHA256) -> padding.OAEP:
    return padding.OAEP(mgf=padding.MGF1(mgf_hash()), algorithm=hash_type(), label=label.encode() or None)


def seal(key: rsa.RSAPublicKey, plaintext: bytes, pad: padding.OAEP, *, session_len=32, nonce=NONCE, aad=None) -> str:
    session = os.urandom(session_len)
    wrapped = key.encrypt(session, pad)
    value = struct.pack(">H", len(wrapped)) + wrapped + AESGCM(session).encrypt(nonce, plaintext, aad)
    return base64.b64encode(value).decode()


def unseal(key: rsa.RSAPrivateKey, label: str, value: str) -> bytes:
    raw = base64.b64decode(value, validate=True)
    (wrapped_len,) = struct.unpack_from(">H", raw)
    session = key.decrypt(raw[2 : 2 + wrapped_len], oaep(label))
    return AESGCM(session).decrypt(NONCE, raw[2 + wrapped_len :], None)


def certificate(key: rsa.RSAPrivateKey, *, until=datetime.datetime(2036, 1, 2, 3, 4, 5)) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sealed-secrets")])
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.datetime(2026, 1, 2, 3, 4, 5))
        .not_valid_after(until)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )


def make(folder: Path) -> None:
    """Keys, certificates, values that must open, and values that are sealed another way and must not."""
    values, strange = [], []
    for name, bits, form in KEYS:
        key = rsa.generate_private_key(public_exponent=65537, key_size=bits)
        plain = serialization.NoEncryption()
        (folder / f"{name}.key").write_bytes(key.private_bytes(serialization.Encoding.PEM, form, plain))
        made = certificate(key)
        (folder / f"{name}.crt").write_bytes(made.public_bytes(serialization.Encoding.PEM))
        spki = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        digest = hashes.Hash(hashes.SHA256())
        digest.update(spki)
        (folder / f"{name}.fingerprint").write_text(digest.finalize().hex())
        public = key.public_key()
        for scope, label in LABELS.items():
            for plaintext in [b"", b"hunter2", os.urandom(5000)]:
                value = seal(public, plaintext, oaep(label))
                values.append({"key": name, "scope": scope, "plaintext": plaintext.hex(), "value": value})
        ours = oaep(LABELS["strict"])
        for what, value in {
            "a session key of 16 bytes": seal(public, b"x", ours, session_len=16),
            "a session key of 24 bytes": seal(public, b"x", ours, session_len=24),
            "another nonce": seal(public, b"x", ours, nonce=bytes(11) + b"\1"),
            "additional data": seal(public, b"x", ours, aad=b"prod/db"),
            "SHA-1 for MGF1": seal(public, b"x", oaep("prod/db", mgf_hash=hashes.SHA1)),
            "SHA-1 for the label": seal(public, b"x", oaep("prod/db", hashes.SHA1)),
            "PKCS #1 v1.5": seal(public, b"x", padding.PKCS1v15()),
        }.items():
            strange.append({"what": what, "value": value})
    expired = certificate(key, until=datetime.datetime(2026, 1, 3, 3, 4, 5))
    (folder / "expired.crt").write_bytes(expired.public_bytes(serialization.Encoding.PEM))
    (folder / "values.json").write_text(json.dumps({"opens": values, "refused": strange}))


def load(folder: Path) -> dict[str, rsa.RSAPrivateKey]:
    return {name: serialization.load_pem_private_key((folder / f"{name}.key").read_bytes(), None) for name, _, _ in KEYS}


def label_of(item: dict) -> str:
    return item["label"] if "label" in item else LABELS[item["scope"]]


def seal_all(folder: Path) -> None:
    """Reads {key, scope or label, plaintext in hexadecimal digits} from plain.json; prints the values in order, one a line."""
    keys = load(folder)
    for item in json.loads((folder / "plain.json").read_text()):
        print(seal(keys[item["key"]].public_key(), bytes.fromhex(item["plaintext"]), oaep(label_of(item))))


def open_all(folder: Path) -> None:
    """Reads {key, scope or label, value} from ours.json; prints the plaintexts in order, one line of hexadecimal digits each."""
    keys = load(folder)
    for item in json.loads((folder / "ours.json").read_text()):
        print(unseal(keys[item["key"]], label_of(item), item["value"]).hex())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["make", "seal", "open"])
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    {"make": make, "seal": seal_all, "open": open_all}[arguments.command](arguments.folder)


if __name__ == "__main__":
    sys.exit(main())
