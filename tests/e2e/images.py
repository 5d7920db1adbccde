"""Images for end-to-end tests, made by hand so that they can be wrong in every way: layers as tars,
OCI layouts and `docker save` archives of them. Nothing here uses our own code.
"""

import gzip
import hashlib
import io
import json
import os
import subprocess
import tarfile

MTIME = 1_700_000_000
OCI = "application/vnd.oci.image."
LAYER, CONFIG = OCI + "layer.v1.tar", OCI + "config.v1+json"
MANIFEST, INDEX = OCI + "manifest.v1+json", OCI + "index.v1+json"
LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'
MACHINE = {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]


def entry(name, content=b"", kind=tarfile.REGTYPE, mode=None, link="", uid=0, gid=0, mtime=MTIME,
          xattrs=None, size=None):
    """A member of a tar and its content."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mtime, info.uid, info.gid = kind, link, mtime, uid, gid
    info.mode = mode if mode is not None else 0o755 if kind == tarfile.DIRTYPE else 0o644
    info.size = len(content) if size is None else size
    info.pax_headers = {f"SCHILY.xattr.{key}": value for key, value in (xattrs or {}).items()}
    return info, content


def sparse(name, size, pieces, **more):
    """A file of so many bytes with these {offset: content} and else holes, in the sparse form 1.0
    of GNU tar's pax archives."""
    numbers = [len(pieces)]
    for offset in sorted(pieces):
        numbers += [offset, len(pieces[offset])]
    table = "".join(f"{n}\n" for n in numbers).encode()
    content = table.ljust(-(-len(table) // 512) * 512, b"\0")
    for offset in sorted(pieces):
        content += pieces[offset]
    info, _ = made = entry(name, content, **more)
    info.pax_headers |= {"GNU.sparse.major": "1", "GNU.sparse.minor": "0",
                         "GNU.sparse.name": name, "GNU.sparse.realsize": str(size)}
    return made


def folder(name, **more):
    return entry(name, kind=tarfile.DIRTYPE, **more)


def symlink(name, target, **more):
    return entry(name, kind=tarfile.SYMTYPE, link=target, **more)


def hardlink(name, target, **more):
    return entry(name, kind=tarfile.LNKTYPE, link=target, **more)


def tar_of(*entries):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT,
                      errors="surrogateescape") as tar:
        for info, content in entries:
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


def tree_tar(files):
    """{path: content, or (mode, content)} with the folders on the way."""
    made, entries = set(), []
    for path, value in sorted(files.items()):
        mode, content = (0o644, value) if isinstance(value, bytes) else value
        parts = path.split("/")[:-1]
        for i in range(len(parts)):
            above = "/".join(parts[:i + 1])
            if above not in made:
                made.add(above)
                entries.append(folder(above))
        entries.append(entry(path, content, mode=mode))
    return tar_of(*entries)


def digest(content):
    return "sha256:" + hashlib.sha256(content).hexdigest()


def zstd(content):
    return subprocess.run(["zstd", "-q", "-c"], input=content, capture_output=True,
                          check=True).stdout


PACKERS = {"": lambda content: content, "+gzip": lambda content: gzip.compress(content, mtime=0),
           "+zstd": zstd}


class Layout:
    """An OCI layout as files in memory."""

    def __init__(self):
        self.files = {"oci-layout": LAYOUT}
        self.manifests = []

    def blob(self, content, kind, **more):
        """Its descriptor."""
        self.files["blobs/sha256/" + hashlib.sha256(content).hexdigest()] = content
        return {"mediaType": kind, "digest": digest(content), "size": len(content), **more}

    def image(self, layers, config=None, packing="", architecture=MACHINE, change=None, **more):
        """The descriptor of an image's manifest; `change` may spoil the documents before."""
        document = {"architecture": architecture, "os": "linux", "config": config or {},
                    "rootfs": {"type": "layers", "diff_ids": [digest(one) for one in layers]}}
        manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "layers": [
            self.blob(PACKERS[packing](one), LAYER + packing) for one in layers]}
        if change:
            change(manifest, document)
        manifest.setdefault("config", self.blob(json.dumps(document).encode(), CONFIG))
        return self.blob(json.dumps(manifest).encode(), MANIFEST, **more)

    def index(self, manifests, **more):
        content = {"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests, **more}
        return json.dumps(content).encode()

    def archive(self):
        self.files.setdefault("index.json", self.index(self.manifests))
        return tar_of(*(entry(name, content) for name, content in self.files.items()))

    def write(self, path):
        self.files.setdefault("index.json", self.index(self.manifests))
        for name, content in self.files.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(content)


def oci_archive(layers, config=None, **more):
    layout = Layout()
    layout.manifests.append(layout.image(layers, config, **more))
    return layout.archive()


def docker_archive(layers, config=None, tags=None):
    document = json.dumps({
        "architecture": MACHINE, "os": "linux", "config": config or {},
        "rootfs": {"type": "layers", "diff_ids": [digest(one) for one in layers]}}).encode()
    name = hashlib.sha256(document).hexdigest() + ".json"
    names = [f"{i}/layer.tar" for i in range(len(layers))]
    manifest = [{"Config": name, "RepoTags": tags, "Layers": names}]
    return tar_of(*(entry(*one) for one in zip(names, layers)), entry(name, document),
                  entry("manifest.json", json.dumps(manifest).encode()))
