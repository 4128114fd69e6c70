"""Fetch from and push to the remote of a registered repository: with the operator's own credentials, never forced.

The operator's git configuration holds here (ssh agent, credential helper, proxies), because that is where the way to
the remote is written. Hooks are off, nobody is asked anything, and what is pushed is a commit by its id, not what a
branch points to by then.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import PurePath

from harness.git.repository import opened
from harness.git.run import ERROR_LINES, Result
from harness.model.errors import GitError, PushFailed
from harness.ports import RepositoryRef

CALLERS = (
    *("SSH_AUTH_SOCK", "SSH_AGENT_PID", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR", "KRB5CCNAME", "GNUPGHOME"),
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy", "no_proxy"),
)
"""Variables of whoever started the loop that lead to their credentials and through their proxy."""
ALONE = {"GIT_ASKPASS": "", "SSH_ASKPASS_REQUIRE": "never", "GIT_PROTOCOL_FROM_USER": "1"}
"""Nobody is there to type; a path on this machine is as good a remote as any, for an operator named it."""
SSH_OPTIONS = "-o BatchMode=yes -o ConnectTimeout=20"
PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
SECRET = re.compile(r"(?<=://)[^/@\s]+@")
NO_BRANCH = re.compile(r"couldn't find remote ref", re.IGNORECASE)
_BEHIND = (
    r"\[rejected\].*\((?:fetch first|non-fast-forward|needs force|stale info)\)"
    r"|\[remote rejected\].*(?:cannot lock ref|failed to update ref|incorrect old value|reference already exists)"
)
_AUTH = (
    r"authentication failed|could not read (?:username|password)|permission denied|terminal prompts disabled"
    r"|host key verification failed|returned error: 40[13]|invalid credentials"
)
_NETWORK = (
    r"could not resolve|connection (?:refused|timed out|reset)|unable to access|could not connect|unreachable"
    r"|no route to host|remote end hung up|early eof|operation timed out|failed to connect"
)
_PATTERNS = {
    "behind": _BEHIND,
    "refused": r"\[remote rejected\]|pre-receive hook declined|protected branch",
    "auth": _AUTH,
    "missing": r"does not appear to be a git repository|repository .*not found|no such (?:remote|device or address)",
    "network": _NETWORK,
}
KINDS = tuple((kind, re.compile(pattern, re.IGNORECASE)) for kind, pattern in _PATTERNS.items())
"""How a push went wrong, by git's words in English (LC_ALL=C); the first that fits."""
HINTS: Mapping[str, str] = {
    "behind": "nothing to do: it is fetched, merged and proved, and pushed again",
    "refused": "let the account of the loop push to this branch, or set push: false",
    "auth": "git push must work in {path} without a question: ssh agent, deploy key or credential helper",
    "missing": "git -C {path} remote -v names where it is looked for",
    "network": "nothing to do: tried again by itself; git -C {path} fetch shows whether the remote answers",
    "no_remote": "git -C {path} remote add origin URL",
    "other": "try it by hand: git -C {path} push",
}


class Remote:
    """The remote of one branch of a registered repository. `caller` is the environment of whoever started the loop."""

    def __init__(self, repo: RepositoryRef, branch: str, caller: Mapping[str, str]) -> None:
        self._repo = repo
        self._branch = branch
        self._git = replace(opened(repo), users=True)
        self._caller = {name: caller[name] for name in CALLERS if caller.get(name)}

    async def push(self, commit: str) -> str:
        """Bring `commit` to the branch there, forward only; the remote's name. Done already is done.

        Raises PushFailed, whose `kind` says why.
        """
        return await self._send(f"{commit}:refs/heads/{self._branch}")

    async def push_tag(self, tag: str) -> str:
        """Bring a tag there, never over another one; the remote's name. Raises PushFailed."""
        return await self._send(f"refs/tags/{tag}:refs/tags/{tag}")

    async def _send(self, what: str) -> str:
        remote = await self._name()
        fixed = ("--porcelain", "--no-verify", "--no-follow-tags", "--recurse-submodules=no", "--no-signed")
        await self._talk(remote, "push", *fixed, "--", remote, what)
        return remote

    async def fetch(self) -> str | None:
        """What the branch is there now, its objects fetched; None if the remote has no such branch.

        Raises PushFailed.
        """
        remote = await self._name()
        ours = f"refs/harness/_remotes/{_plain(remote)}/{self._branch}"
        fixed = ("--no-tags", "--no-prune", "--no-write-fetch-head", "--no-recurse-submodules", "--refmap=", "--quiet")
        try:
            await self._talk(remote, "fetch", *fixed, "--", remote, f"+refs/heads/{self._branch}:{ours}")
        except PushFailed as exc:
            if NO_BRANCH.search(exc.cause):
                return None
            raise
        return await self._git.line("rev-parse", "--verify", "--end-of-options", ours)

    async def _name(self) -> str:
        for key in (f"branch.{self._branch}.pushRemote", "remote.pushDefault", f"branch.{self._branch}.remote"):
            found = await self._git.run("config", "--get", key, accept=(0, 1))
            if found.text not in ("", "."):
                return found.text
        remotes = (await self._git.run("remote")).text.split()
        if "origin" in remotes or len(remotes) == 1:
            return "origin" if "origin" in remotes else remotes[0]
        named = f"several remotes and no default: {', '.join(remotes)}" if remotes else "no remote"
        hint = f"git -C {{path}} config remote.pushDefault {remotes[0]}" if remotes else HINTS["no_remote"]
        raise self._failed("no_remote", f"{self._repo.name} has {named}", hint=hint)

    async def _talk(self, remote: str, *arguments: str) -> Result:
        environment = {**self._caller, **ALONE, "GIT_SSH_COMMAND": await self._ssh()}
        try:
            result = await self._git.run(*arguments, environment=environment, accept=range(256))
        except GitError as exc:
            if isinstance(exc.__cause__, TimeoutError):
                late = f"{masked(remote)} did not answer within {self._git.timeout_seconds:g} s"
                raise self._failed("network", late) from exc
            raise
        if result.code == 0:
            return result
        said = masked(f"{result.text}\n{result.err}")
        kind = kind_of(said)
        last = _telling(said) or "git gave no reason"
        raise self._failed(kind, f"{arguments[0]} of {self._branch} with {masked(remote)}: {last}", cause=said)

    async def _ssh(self) -> str:
        """The operator's ssh, told to ask nobody; another program than ssh has options of its own."""
        chosen = (await self._git.run("config", "--get", "core.sshCommand", accept=(0, 1))).text or "ssh"
        return f"{chosen} {SSH_OPTIONS}" if PurePath(chosen.split()[0]).name == "ssh" else chosen

    def _failed(self, kind: str, message: str, *, hint: str = "", cause: str = "") -> PushFailed:
        lines = [line for line in cause.splitlines() if line.strip()]
        mend = (hint or HINTS[kind]).replace("{path}", str(self._repo.path))
        return PushFailed(message, kind=kind, hint=mend, cause="\n".join(lines[-ERROR_LINES:]))


def kind_of(said: str) -> str:
    """behind, refused, auth, missing, network or other, from what git and the remote said."""
    return next((kind for kind, pattern in KINDS if pattern.search(said)), "other")


def masked(text: str) -> str:
    """Without names and passwords that stand in URLs."""
    return SECRET.sub("***@", text)


def _telling(said: str) -> str:
    """The one line that says most: what the remote answered to the ref, else the first complaint."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    refs = [line.rpartition("\t")[2] for line in lines if line.startswith("!\t")]
    complaints = [line for line in lines if line.startswith(("remote: error", "fatal:", "error:", "ssh:"))]
    return next(iter((*refs, *complaints, *lines[-1:])), "")


def _plain(remote: str) -> str:
    """A remote as part of a ref: its name, or a mark of its URL."""
    return remote if PLAIN_NAME.fullmatch(remote) else hashlib.sha256(remote.encode()).hexdigest()[:12]
