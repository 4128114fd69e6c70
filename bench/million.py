"""What a queue of a million items costs against one of a thousand, or none: leases, commands, a start; and an import.

Everything compared is interleaved in one run. Commands are processes, as a user starts them.
"""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from bench.store import block, raw, timed
from harness.app.build import open_store
from harness.model.home import Home
from harness.model.work import WorkItem
from harness.store.sqlite import SqliteStore
from tests.kit.user import repository

FEW, MANY, IMPORTED = 1_000, 1_000_000, 100_000
BATCH, ROUNDS = 50_000, 5
BLOCKS, SIZE = 12, 50
GROWTH_AIM, RAW_AIM, COMMAND_AIM_SECONDS, START_AIM_SECONDS, IMPORT_AIM = 1.5, 4.5, 0.3, 2.0, 8_000
CONFIG = """\
harness: {{iteration_delay: 0, interrupt_check_interval: 1}}
isolation: {{level: none}}
agents: {{default: {{type: scripted}}}}
repositories:
  - {{name: app, path: {path}, branch: main, gates: [{{name: tests, run: "true"}}]}}
"""


class Failed(list[str]):
    """Sentences about what missed its aim."""

    def unless(self, kept: bool, sentence: str) -> None:
        if not kept:
            self.append(sentence)


def furnish(folder: Path, items: int) -> Home:
    """A home with that many items that are ready."""
    home = Home(folder / f"home-{items}")
    home.root.mkdir()
    home.config.write_text(CONFIG.format(path=repository(folder / f"app-{items}")))
    store, now = open_store(home), datetime.now(UTC)
    for first in range(0, items, BATCH):
        numbers = range(first, min(items, first + BATCH))
        store.add([WorkItem(f"n-{n:07}", f"item {n}") for n in numbers], actor="bench", now=now)
        store.written()
    store.close()
    return home


def command(home: Home, *words: str) -> float:
    """Seconds of one command. Raises CalledProcessError."""
    argv = [sys.executable, "-I", "-m", "harness", "-C", str(home.root), *words]
    return timed(lambda: subprocess.run(argv, check=True, capture_output=True, env=_environment())) / 1e6


def _environment() -> dict[str, str]:
    return {**{name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}, "IS_SANDBOX": "1"}


def leases(few: Home, many: Home, folder: Path, failed: Failed) -> None:
    now, transaction = datetime.now(UTC), raw(folder)
    stores = {FEW: SqliteStore(few.database), MANY: SqliteStore(many.database)}
    spent: dict[int, list[float]] = {number: [] for number in stores}
    raws: list[float] = []
    for store in stores.values():
        block(store, now)
    for _ in range(BLOCKS):
        raws += [timed(transaction) for _ in range(SIZE)]
        for number, store in stores.items():
            spent[number] += block(store, now)
    for store in stores.values():
        store.close()
    growth, over_raw = median(spent[MANY]) / median(spent[FEW]), median(spent[MANY]) / median(raws)
    print(
        f"million.lease few_p50_us={median(spent[FEW]):.0f} many_p50_us={median(spent[MANY]):.0f} growth={growth:.2f} "
        f"aim={GROWTH_AIM} raw_p50_us={median(raws):.0f} over_raw={over_raw:.2f} aim={RAW_AIM}"
    )
    failed.unless(growth <= GROWTH_AIM, f"a lease takes {growth:.2f} times as long at {MANY} items as at {FEW}")
    failed.unless(over_raw <= RAW_AIM, f"a lease takes {over_raw:.2f} times a raw transaction")


def commands(none: Home, many: Home, failed: Failed) -> None:
    tried: dict[str, Callable[[Home, int], float]] = {
        "show": lambda home, _: command(home, "queue", "show"),
        "add": lambda home, n: command(home, "queue", "add", json.dumps({"id": f"new-{n}", "title": "One more"})),
        "status": lambda home, _: _status(home),
    }
    for name, call in tried.items():
        spent: dict[str, list[float]] = {"none": [], "many": []}
        for round_ in range(ROUNDS):
            spent["none"].append(call(none, round_))
            spent["many"].append(call(many, round_))
        more = median(spent["many"]) - median(spent["none"])
        print(
            f"million.{name} none_p50_s={median(spent['none']):.2f} many_p50_s={median(spent['many']):.2f} "
            f"more_s={more:.2f} aim={COMMAND_AIM_SECONDS}"
        )
        failed.unless(more <= COMMAND_AIM_SECONDS, f"{name} takes {more:.2f} s more with {MANY} items")


def _status(home: Home) -> float:
    """Of a loop that is not running: exit 3 is its answer."""
    argv = [sys.executable, "-I", "-m", "harness", "-C", str(home.root), "status", "--json"]
    return timed(lambda: _expect(3, argv)) / 1e6


def _expect(code: int, argv: Sequence[str]) -> None:
    done = subprocess.run(argv, capture_output=True, env=_environment(), check=False)
    assert done.returncode == code, done.stderr


def starts(homes: Iterable[Home], failed: Failed) -> None:
    for home in homes:
        spent = [_until_leased(home) for _ in range(ROUNDS)]
        print(f"million.start home={home.root.name} p50_s={median(spent):.2f} slowest_s={max(spent):.2f} aim=2")
        failed.unless(max(spent) < START_AIM_SECONDS, f"a start took {max(spent):.2f} s in {home.root.name}")


def _until_leased(home: Home) -> float:
    """From exec to the first lease of that loop."""
    books = sqlite3.connect(f"file:{home.database}?mode=ro", uri=True)
    (before,) = books.execute("SELECT max(seq) FROM journal").fetchone()
    argv = [sys.executable, "-I", "-m", "harness", "-C", str(home.root), "run"]
    began = time.monotonic()
    loop = subprocess.Popen(argv, env=_environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    leased = "SELECT 1 FROM journal WHERE seq > ? AND kind = 'item.leased'"
    while books.execute(leased, (before,)).fetchone() is None:
        assert loop.poll() is None, "the loop has ended"
        time.sleep(0.005)
    seconds = time.monotonic() - began
    loop.terminate()
    loop.wait()
    books.close()
    return seconds


def imports(folder: Path, failed: Failed) -> None:
    home = furnish(folder, 0)
    file = folder / "wanted.json"
    file.write_text(json.dumps([{"id": f"i-{n:06}", "title": f"Item {n}", "type": "test"} for n in range(IMPORTED)]))
    seconds = command(home, "queue", "import", str(file))
    print(
        f"million.import items={IMPORTED} seconds={seconds:.1f} items_per_s={IMPORTED / seconds:.0f} aim={IMPORT_AIM}"
    )
    failed.unless(IMPORTED / seconds >= IMPORT_AIM, f"import takes in {IMPORTED / seconds:.0f} items a second")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.parse_args()
    failed = Failed()
    with tempfile.TemporaryDirectory(prefix="bench-million-") as name:
        folder = Path(name)
        (folder / "import").mkdir()
        imports(folder / "import", failed)
        none, few, many = (furnish(folder, items) for items in (0, FEW, MANY))
        os.sync()  # a gigabyte that is still on its way to the disk is not what is measured
        leases(few, many, folder, failed)
        commands(none, many, failed)
        starts((few, many), failed)
    for what in failed:
        print(f"million.failed {what}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
