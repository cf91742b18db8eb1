"""A real Slurm on this machine: munged, slurmctld and one slurmd per node, in a temporary folder.

Debian: apt-get install slurm-wlm munge. Nothing of it outlives the tests.
"""

import os
import pwd
import re
import secrets
import shutil
import socket
import subprocess
import time

DAEMONS = ("munged", "slurmctld", "slurmd")
CONFIG = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
SlurmctldPort={port}
AuthType=auth/munge
AuthInfo=socket={root}/munge.socket
StateSaveLocation={root}/state
SlurmdSpoolDir={root}/spool-%n
SlurmctldPidFile={root}/slurmctld.pid
SlurmdPidFile={root}/slurmd-%n.pid
SlurmctldLogFile={root}/slurmctld.log
SlurmdLogFile={root}/slurmd-%n.log
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
GresTypes=gpu
MinJobAge=3600
ReturnToService=2
"""
NODE = (
    "NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port}"
    " CPUs=2 RealMemory=64000 Gres=gpu:1\n"
)


def missing():
    """Why there can be no Slurm here; None where there can."""
    path = f"{os.environ['PATH']}{os.pathsep}/usr/sbin"
    lacking = [name for name in DAEMONS if not shutil.which(name, path=path)]
    return f"no {', '.join(lacking)}: apt-get install slurm-wlm munge" if lacking else None


def free_ports(count):
    """Ports of the loopback interface that nobody listens at."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


class Slurm:
    """A cluster of `nodes`, each with two CPUs and one GPU that is none (/dev/null)."""

    def __init__(self, root, *nodes):
        self.root, self.nodes, self.daemons = root, nodes, []
        self.environment = os.environ | {"SLURM_CONF": str(root / "slurm.conf")}
        folders = [root / "bin", self.environment["PATH"], "/usr/sbin"]
        self.environment["PATH"] = os.pathsep.join(map(str, folders))

    def __enter__(self):
        self.root.chmod(0o755)
        (self.root / "state").mkdir()
        self.find_configuration("srun")
        key = self.root / "munge.key"
        key.write_bytes(secrets.token_bytes(128))
        key.chmod(0o400)
        host, user = socket.gethostname().split(".")[0], pwd.getpwuid(os.getuid()).pw_name
        port, *ports = free_ports(1 + len(self.nodes))
        config = CONFIG.format(host=host, user=user, port=port, root=self.root)
        for name, own in zip(self.nodes, ports, strict=True):
            config += NODE.format(name=name, host=host, port=own)
        config += "PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP\n"
        (self.root / "slurm.conf").write_text(config)
        (self.root / "gres.conf").write_text("Name=gpu Count=1 File=/dev/null\n")
        names = ("socket", "seed", "log", "pid")
        socket_, seed, log, pid = (self.root / f"munge.{name}" for name in names)
        try:
            self.start("munged", "--foreground", "--force", f"--key-file={key}",
                       f"--socket={socket_}", f"--seed-file={seed}", f"--log-file={log}",
                       f"--pid-file={pid}")  # fmt: skip
            self.start("slurmctld", "-D", "-i")
            for name in self.nodes:
                self.start("slurmd", "-D", "-N", name)
            self.wait()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.run("scancel", "--user", pwd.getpwuid(os.getuid()).pw_name)
        end = time.monotonic() + 30  # a job's own process would wait for slurmctld for ever
        while self.run("squeue", "-h").strip() and time.monotonic() < end:
            time.sleep(0.5)
        for daemon in reversed(self.daemons):
            daemon.terminate()
        for daemon in reversed(self.daemons):
            try:
                daemon.wait(timeout=15)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()

    def start(self, *command):
        printed = (self.root / "daemons.log").open("a")
        self.daemons.append(subprocess.Popen(
            command, env=self.environment, stdin=subprocess.DEVNULL, stdout=printed, stderr=printed,
        ))  # fmt: skip
        time.sleep(1)

    def find_configuration(self, name):
        """The plugin drops SLURM_CONF within jobs; elsewhere the file lies in /etc/slurm."""
        shim = self.root / "bin" / name
        shim.parent.mkdir()
        config = self.root / "slurm.conf"
        shim.write_text(f'#!/bin/sh\nSLURM_CONF={config} exec {shutil.which(name)} "$@"\n')
        shim.chmod(0o755)

    def wait(self):
        """Until every node is idle, or a daemon has ended."""
        while all(daemon.poll() is None for daemon in self.daemons):
            if self.run("sinfo", "-h", "-N", "-o", "%T").split() == ["idle"] * len(self.nodes):
                return
            time.sleep(0.5)
        raise OSError((self.root / "daemons.log").read_text()[-2000:] or "no node became idle")

    def run(self, *command):
        """What a command of Slurm prints; nothing where it fails."""
        return subprocess.run(
            command, env=self.environment, capture_output=True, text=True, check=False
        ).stdout

    def jobs(self):
        """Every job so far, oldest first: its fields as scontrol shows them."""
        lines = self.run("scontrol", "show", "jobs", "--oneliner").splitlines()
        found = [dict(re.findall(r"(\w+)=(\S*)", line)) for line in lines if "JobId=" in line]
        return sorted(found, key=lambda job: int(job["JobId"]))
