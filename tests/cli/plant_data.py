"""The public data sets where they lie beside the repository, else small files of their shapes."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"


@dataclass(frozen=True, slots=True)
class DataSet:
    """One file: `options` are what `produce` and `init` must be told to read it."""

    file: str
    options: tuple[str, ...] = ()
    timed: bool = False

    def path(self, folder: Path) -> Path:
        """Return the real file, or one of its shape written to `folder`."""
        if (SHARED / self.file).exists():
            return SHARED / self.file
        path = folder / Path(self.file).name
        path.write_bytes(SHAPES[self.file](random.Random(self.file)).encode())
        return path

    def count(self, path: Path) -> int:
        """Return the number of data rows."""
        lines = [line for line in path.read_text("utf-8-sig").splitlines() if line.strip()]
        return len(lines) - (0 if "--columns" in self.options else 1)


def _elec(chance: random.Random) -> str:
    head = "period,nswprice,nswdemand,vicprice,vicdemand,transfer,class\n"
    cells = [[f"{chance.random():.6f}" for _ in range(6)] for _ in range(60)]
    return head + "".join(",".join([*row, str(chance.randrange(2))]) + "\n" for row in cells)


def _skab(chance: random.Random) -> str:
    head = "datetime;Accelerometer1RMS;Current;Volume Flow RateRMS;anomaly;changepoint\r\n"
    return head + "".join(
        f"2020-03-09 10:14:{n:02d};{chance.random():.6f};{chance.random():.6f};32.0;"
        f"{float(n % 3 == 0)};0.0\r\n"
        for n in range(60)
    )


def _ai4i(chance: random.Random) -> str:
    head = "\ufeffClass,Type,Air temperature [K],Torque [Nm],,Machine failure,TWF\n"
    return head + "".join(
        f"2,{chance.choice('LMH')},{290 + chance.random():.1f},{40 + chance.random():.1f},,"
        f"{chance.randrange(2)},0\n"
        for _ in range(60)
    )


def _tep(chance: random.Random) -> str:
    rows = ["".join(f"   {chance.random():.7e}" for _ in range(52)) for _ in range(60)]
    return "\n".join(rows) + "\n"


SHAPES = {
    "elec.csv": _elec,
    "skab/valve1_0.csv": _skab,
    "ai4i2020.csv": _ai4i,
    "tep/d00_te.dat": _tep,
}
_TEP_COLUMNS = ("--columns", ",".join(f"x{n}" for n in range(1, 53)))

DATA_SETS = (
    DataSet("elec.csv"),
    DataSet("skab/valve1_0.csv", timed=True),
    DataSet("ai4i2020.csv"),
    DataSet("tep/d00_te.dat", _TEP_COLUMNS),
)
