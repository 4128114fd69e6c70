"""What no agent, gate or set-up command has a use for, and a thief has: hidden by the isolation. Data only.

They get a HOME of their own, so nothing here is missed; programs and sources stay readable.
"""

from __future__ import annotations

OF_A_USER = (
    # keys and agents
    *(".ssh", ".gnupg", ".password-store", ".local/share/keyrings", ".vault-token", ".config/op", ".config/sops"),
    # clouds and clusters
    *(".aws", ".azure", ".config/gcloud", ".kube", ".docker", ".config/containers", ".config/doctl", ".oci"),
    *(".config/rclone", ".s3cfg", ".boto", ".terraform.d", ".terraformrc", ".fly", ".config/heroku"),
    # sources and packages
    *(".netrc", ".git-credentials", ".config/git/credentials", ".config/gh", ".config/glab-cli", ".config/hub"),
    *(".npmrc", ".yarnrc.yml", ".pypirc", ".config/pip", ".cargo/credentials", ".cargo/credentials.toml"),
    *(".gem/credentials", ".m2/settings.xml", ".gradle/gradle.properties", ".nuget/NuGet", ".composer/auth.json"),
    # databases
    *(".pgpass", ".my.cnf", ".mylogin.cnf", ".mongorc.js", ".config/sqlcl"),
    # other agents, and this one's own account
    *(".claude", ".claude.json", ".config/claude", ".config/anthropic", ".codex", ".config/github-copilot", ".gemini"),
    # browsers and mail
    *(".mozilla", ".config/google-chrome", ".config/chromium", ".config/BraveSoftware", ".thunderbird"),
    # what was typed
    *(".bash_history", ".zsh_history", ".python_history", ".psql_history", ".mysql_history", ".node_repl_history"),
    *(".lesshst", ".local/share/fish/fish_history"),
)
"""Below a home folder."""

OF_THE_MACHINE = (
    *("/etc/shadow", "/etc/shadow-", "/etc/gshadow", "/etc/gshadow-", "/etc/sudoers", "/etc/sudoers.d"),
    *("/etc/ssl/private", "/etc/letsencrypt", "/etc/kubernetes", "/etc/rancher", "/etc/wireguard", "/etc/openvpn"),
    *("/etc/krb5.keytab", "/etc/NetworkManager/system-connections", "/etc/docker/key.json"),
    *("/var/lib/docker", "/var/lib/containerd", "/var/lib/kubelet", "/var/lib/cloud", "/var/spool/cron"),
    *("/var/lib/systemd/credential.secret", "/var/mail", "/var/spool/mail"),
)
"""Only root could read them, and a loop may run as root."""

HOST_KEYS = "/etc/ssh/ssh_host_*_key"

HOMES = ("/home", "/Users")
"""Folders of home folders; /root is one itself."""

SOCKETS = "/run"
"""Where daemons listen (docker, D-Bus, gpg-agent): a read-only socket can still be connected to."""

KEPT_OF_SOCKETS = (
    *("/run/systemd/resolve", "/run/resolvconf", "/run/NetworkManager/resolv.conf", "/run/connman"),
    *("/run/current-system", "/run/wrappers", "/run/opengl-driver"),
)
"""Name resolution, and the programs of NixOS."""

TEMPORARY = ("/tmp", "/var/tmp")  # noqa: S108 - they are replaced, not used
"""Shared by everybody on the machine: each session gets its own."""
