"""Which arithmetic and which code computed: two digests that every ledger entry carries."""

from __future__ import annotations

import hashlib
import math
import platform
import struct
import sys
from functools import cache
from importlib import resources
from importlib.metadata import version as version_of

import numpy as np

# Packages whose source or release can change a result.
_PURE = ("contracts", "kernel", "models", "attribution", "fold")
# Modules of theirs that no result depends on.
_BESIDE = frozenset(
    {"answer.py", "draft.py", "draft_text.py", "metrics.py", "tables.py", "topic_settings.py"}
)
_RELEASES = ("river", "fastavro", "numpy", "scipy")


def _results() -> list[float]:
    """Return results that differ in the last bit between C libraries, CPUs and BLAS kernels."""
    points = [0.1 + 0.37 * n for n in range(64)]
    exponent = 0.5
    out = [math.exp(-p) for p in points] + [p**exponent for p in points]
    out += [math.log(p) for p in points] + [math.tanh(p) for p in points]
    out += [math.expm1(p) for p in points] + [math.log1p(p) for p in points]
    row = np.array(points)
    out.append(float(np.dot(row, row[::-1])))
    out += [float(v) for v in np.exp(-row)]
    return out


@cache
def arithmetic_digest() -> bytes:
    """Return the fingerprint of this machine's floating point: results, architecture, C library."""
    results = _results()
    where = f"{platform.machine()}|{'-'.join(platform.libc_ver())}|{sys.float_info.mant_dig}"
    return hashlib.sha256(struct.pack(f"<{len(results)}d", *results) + where.encode()).digest()


@cache
def code_digest(also: tuple[str, ...] = ()) -> bytes:
    """Return the digest of the code that folds: our pure packages, and releases of others.

    Args:
        also: Folders of the package that count too.
    """
    digest = hashlib.sha256()
    root = resources.files("tidemill")
    for package in (*_PURE, *also):
        entries = sorted((root / package).iterdir(), key=lambda entry: entry.name)
        for entry in entries:
            if entry.name.endswith((".py", ".pyx")) and entry.name not in _BESIDE:
                digest.update(f"{package}/{entry.name}\0".encode() + entry.read_bytes())
    for name in _RELEASES:
        digest.update(f"{name}=={version_of(name)}\0".encode())
    digest.update(f"{platform.python_implementation()} {sys.version_info[:2]}".encode())
    return digest.digest()
