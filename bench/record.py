"""Record sessions of the real CLI for the watchdog's replay: `python bench/record.py [NAME…]` writes tests/data/replay.

The model is scripted. What only our machine knows is replaced, what no reader of a log uses is left out.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness.model.brief import Brief
from harness.model.events import Requesting, SessionEvent, StopReason, Streaming, ToolStarted
from harness.rehearsal.stage import Rehearsal
from harness.testing.replay import SHIPPED
from tests.kit.claude_agent import DONE, Stage, bash, read_until

SILENT_SECONDS = 2.0
WAIT = "import time; time.sleep({})"
SUB = {"description": "look", "prompt": "subagent: look around", "subagent_type": "general-purpose"}
WORDS = " ".join(f"word{n}" for n in range(60))
KEPT = ("_at", "type", "subtype", "session_id", "uuid", "model", "claude_code_version", "cwd")
UNREAD = ("api_message_id", "fast_mode_state", "thinking_display", "tool_use_result", "ttft_ms")


@dataclass(frozen=True)
class Scene:
    """A script, and for a hung session its ending and the event after which it hangs. `freeze`: the CLI is stopped."""

    turns: Sequence[Mapping[str, Any]]
    ending: str | None = None
    hangs_at: type[SessionEvent] | None = None
    freeze: bool = False


PAUSE = f"python3 -c '{WAIT.format(3)}'"
SCENES: Mapping[str, Scene] = {
    "normal": Scene((bash("echo one > a.txt"), bash("cat a.txt"), *DONE)),
    "long-tool": Scene((bash(f"python3 -c '{WAIT.format(12)}'"), *DONE)),
    "parallel-tools": Scene(({"tools": [*bash("true")["tools"], *bash(PAUSE)["tools"]]}, *DONE)),
    "slow-stream": Scene(({"text": WORDS, "fault": {"slow": 0.4}}, *DONE)),
    "slow-answer": Scene(({**bash("true"), "fault": {"hang": 5}}, *DONE)),
    "subagent": Scene((bash("true"), {"tools": [{"name": "Agent", "input": SUB}]}, *DONE)),
    "overloaded": Scene(({**bash("true"), "fault": {"kind": "overloaded", "times": 2}}, *DONE)),
    "cut-off": Scene(({**bash("true"), "fault": {"drop": True, "times": 1}}, *DONE)),
    "tool-timeout": Scene((bash(f"python3 -c '{WAIT.format(30)}'", timeout=2000), *DONE)),
    "context-full": Scene((bash("true"), {"text": "", "fault": "prompt_too_long"})),
    "unreported": Scene(({"text": "I am done, I think."}, *({"text": "Really."},) * 4)),
    "stalled-api": Scene((bash("true"), {"text": "never", "fault": {"hang": "forever"}}), "stalled_api", Requesting),
    "stalled-stream": Scene(({"text": WORDS, "fault": {"hang_mid": "forever"}},), "stalled_api", Streaming),
    "hanging-tool": Scene((bash(f"python3 -c '{WAIT.format(300)}'"), *DONE), "stalled", ToolStarted),
    "silent-agent": Scene((bash(f"python3 -c '{WAIT.format(4)}'"), *DONE), "stalled", ToolStarted, freeze=True),
    "spinning": Scene((*(bash("cat missing.txt"),) * 7, *DONE), "spinning"),
}  # fmt: skip
"""The second request of `stalled-api` is the one that hangs."""


async def play(scene: Scene, stage: Stage, sheet: Brief) -> None:
    """The whole of a session that ends, or a hung one up to a while after its last sign."""
    if scene.hangs_at is None:
        await stage.play(sheet)
        return
    async with asyncio.timeout(60), stage.session(sheet) as session:
        wanted = 2 if scene.hangs_at is Requesting else 1
        await read_until(session, _nth(scene.hangs_at, wanted))
        if scene.freeze:
            os.kill(json.loads(sheet.paths.record.read_text())["agent_pid"], signal.SIGSTOP)
        await asyncio.sleep(SILENT_SECONDS)
        await session.stop(StopReason.STALLED)
        await session.exit()


def _nth(kind: type[SessionEvent], wanted: int) -> Callable[[SessionEvent], bool]:
    seen = 0

    def is_it(event: SessionEvent) -> bool:
        nonlocal seen
        seen += isinstance(event, kind)
        return seen >= wanted

    return is_it


def redacted(line: str, folder: Path) -> str:
    """The frame without places of this machine, and without what is long and read by nobody."""
    slug = str(folder).replace("/", "-")
    frame = json.loads(line.replace(str(folder), "/home/agent").replace(slug, "-home-agent"))
    if frame["type"] in ("control_request", "control_response") or frame.get("subtype") == "init":
        frame = {key: value for key, value in frame.items() if key in KEPT}
    for name in UNREAD:
        frame.pop(name, None)
    return json.dumps(frame, ensure_ascii=False, separators=(",", ":"))


def record(name: str, scene: Scene, target: Path) -> None:
    """Play a scene and write its log and its state."""
    sessions = [
        {"match": "subagent:", "turns": [bash("ls"), {"text": "seen"}]},
        {"default": True, "turns": list(scene.turns)},
    ]
    with tempfile.TemporaryDirectory(prefix="record-") as place, Rehearsal({"sessions": sessions}) as api:
        folder = Path(place)
        stage = Stage(folder, api)
        sheet = stage.brief()
        began = datetime.now(UTC)
        asyncio.run(play(scene, stage, sheet))
        lines = [redacted(line, folder) for line in sheet.paths.log.read_text().splitlines()]
    target.mkdir(parents=True, exist_ok=True)
    (target / f"{name}.log").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    state = {
        "started_at": began.isoformat(),
        "ending": scene.ending,
        "ended_by": "watchdog" if scene.ending else "agent",
    }
    (target / f"{name}.json").write_text(f"{json.dumps(state)}\n", encoding="utf-8")
    print(f"{name}: {len(lines)} frames, {sum(map(len, lines))} bytes")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*SCENES, []], help="scenes; without any, all")
    for name in parser.parse_args().names or SCENES:
        record(name, SCENES[name], SHIPPED)


if __name__ == "__main__":
    main()
