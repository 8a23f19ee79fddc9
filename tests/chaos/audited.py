"""What an auditor finds: nothing in an honest past, the very record where a bit was flipped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chaos.balance import BrokenPromiseError
from chaos.tampering import Bit, flip
from tidemill.contracts.topics import EVENTS, LEDGER, PREDICTIONS, SNAPSHOTS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from chaos.figures import Figures
    from chaos.mesh import Mesh
    from chaos.reading import Record

# One kind of record in each partition, so that no finding hides another.
SUSPECTS = (EVENTS, LEDGER, SNAPSHOTS, PREDICTIONS)
LONG_VALUE = 60  # an event, not one of the dead letters to be
BYTE = 50


def prove_audit(mesh: Mesh) -> Figures:
    """Replay the past of a mesh whose workers are down, as it was and with flipped bits.

    Raises:
        BrokenPromiseError: A difference in an honest past, or a flipped bit is not located.
    """
    honest = {**check_honest(mesh, "verify"), **check_honest(mesh, "replay")}
    bits = [choose(number, mesh.read(topic)[number]) for number, topic in enumerate(SUSPECTS)]
    tamper(mesh, bits)
    code, report = mesh.audit("replay")
    located = [check_located(bit, report) for bit in bits]
    if code != 1:
        msg = f"audit replay must end with 1 where it finds a difference, was {code}"
        raise BrokenPromiseError(msg)
    tamper(mesh, bits)
    check_honest(mesh, "replay")
    return {
        **honest,
        "one flipped bit on the broker's disk, each in its own partition": "; ".join(located),
    }


def check_honest(mesh: Mesh, name: str) -> Figures:
    """Hold that an audit finds no difference.

    Raises:
        BrokenPromiseError: It finds one.
    """
    code, report = mesh.audit(name)
    if code != 0 or report["differences"] != 0:
        found = [f for part in report["partitions"] for f in part["findings"]]
        msg = f"audit {name} must find no difference, exit code {code}: {found[:3]}"
        raise BrokenPromiseError(msg)
    return {f"audit {name}": f"0 differences over {_summed(report['partitions'])}"}


def _summed(partitions: Sequence[Mapping[str, Any]]) -> str:  # Any: JSON
    total: dict[str, int] = {}
    for part in partitions:
        for name, count in part["counts"].items():
            total[name] = total.get(name, 0) + count
    return ", ".join(f"{count:,} {name}" for name, count in sorted(total.items()))


def choose(partition: int, records: Sequence[Record]) -> Bit:
    """Choose a bit of the record in the middle of what is there, or of the next long one."""
    middle = records[len(records) // 2 :]
    record = next(r for r in middle if r.value is not None and len(r.value) > LONG_VALUE)
    return Bit(SUSPECTS[partition], partition, record.offset, BYTE)


def tamper(mesh: Mesh, bits: Sequence[Bit]) -> None:
    """Flip bits on the broker's disk while it is down; a second time flips them back."""
    mesh.kafka.stop()
    for bit in bits:
        flip(mesh.kafka.home.data, bit)
    mesh.kafka.start()


def check_located(bit: Bit, report: Mapping[str, Any]) -> str:  # Any: JSON
    """Hold that the report names the very record; return how it calls the fault.

    Raises:
        BrokenPromiseError: It does not.
    """
    findings = report["partitions"][bit.partition]["findings"]
    for finding in findings:
        if (finding["topic"], finding["offset"]) == (bit.topic, bit.offset):
            return f"{bit}: {finding['kind']}"
    msg = f"audit replay must name {bit}, found {findings[:3]}"
    raise BrokenPromiseError(msg)
