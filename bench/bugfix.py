"""A fix that somebody really made, through the whole bug-fix workflow: two releases of a package, the newer one as the
work of the agent, its own tests kept.

    python bench/bugfix.py [NAME OLD NEW] [--suite PATH]

Downloads the two source distributions with pip (by hand only: no test does), makes the older one a repository, plays
the newer one as the agent's commit; a reviewer is played too, and approves. Prints what each gate and the review said,
the commit with its trailers, and what `./loop evidence` finds. Exit 1 unless the fix is verified, shown by its own
test, reviewed, and the evidence holds.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.kit.bugfix import Fix, Workshop, tree, workshop
from tests.kit.loop import git

ITEM = "real-fix"
LEFT_OUT = ("PKG-INFO", "setup.cfg.orig")


def pip(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "pip", "-q", "--disable-pip-version-check", *arguments], check=True)


def source(folder: Path, package: str, version: str) -> Path:
    """The files of a source distribution, as a repository would hold them."""
    pip("download", "--no-deps", "--no-binary", ":all:", "--dest", str(folder), f"{package}=={version}")
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as file:
        file.extractall(folder / "unpacked", filter="data")
    (unpacked,) = (folder / "unpacked").iterdir()
    for name in LEFT_OUT:
        (unpacked / name).unlink(missing_ok=True)
    return tree(folder / "tree", unpacked)


def report(shop: Workshop) -> Iterator[str]:
    """What is not as it should be; prints what was seen."""
    place, attempt = shop.place, shop.attempt(ITEM)
    print(f"bugfix.outcome {attempt.outcome} {attempt.ending or ''} {attempt.sentence}".rstrip())
    for verdict in shop.verdicts(ITEM).values():
        runs = ", ".join(f"{run.on}: exit {run.exit_code} in {run.seconds:.1f} s" for run in verdict.runs)
        print(f"bugfix.gate {verdict.gate} {verdict.verdict} ({runs or 'no run'})")
    if attempt.outcome != "verified":
        yield f"not verified:\n{attempt.evidence}"
        return
    print(git(shop.repository, "log", "-1", "--stat", "--format=%h %s%n%(trailers)", "main"))
    if shop.runs(ITEM, "regression") != [("head", True), ("base + tests", False)]:
        yield "the changed tests are not green with the fix and red without it"
    if shop.runs(ITEM, "review") != [("seal", True)]:
        yield "no review has approved the sealed commit"
    if len(git(shop.repository, "rev-list", "main").split()) != 2:
        yield "not one commit on the branch"
    status, told = place.run("evidence", ITEM)
    print(told)
    if status != 0:
        yield "the evidence does not hold"


def play(package: str, versions: Sequence[str], suite: str) -> list[str]:
    with tempfile.TemporaryDirectory(prefix="bugfix-") as name:
        folder = Path(name)
        old, new = (source(folder / version, package, version) for version in versions)
        with workshop(folder / "shop", old, [Fix(ITEM, new)], suite=suite) as shop:
            status, said = shop.place.run("run", "--once", seconds=600)
            return ([] if status == 0 else [f"the loop ended with {status}:\n{said[-2000:]}"]) + list(report(shop))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("package", nargs="?", default="parse")
    parser.add_argument("versions", nargs="*", default=["1.20.1", "1.20.2"], metavar="OLD NEW")
    parser.add_argument("--suite", default="tests", help="what pytest is given for the whole suite")
    given = parser.parse_args()
    if len(given.versions) != 2:
        parser.error("two versions, please: the older and the newer")
    wrong = play(given.package, given.versions, given.suite)
    for what in wrong:
        print(f"bugfix.failed {what}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
