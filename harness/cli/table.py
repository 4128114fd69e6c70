"""Every command of contract 3: where it is, one line of help, which seed commands it answers. Data only.

A command without a target is not built in this version: it exits 2 and says so. Groups resolve their commands from
here, so a command costs only its own imports.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Entry:
    """`path` is what is typed, `target` `module:attribute` of a click command, `answers` commands of the seeds."""

    path: str
    help: str
    target: str = ""
    answers: tuple[str, ...] = ()

    @property
    def built(self) -> bool:
        return bool(self.target)


_HERE = "harness.cli"


def _built(path: str, help_: str, target: str, *answers: str) -> Entry:
    return Entry(path, help_, f"{_HERE}.{target}", answers)


def _later(path: str, help_: str, *answers: str) -> Entry:
    return Entry(path, help_, "", answers)


GROUPS = {
    "agent": "The agents of the configuration.",
    "audit": "Routes, and where failures concentrate.",
    "auth": "Whose account agents use.",
    "backup": "State and configuration, kept and restored.",
    "config": "config.yaml in force.",
    "decision": "Questions to a person.",
    "fatal": "Issues that nothing recovers from.",
    "gate": "Judges of sealed work, and of a checkout.",
    "issue": "Conditions found by monitor rules.",
    "merge": "Bringing sealed work to its branch.",
    "notify": "Who is told what.",
    "policy": "What agents may not do.",
    "pr": "Pull requests.",
    "prompt": "What agents are given to read.",
    "queue": "Work items: the queue and what was finished.",
    "repo": "Registered repositories.",
    "schedule": "Recurring commands.",
    "service": "External processes that are supervised.",
    "service-unit": "The loop under a service manager.",
    "session": "Sessions of agents: what they did, used and said.",
    "state": "The state folder as a whole.",
    "store": "The database.",
    "sweep": "Verifying a numeric range.",
    "task": "Tasks as markdown.",
    "telemetry": "Telemetry kept in files.",
    "waiver": "Time-bounded waivers of the start gate.",
    "wip": "Autosaves of unfinished work.",
    "worktree": "Workspaces.",
}

_DAILY = (
    _built(
        "run",
        "Run the loop: lease, work, prove, integrate.",
        "run:run",
        "./loop.sh",
        "MAX_ITERATIONS=1 ./loop.sh",
        "DEBUG=true VERBOSE=true ./loop.sh",
        "nohup ./loop.sh > harness.out 2>&1 &",
        "python3 -m orchestrator launch",
        "./scripts/run_overnight_pipeline.sh",
        "./scripts/run_autonomous.sh",
        "scripts/agent_runner.py --interval 10 -v",
        ".\\run_multi_agent_refactor.ps1",
        "scripts/project_manager.py --interval 15 --hours 8 -v",
        "python3 -m orchestrator launch",
    ),
    _later("worker", "Run workers only, on this or another host."),
    _built("demo", "Watch four items being done with a scripted model; no key needed.", "run:demo"),
    _built("init", "Make a home, or add a repository to one.", "run:init"),
    _built(
        "status",
        "What runs, what is queued, what came of the last day.",
        "status:status",
        "./scripts/report-status.sh",
        "watch -n 5 ./scripts/report-status.sh",
        "ps aux | grep loop.sh",
        "python3 -m orchestrator status",
        "scripts/check_pipeline.py",
        "scripts/check_pipeline.py --json",
        "cat state/current-session.json",
        "watch -n 10 ./scripts/report-status.sh",
        "du -sh state docs",
    ),
    _later("watch", "Follow everything the loop does, as it happens.", "python3 -m orchestrator monitor"),
    _later("top", "A live dashboard in the terminal.", "python3 -m orchestrator dashboard"),
    _later(
        "web",
        "The dashboard and HTTP API.",
        "uvicorn app.main:app --reload --port 8000",
        "GET /api/health",
        "GET /api/ready",
        "GET /api/agent/pipeline-status",
    ),
    _built(
        "pause",
        "Pause the loop, with a reason.",
        "control:pause",
        'echo "Testing interrupt mechanism" > state/interrupt-request.txt',
    ),
    _built(
        "resume",
        "Let a paused loop go on.",
        "control:resume",
        "rm state/interrupt-request.txt",
    ),
    _built(
        "stop",
        "End the loop; what runs is saved and can be resumed.",
        "control:stop",
        'pkill -TERM -f "loop.sh"',
        'pkill -KILL -f "loop.sh"',
        "pkill -KILL claude",
        "rm state/ses_*.pid",
        'pkill -f "uvicorn app.main"',
    ),
    _built(
        "doctor",
        "Is everything here that a session needs? What to mend if not.",
        "doctor:doctor",
        "./scripts/verify-installation.sh",
        "claude --version",
        "gt --version",
        "bd --version",
        "jq --version",
        "git --version",
        "command -v gt bd jq git claude",
        "bash -n loop.sh",
        "preflight_validator.py",
        "git fsck",
        "aider --version",
        "gh copilot --version",
        "df -h ~/gt/harness",
        "free -h",
        "command -v claude gt bd jq",
        "aider --version",
        "which aider",
    ),
    _built(
        "health",
        "Is the loop alive and well? For cron.",
        "health:health",
        "./health-check.sh",
        "ps -p $(cat harness.pid)",
    ),
    _built(
        "why",
        "Why an item or session is as it is, or why the loop is paused.",
        "why:why",
        "cat state/interrupt-request.txt",
        "cat docs/sessions/*-context.json | tail -1 | jq",
        "cat logs/tool_fallback.log",
    ),
    _later(
        "report",
        "Reports over a period: morning, weekly, rollout, baseline.",
        "./scripts/analyze-weekly-metrics.sh",
        'grep "SUCCESS" state/iteration.log | grep -c "Session completed"',
        "cat staging-test-results.txt",
    ),
    _built("evidence", "What proves a finished item, and whether it still holds.", "evidence:evidence"),
    _built("version", "Versions of program, Python, Claude CLI, schema.", "version:version", "GET /api/version"),
    _built("auth status", "Which CLI, which credentials.", "auth:status", "claude auth status"),
    _built("auth login", "Log in with the CLI's own login, kept in state/claude.", "auth:login", "claude auth login"),
)

_WORK = (
    _built(
        "queue show",
        "The queue in its order, or one item.",
        "queue:show",
        "./scripts/manage-queue.sh show",
        "cat state/queue.json",
        "GET /api/agent/tasks",
    ),
    _built(
        "queue check",
        "Take edits of state/queue.json; name what is wrong.",
        "queue:check",
        "./scripts/manage-queue.sh check",
        "echo '[]' > state/queue.json",
    ),
    _built(
        "queue add",
        "Add an item.",
        "queue:add",
        "./scripts/manage-queue.sh add",
        "python3 -m orchestrator add-issue",
        "POST /api/agent/tasks",
    ),
    _built("queue remove", "Cancel an item.", "queue:remove"),
    _built("queue retry", "Make a finished, parked or waiting item ready again.", "queue:retry"),
    _built("queue prioritise", "Move an item forward or back.", "queue:prioritise"),
    _built("queue park", "Set an item aside.", "queue:park"),
    _built("queue unpark", "Put a parked item back.", "queue:unpark"),
    _built("queue take", "Take an item over as a person.", "hand:take"),
    _built("queue submit", "Hand in what you did.", "hand:submit"),
    _built("queue return", "Give an item back to the loop.", "hand:return_"),
    _built("queue export", "Items as JSON that can be imported.", "queue:export"),
    _built("queue import", "Add items from a file, all or none.", "queue:import_", "config/proof-issues.json"),
    _later("queue stats", "Counts, ages and waits.", "GET /api/agent/tasks/count"),
    _built(
        "session latest",
        "The newest session.",
        "session:latest",
        "./scripts/parse-session-events.sh latest",
    ),
    _built("session list", "Sessions, newest first.", "session:list_", "./scripts/parse-session-events.sh list"),
    _built(
        "session metrics",
        "Tokens, cost, turns, tools, times of one session.",
        "session:metrics",
        "./scripts/parse-session-events.sh metrics",
        "cat state/sessions/$SESSION_ID/metrics.json | jq",
    ),
    _built(
        "session tools",
        "Tool calls of a session, counted and timed.",
        "session:tools",
        "./scripts/parse-session-events.sh tools",
    ),
    _built(
        "session errors",
        "What went wrong in a session, with the line of the log.",
        "session:errors",
        "./scripts/parse-session-events.sh errors",
        "tail docs/sessions/ses_*.err",
    ),
    _built(
        "session timeline",
        "What a session did, in order.",
        "session:timeline",
        "./scripts/parse-session-events.sh timeline",
    ),
    _built(
        "session watch",
        "Follow a session while it runs.",
        "session:watch",
        "./scripts/parse-session-events.sh watch",
    ),
    _built("session transcript", "The conversation in words.", "session:transcript"),
    _later("session explain", "Everything about one session on one page."),
    _later("session search", "Find words in sessions."),
    _later("session compare", "Two sessions side by side."),
    _later("session trends", "Figures over time."),
    _later("session reconcile", "Figures against the account's bill."),
    _later("session report", "A session as a document."),
    _later("session export", "A session as one archive."),
    _built("session stop", "End one session.", "session:stop", "kill $(jq -r '.pid' state/current-session.json)"),
    _built(
        "session mark",
        "Correct a session's status by hand.",
        "session:mark",
        "jq '.status = \"completed\"' $SESSION > state/current-session.json",
    ),
    _later("task list", "Tasks of tasks/*.md.", "orchestrator task list"),
    _later("task show", "One task."),
    _later("task start", "Move a task to active.", "orchestrator task start <id>"),
    _later("task complete", "Move a task to completed.", "orchestrator task complete <id>"),
    _later("task sync", "Take hand edits of tasks/*.md."),
    _later("decision list", "Open questions."),
    _later("decision show", "One question."),
    _later(
        "decision answer",
        "Answer a question.",
        "/reply {task_id} yes",
        'curl -X PATCH /api/agent/tasks/{id} -d \'{"decision":"yes"}\'',
    ),
)

_PRODUCTION = (
    _later(
        "sweep start",
        "Start verifying a range.",
        "/production-ops",
        "/production-ops --fresh",
        "git worktree add --detach",
        "henyey verify-execution",
        "mkdir -p ~/data/<session-id>",
        "find ~/data/<session-id>/cache",
    ),
    _later("sweep status", "Frontier, clean, in progress, remaining.", "docs/SWEEP_STATUS.md"),
    _later("sweep resume", "Go on where a sweep stopped."),
    _later("sweep known-issues", "Positions that could not be mended."),
    _later("sweep ranges", "Every range with its state."),
    _later("service list", "Supervised processes."),
    _later(
        "service start", "Start one.", "henyey run --validator", "~/data/<session-id>/cargo-target/release/henyey run"
    ),
    _later("service stop", "Stop one."),
    _later("service restart", "Restart one."),
    _later("service status", "State, uptime, errors of one."),
    _later("service logs", "Follow its log.", "tail -f ~/data/<session-id>/logs/tracker.log"),
    _later("issue list", "Open issues.", "GET /api/agent/monitor-issues"),
    _later("issue show", "One issue."),
    _later("issue ack", "Say that you have seen it."),
    _later("issue resolve", "Close an issue."),
    _later("issue mute", "Silence a rule for a while."),
    _later("fatal list", "Fatal issues.", "scripts/report_fatal.py", "GET /api/agent/fatal-issues"),
    _later("fatal ack", "Acknowledge one."),
    _later("effectiveness", "Is the pipeline doing its work?", "./scripts/ensure_effective_pipeline.sh"),
    _later("audit routes", "Routes offered against expected.", "scripts/audit_runtime_surface.py"),
    _later("audit failures", "Where failures concentrate.", "scripts/analyze_pipeline_failures.py"),
)

_REPOSITORIES = (
    _later("repo add", "Register a repository."),
    _later("repo list", "Registered repositories."),
    _later("repo show", "One repository."),
    _later("repo scan", "Refresh every state file.", "orchestrator scan"),
    _later("repo status", "Branch, dirt, distance of each.", "orchestrator status"),
    _later(
        "repo test",
        "Run tests.",
        "orchestrator test <repo>",
        "orchestrator test-all",
        "go test ./... -short",
        "tail -20 /tmp/orchestrator-test-<repo-name>.log",
    ),
    _later(
        "repo build", "Build.", "orchestrator build <repo>", "cargo build --release", "go build -o /tmp/orchestrator"
    ),
    _later("repo pull", "Bring checkouts up to date.", "git pull --rebase", "git pull", "git push"),
    _later("repo review", "Review a branch."),
    _later("repo import", "Import repos.json and workflows.json."),
    _built("worktree list", "Workspaces, and what is wrong with broken ones.", "worktree:list_", "git worktree list"),
    _built("worktree repair", "Mend broken workspaces.", "worktree:repair"),
    _built(
        "worktree prune",
        "Remove workspaces that nobody needs.",
        "worktree:prune",
        "git worktree prune",
        "git worktree remove",
    ),
    _later("worktree verify-web", "Check routes and pages.", "./scripts/verify_worktree_local_web.sh"),
    _built("wip list", "Autosaves.", "wip:list_"),
    _built("wip show", "One autosave.", "wip:show"),
    _built("wip restore", "Bring one back.", "wip:restore"),
    _later(
        "gate run",
        "Run the gates on a commit.",
        "pytest tests/",
        "cargo test --all",
        "pytest -v",
        "python scripts/paths_index_cli.py gate",
        "git diff --check",
    ),
    _later("gate start", "May work start here?", "make start-gate"),
    _later("gate guard", "What a push would meet.", "python3 scripts/worktree_pr_guard.py"),
    _later("gate spec", "Do changed specs say what they must?", "python3 scripts/validate_spec_quality.py"),
    _later("waiver list", "Waivers in force.", "config/start_gate_main_workflow_waivers.json"),
    _later("waiver add", "Add one."),
    _later("waiver expire", "End one."),
    _later("pr triage", "Failing checks of pull requests.", "python3 scripts/pr_check_failure_triage.py"),
    _built("merge status", "What waits for its branch, and what would conflict.", "merge:status"),
    _built("merge apply", "Bring kept work to its branch.", "merge:apply"),
    _built("merge abort", "Give up an integration that waits.", "merge:abort"),
    _built("merge rollback", "Take integrated work back.", "merge:rollback", "git reset --hard <commit-hash>"),
)

_HOUSE = (
    _later("agent list", "Agents and what they can."),
    _later("agent test", "Try an agent."),
    _later("agent pin", "Choose the agent of an item."),
    _built("prompt render", "Exactly what an agent would get.", "prompt:render", "cat prompts/bootstrap.md"),
    _built("prompt list", "Templates, and which kinds use them.", "prompt:list_", "ls -la prompts/bootstrap.md"),
    _later("prompt compare", "Two templates over the same sessions."),
    _built("config show", "Every value in force.", "config:show", "cat config.yaml"),
    _built(
        "config check",
        "Is config.yaml right? Every mistake at once.",
        "config:check",
        "yq eval '.' config.yaml",
    ),
    _built("config schema", "JSON Schema of config.yaml.", "config:schema"),
    _built("policy test", "What becomes of a command, or of disguised ones.", "policy:test"),
    _later(
        "backup create",
        "Keep state and configuration.",
        "cp -r state ~/gt-backup/",
        "git tag pre-phase2-rollout-YYYYMMDD",
        "git push origin pre-phase2-rollout",
        "mkdir -p ~/gt-backup/harness-",
        "cp config.yaml ~/gt-backup/harness-",
        "mkdir -p ~/rollback-forensics/",
        "cp -r state ~/rollback-forensics/",
        "cp -r docs/sessions ~/rollback-forensics/",
        "cp config.yaml ~/rollback-forensics/",
    ),
    _later("backup list", "What was kept.", "git tag | grep pre-phase2-rollout"),
    _later("backup verify", "Is a backup whole?"),
    _later(
        "backup restore",
        "Bring one back.",
        "cp -r ~/gt-backup/harness-YYYYMMDD/state .",
        "cp ~/gt-backup/harness-YYYYMMDD/config.yaml .",
    ),
    _later("backup rollback", "Program and state as they were.", "git checkout pre-phase2-rollout-YYYYMMDD"),
    _built(
        "state reset",
        "Begin anew, after a backup.",
        "state:reset",
        "mv state state.old-YYYYMMDD",
        "mv state state.emergency-",
    ),
    _later("store migrate", "To another database."),
    _later(
        "cleanup",
        "Old logs, caches, workspaces.",
        'find docs/sessions -name "*.log" -mtime +7 -exec gzip {} \\;',
        'find docs/sessions -name "*.json" -mtime +30 -delete',
        "python3 -m orchestrator cleanup",
        "find api/logs -name 'task_*.log' -mtime +7 -delete",
        "rm -rf /tmp/aider_*",
        "du -sh .worktrees/*",
    ),
    _later("telemetry migrate", "From files to the database.", "python scripts/migrate_local_telemetry_to_db.py"),
    _later("schedule list", "What runs when.", "crontab -e"),
    _later("schedule run", "Run one now.", "scripts/index_npm.py --target 5000", "scripts/index_pypi.py --target 100"),
    _later("notify test", "Send a test notice.", "./scripts/start_with_telegram.sh"),
    _later("notify log", "What was sent and received."),
    _later("rehearse", "Stages and incidents against a scripted model."),
    _later("metrics", "Figures over any period.", "GET /api/agent/metrics"),
    _later("service-unit install", "Put the loop under a service manager."),
    _later("service-unit print", "Print the unit."),
)

COMMANDS: tuple[Entry, ...] = (*_DAILY, *_WORK, *_PRODUCTION, *_REPOSITORIES, *_HOUSE)
"""In the order in which help shows them."""


def below(group: str) -> Iterator[tuple[str, Entry | None]]:
    """Names one level below a group ("" = the top), each with its entry; None for a group. In the table's order."""
    prefix, seen = f"{group} " if group else "", set()
    for entry in COMMANDS:
        if not entry.path.startswith(prefix):
            continue
        name, _, rest = entry.path.removeprefix(prefix).partition(" ")
        if name not in seen:
            seen.add(name)
            yield name, None if rest else entry
