"""Volumes as the kubelet makes them."""

import itertools
import os
import pathlib

_VERSIONS = itertools.count()


def empty_dir(folder):
    """An emptyDir: anybody in the pod may write to it."""
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    return folder


def projected(folder, files):
    """A ConfigMap or Secret: files are links through `..data`, which is swapped as a whole."""
    folder.mkdir(parents=True)
    folder.chmod(0o755)
    replace(folder, files)
    return folder


def replace(folder, files):
    """Writes a new version of all files and swaps to it."""
    version = folder / f"..version_{next(_VERSIONS)}"
    for name, data in files.items():
        path = version / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        path.chmod(0o644)
    for parent, _, _ in os.walk(version):
        os.chmod(parent, 0o755)
    old = os.readlink(folder / "..data") if (folder / "..data").is_symlink() else None
    link = folder / "..data_new"
    link.symlink_to(version.name)
    link.rename(folder / "..data")
    for top in {pathlib.PurePath(name).parts[0] for name in files}:
        if not (folder / top).is_symlink():
            (folder / top).symlink_to(f"..data/{top}")
    if old:
        for parent, _, names in os.walk(folder / old, topdown=False):
            for name in names:
                os.unlink(os.path.join(parent, name))
            os.rmdir(parent)
