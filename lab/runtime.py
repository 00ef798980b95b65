"""containerd, and its store of images.

Importing the images takes longer than everything else in starting a lab. So they are imported once, when they are
built, into a store in the cache, and each lab starts from a copy of it made of hard links: containerd never writes into
an image's files, only into its databases, and those are copied.
"""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import time
from pathlib import Path
from string import Template

from lab.artefacts import Artefact
from lab.errors import LabError
from lab.namespaces import Namespaces
from lab.process import Processes
from lab.run import run
from lab.wait import wait_for

NAME = "containerd"
SOCKET = "/run/containerd/lab.sock"
CONFIG = Path(__file__).parent / "manifests/containerd.toml"


class Containerd:
    """The container runtime inside of namespaces; `folder` holds its files."""

    def __init__(self, namespaces: Namespaces, folder: Path) -> None:
        self.namespaces, self.processes, self.folder = namespaces, namespaces.processes, folder

    def start(self, root: Path) -> None:
        """Start it with this store unless it runs, and return when it answers."""
        config = self.folder / "containerd.toml"
        config.write_text(Template(CONFIG.read_text()).substitute(root=root, folder=self.folder))
        self.processes.start(NAME, [*self.namespaces.enter(), "containerd", f"--config={config}"])
        if not wait_for(self._answers, 30):
            raise LabError("containerd did not answer in 30 s", self.processes.log(NAME))

    def has(self, *, name: str = "", digest: str = "") -> bool:
        """Return whether there is an image with this name, or this digest of its manifest."""
        wanted = f"name=={name}" if name else f"target.digest=={digest}"
        return bool(self._ctr("images", "list", "-q", wanted).strip())

    def signal(self, container: str, name: str) -> None:
        """Send a signal to a container's first process."""
        self._ctr("tasks", "kill", f"--signal={name}", container)

    def signal_all(self, name: str) -> None:
        """Send a signal to the first process of every container that is there to get it."""
        lines = [line.split() for line in self._ctr("tasks", "list").splitlines()[1:]]
        pids = [pid for _, pid, state in lines if state == "RUNNING"]
        if pids:
            # one that has ended since it was listed needs none, and must not keep the others from theirs
            run([*self.namespaces.enter(), "sh", "-c", f'kill -{name} "$@" || true', "kill", *pids])

    def load(self, archive: Path) -> None:
        """Import an archive of images."""
        self._ctr("images", "import", str(archive))

    def finish(self) -> None:
        """Let it end by itself: only then are its databases written to the end."""
        if (pid := self.namespaces.inner(NAME)) is not None:
            os.kill(pid, signal.SIGTERM)
        if not wait_for(lambda: self.processes.record(NAME) is None, 15):
            raise LabError("containerd did not stop in 15 s", self.processes.log(NAME))

    def _ctr(self, *args: str) -> str:
        return run([*self.namespaces.enter(), "ctr", f"--address={SOCKET}", "--namespace=k8s.io", *args])

    def _answers(self) -> bool:
        self.processes.check(NAME)
        try:
            self._ctr("plugins", "list", "-q")
        except LabError:
            time.sleep(0.05)
            return False
        return True


def image_store(name: str, archives: tuple[Artefact, ...], holder: Artefact, cache: Path) -> Artefact:
    """Return the artefact of a store that holds these archives."""

    def fill(target: Path) -> None:
        shutil.rmtree(target, ignore_errors=True)
        with tempfile.TemporaryDirectory() as folder:
            namespaces = Namespaces(Processes(Path(folder)), str(cache / holder.path))
            namespaces.open()
            try:
                containerd = Containerd(namespaces, Path(folder))
                containerd.start(target)
                for archive in archives:
                    containerd.load(cache / archive.path)
                containerd.finish()
            finally:
                namespaces.close()

    return Artefact(f"images/{name}", (CONFIG.read_text(),), fill, (holder, *archives))


def copy_store(store: Path, target: Path) -> None:
    """Give a lab a store of its own, for the price of its databases."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(store, target, symlinks=True, copy_function=_link)


def _link(source: str, target: str) -> None:
    if source.endswith(".db"):
        shutil.copy2(source, target)
        return
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:  # another file system
        shutil.copy2(source, target)
