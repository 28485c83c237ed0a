"""PostgreSQL in a directory: a primary, and a synchronous standby of it. Run by a user who is not root, as it wants."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

# Where Debian has the programs that are for no user's PATH.
PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))

SETTINGS = """
listen_addresses = ''
unix_socket_directories = '{directory}'
wal_level = replica
wal_keep_size = '256MB'
max_wal_senders = 8
hot_standby = on
max_connections = 60
"""


def programs():
    """The directory of initdb and the rest, or None if PostgreSQL is not there."""
    found = shutil.which("initdb")
    return Path(found).resolve().parent if found else (PROGRAMS[-1] if PROGRAMS else None)


def unprivileged():
    """What stands before a command so that root does not run it."""
    if os.geteuid() != 0:
        return []
    # In a user namespace of somebody else's there is no other user to be: a namespace in it has one.
    if Path("/proc/self/uid_map").read_text().split()[2] == "1":
        return ["unshare", "--user", "--map-user=65534", "--map-group=65534"]
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"]


class Database:
    """A primary in one of two directories, and a standby in the other one if it is wanted."""

    def __init__(self, directory, standby=True):
        self.directory = Path(directory)
        self.bin, self.has_standby, self.primary = programs(), standby, 0
        if self.bin is None:
            raise SystemExit("no initdb: install postgresql (./scripts/setup)")
        if unprivileged()[:1] == ["setpriv"]:
            shutil.chown(self.directory, "postgres", "postgres")
        self.call("initdb", "--auth=trust", "--username=wmms", "--encoding=UTF8", "--pgdata", self.data(0))
        with open(self.data(0) / "postgresql.conf", "a") as settings:
            settings.write(SETTINGS.format(directory=self.directory))
        self.start(0)
        if standby:
            self.make_standby()

    def data(self, which):
        return self.directory / f"data{which}"

    def port(self, which):
        return 5432 + which

    def connection(self):
        """How both are connected to, whichever is the primary."""
        ports = [self.port(which) for which in range(2 if self.has_standby else 1)]
        return f"host={','.join([str(self.directory)] * len(ports))} port={','.join(map(str, ports))} user=wmms dbname=postgres"

    def call(self, program, *arguments):
        command = [*unprivileged(), self.bin / program, *arguments]
        ended = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd=self.directory)
        if ended.returncode != 0:
            logs = "".join(log.read_text()[-2000:] for log in sorted(self.directory.glob("log*")))
            raise SystemExit(f"{program}: {ended.stdout}{ended.stderr}{logs}")
        return ended.stdout

    def start(self, which):
        # What a daemon writes goes to its log: a pipe would be open as long as it runs.
        options = f"-p {self.port(which)} -c cluster_name=standby"
        self.call("pg_ctl", "start", "--wait", "-D", self.data(which), "-l", self.directory / f"log{which}", "-o", options)

    def sql(self, text):
        socket = ("-h", self.directory, "-p", str(self.port(self.primary)), "-U", "wmms", "-d", "postgres")
        return self.call("psql", "--no-psqlrc", "--quiet", "--tuples-only", "--no-align", *socket, "-c", text).strip()

    def two_copies(self, wanted):
        """Whether a commit waits for the standby."""
        self.sql(f"ALTER SYSTEM SET synchronous_standby_names = '{'standby' if wanted else ''}'")
        self.sql("SELECT pg_reload_conf()")

    def make_standby(self):
        """A standby of the primary in the other directory; returns when nothing is acknowledged without it."""
        which = 1 - self.primary
        shutil.rmtree(self.data(which), ignore_errors=True)
        # Of a server that was killed: whoever waits for orphans may not have done so yet, and then its lock counts.
        for left in self.directory.glob(f".s.PGSQL.{self.port(which)}*"):
            left.unlink()
        socket = ("-h", self.directory, "-p", str(self.port(self.primary)), "-U", "wmms")
        self.call("pg_basebackup", *socket, "-D", self.data(which), "--wal-method=stream", "--checkpoint=fast", "--write-recovery-conf")
        self.start(which)
        self.two_copies(True)
        wanted = "SELECT count(*) FROM pg_stat_replication WHERE application_name = 'standby' AND sync_state = 'sync'"
        end = time.monotonic() + 60
        while self.sql(wanted) != "1":
            if time.monotonic() > end:
                raise SystemExit("the standby does not become synchronous")
            time.sleep(0.05)

    def processes(self, which):
        """The server and its children."""
        server = int((self.data(which) / "postmaster.pid").read_text().split()[0])
        children = subprocess.run(["ps", "-o", "pid=", "--ppid", str(server)], capture_output=True, text=True).stdout
        return [server, *map(int, children.split())]

    def kill_primary(self):
        """kill -9 of the server and of all that it started."""
        for process in self.processes(self.primary):
            try:
                os.kill(process, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def promote(self):
        """The standby is the primary from now on, and alone."""
        which = 1 - self.primary
        self.call("pg_ctl", "promote", "--wait", "-D", self.data(which))
        self.primary = which
        # Its settings are those of the primary that it was made from, before that waited for a standby.
        self.two_copies(False)

    def stop(self):
        for which in range(2):
            if (self.data(which) / "postmaster.pid").exists():
                command = [*unprivileged(), self.bin / "pg_ctl", "stop", "-m", "immediate", "-D", self.data(which)]
                subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, cwd=self.directory)
