"""ML-KEM-768 encapsulation with given randomness, from FIPS 203: for vectors that are the same on every run. No library offers it.

Slow, and not hardened against anybody. The names are those of FIPS 203.
"""

from __future__ import annotations

import hashlib

Q, N, K, DU, DV = 3329, 256, 3, 10, 4
ETA = 2
Poly = list[int]


def bit_reverse_7(i: int) -> int:
    return int(f"{i:07b}"[::-1], 2)


ZETA = [pow(17, bit_reverse_7(i), Q) for i in range(128)]
GAMMA = [pow(17, 2 * bit_reverse_7(i) + 1, Q) for i in range(128)]


def ntt(f: Poly) -> Poly:
    f, i, size = list(f), 1, 128
    while size >= 2:
        for start in range(0, N, 2 * size):
            for j in range(start, start + size):
                t = ZETA[i] * f[j + size]
                f[j + size], f[j] = (f[j] - t) % Q, (f[j] + t) % Q
            i += 1
        size //= 2
    return f


def ntt_inverse(f: Poly) -> Poly:
    f, i, size = list(f), 127, 2
    while size <= 128:
        for start in range(0, N, 2 * size):
            for j in range(start, start + size):
                t = f[j]
                f[j], f[j + size] = (t + f[j + size]) % Q, ZETA[i] * (f[j + size] - t) % Q
            i -= 1
        size *= 2
    return [x * 3303 % Q for x in f]


def multiply_ntts(f: Poly, g: Poly) -> Poly:
    out = []
    for i in range(128):
        a0, a1, b0, b1 = f[2 * i], f[2 * i + 1], g[2 * i], g[2 * i + 1]
        out += [(a0 * b0 + a1 * b1 * GAMMA[i]) % Q, (a0 * b1 + a1 * b0) % Q]
    return out


def add(*polys: Poly) -> Poly:
    return [sum(column) % Q for column in zip(*polys, strict=True)]


def byte_encode(f: Poly, d: int) -> bytes:
    return sum(x << (d * i) for i, x in enumerate(f)).to_bytes(32 * d, "little")


def byte_decode(data: bytes, d: int) -> Poly:
    number = int.from_bytes(data, "little")
    return [(number >> (d * i)) & ((1 << d) - 1) for i in range(N)]


def compress(f: Poly, d: int) -> Poly:
    return [((x << d) + Q // 2) // Q % (1 << d) for x in f]


def sample_ntt(seed: bytes) -> Poly:
    stream, out = hashlib.shake_128(seed).digest(3 * 1024), []
    for at in range(0, len(stream), 3):
        c0, c1, c2 = stream[at : at + 3]
        out += [d for d in (c0 + 256 * (c1 % 16), c1 // 16 + 16 * c2) if d < Q]
    return out[:N]


def sample_cbd(data: bytes) -> Poly:
    bits = int.from_bytes(data, "little")

    def ones(at: int) -> int:
        return sum(bits >> (at + i) & 1 for i in range(ETA))

    return [(ones(2 * i * ETA) - ones(2 * i * ETA + ETA)) % Q for i in range(N)]


def encrypt(ek: bytes, m: bytes, r: bytes) -> bytes:
    t, rho = [byte_decode(ek[384 * i : 384 * (i + 1)], 12) for i in range(K)], ek[384 * K :]
    noise = [sample_cbd(hashlib.shake_256(r + bytes([n])).digest(64 * ETA)) for n in range(2 * K + 1)]
    y, e1, e2 = [ntt(f) for f in noise[:K]], noise[K : 2 * K], noise[2 * K]
    a = [[sample_ntt(rho + bytes([j, i])) for j in range(K)] for i in range(K)]
    u = [add(ntt_inverse(add(*(multiply_ntts(a[j][i], y[j]) for j in range(K)))), e1[i]) for i in range(K)]
    mu = [(x * Q + 1) // 2 for x in byte_decode(m, 1)]
    v = add(ntt_inverse(add(*(multiply_ntts(t[j], y[j]) for j in range(K)))), e2, mu)
    return b"".join(byte_encode(compress(f, DU), DU) for f in u) + byte_encode(compress(v, DV), DV)


def encapsulate(ek: bytes, m: bytes) -> tuple[bytes, bytes]:
    """The shared secret and its ciphertext, of a key that is canonical."""
    both = hashlib.sha3_512(m + hashlib.sha3_256(ek).digest()).digest()
    return both[:32], encrypt(ek, m, both[32:])
