"""A stand-in for the loop's own tools: an MCP server on stdio named `harness` that accepts every `complete_work`.

For tests that play a scenario with the CLI alone: `claude(..., *desk_flags(folder), ENABLE_TOOL_SEARCH="false")`. Each call
is appended to `folder`/calls.jsonl.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

TOOL = {
    "name": "complete_work",
    "description": "Say that the work is done, or what blocks it.",
    "inputSchema": {
        "type": "object",
        "properties": {"status": {"enum": ["done", "blocked"]}, "summary": {"type": "string"}},
        "required": ["status", "summary"],
    },
}


def desk_flags(folder: Path) -> tuple[str, ...]:
    """What makes the CLI start this server."""
    server = {"command": sys.executable, "args": [__file__, str(folder / "calls.jsonl")]}
    return ("--strict-mcp-config", "--mcp-config", json.dumps({"mcpServers": {"harness": server}}))


def serve(calls: Path) -> None:
    for line in sys.stdin:
        request = json.loads(line)
        if "id" in request:
            answer = {"jsonrpc": "2.0", "id": request["id"], "result": _result(request, calls)}
            sys.stdout.write(json.dumps(answer) + "\n")
            sys.stdout.flush()


def _result(request: dict[str, Any], calls: Path) -> dict[str, Any]:
    method, params = request["method"], request.get("params") or {}
    if method == "initialize":
        who = {"name": "harness", "version": "1"}
        return {"protocolVersion": params["protocolVersion"], "capabilities": {"tools": {}}, "serverInfo": who}
    if method == "tools/list":
        return {"tools": [TOOL]}
    if method == "tools/call":
        with calls.open("a", encoding="utf-8") as out:
            out.write(json.dumps(params["arguments"]) + "\n")
        return {"content": [{"type": "text", "text": "accepted"}]}
    return {}


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
