from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

import pytest

from harness.model.errors import NotFound
from harness.proc import resources, usage
from harness.proc.identity import identify


def test_disk_of_a_folder_that_is_not_there_yet_is_its_volumes(tmp_path):
    here, there = resources.disk(tmp_path), resources.disk(tmp_path / "not" / "yet")
    assert here.total == there.total == os.statvfs(tmp_path).f_blocks * os.statvfs(tmp_path).f_frsize
    assert 0 < here.free <= here.total
    assert resources.Disk(total=200, free=50).percent_free == 25


def test_memory_is_what_the_kernel_says():
    memory = resources.memory()
    assert memory.total == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert 0 < memory.available < memory.total


def test_usage_counts_descriptors_and_threads(tmp_path):
    before = usage.usage(os.getpid())
    with (tmp_path / "a").open("w"), (tmp_path / "b").open("w"):
        assert usage.usage(os.getpid()).fds == before.fds + 2
    assert before.rss > 1 << 20
    assert before.threads >= 1


def test_usage_of_nobody_is_not_found():
    with pytest.raises(NotFound):
        usage.usage(1 << 22)


def test_tree_cpu_counts_work_of_children_alive_and_ended():
    code = (
        "import subprocess, sys\nspin = [sys.executable, '-c', 'import time\\nwhile time.process_time() < 0.3: pass']\n"
        "subprocess.run(spin)\nsubprocess.Popen(spin + ['x']) and print('.', flush=True)\ninput()"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdin=-1, stdout=-1) as process:
        process.stdout.readline()
        root = identify(process.pid)
        assert usage.tree_cpu(root) >= 0.2
        assert usage.tree_cpu(replace(root, start=1)) == 0
        process.kill()


def test_load_is_three_means():
    assert len(resources.load()) == 3
