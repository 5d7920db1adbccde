"""The disks of the test machine (run.py), kept in CACHE/vm.

Debian's kernel package, unpacked; a small Debian by mmdebstrap, as an ext4 image (mke2fs -d: no
loop device is needed) made anew when what goes into it has changed; the initial RAM disk that
mounts it.
"""

import hashlib
import inspect
import os
import re
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path

DEBIAN = ["busybox-static", "kmod", "python3", "e2fsprogs", "uidmap", "procps", "iproute2",
          "util-linux", "attr", "mmdebstrap"]
# In the initial RAM disk: what the root's disk takes. The rest is loaded from that.
BOOT_MODULES = ["virtio_pci", "virtio_blk", "crc32c_generic", "ext4"]
MODULE_FOLDERS = ["kernel/fs/ext4", "kernel/fs/jbd2", "kernel/fs/mbcache.ko", "kernel/fs/overlayfs",
                  "kernel/drivers/virtio", "kernel/drivers/block", "kernel/lib", "kernel/crypto",
                  "kernel/arch/x86/crypto"]



def run(*command, **options):
    return subprocess.run([str(part) for part in command], check=True, text=True,
                          stdin=subprocess.DEVNULL, **options)


def say(text):
    print(text, flush=True)


def fetch_kernel(cache):
    """The newest kernel package of this Debian's lists; its unpacked folder."""
    depends = run("apt-cache", "depends", "linux-image-amd64", capture_output=True).stdout
    package = re.search(r"Depends: (linux-image-\S+)", depends)[1]
    folder = cache / package
    if not (folder / "boot").exists():
        say(f"vm: downloading {package}")
        with tempfile.TemporaryDirectory(dir=cache) as work:
            run("apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", package, cwd=work,
                stdout=subprocess.DEVNULL)
            run("dpkg-deb", "-x", next(Path(work).glob("*.deb")), f"{work}/root")
            os.rename(f"{work}/root", folder)
    return folder


def libraries(bin_folder, programs):
    """The Debian packages of the shared libraries that our programs are linked to."""
    paths = set()
    for name in programs:
        said = subprocess.run(["ldd", bin_folder / name], capture_output=True, text=True,
                              check=False).stdout  # a static one is none's failure
        paths |= {str(Path(path).resolve()) for path in re.findall(r"=> (/\S+)", said)}
    names = set()
    for path in sorted(paths):
        said = run("dpkg", "-S", re.sub("^/usr(?=/lib)", "*", path), capture_output=True).stdout
        names.add(said.split(":")[0])
    return sorted(names)


def copy_modules(kernel, root):
    version = next((kernel / "lib/modules").iterdir()).name
    from_, to = kernel / "lib/modules" / version, root / "lib/modules" / version
    to.mkdir(parents=True)
    for name in ["modules.order", "modules.builtin", "modules.builtin.modinfo"]:
        shutil.copy(from_ / name, to)
    for name in MODULE_FOLDERS:
        target = to / name
        target.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if (from_ / name).is_dir() else shutil.copy)(from_ / name, target)
    run("chroot", root, "depmod", "-a", version)
    return version


def cpio_entry(name, mode, data=b""):
    """One entry of a `newc` archive (Linux Documentation/driver-api/early-userspace)."""
    fields = [0, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0]
    out = b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0"
    out += b"\0" * (-len(out) % 4) + data
    return out + b"\0" * (-len(out) % 4)


def initial_disk(root, version):
    """Loads the disk's drivers, mounts it, goes on with guest.sh."""
    shown = run("chroot", root, "modprobe", "-S", version, "-a", "--show-depends", *BOOT_MODULES,
                capture_output=True).stdout
    modules = list(dict.fromkeys(re.findall(r"^insmod (\S+)", shown, re.M)))
    script = "#!/bin/busybox sh\n"
    script += "".join(f"busybox insmod /{Path(module).name}\n" for module in modules)
    script += ("busybox mount -t devtmpfs dev /dev\n"
               "busybox mount -t ext4 /dev/vda /root\n"
               "busybox mount -t ext4 -o ro /dev/vdb /root/tare\n"
               "exec busybox switch_root /root /tare/guest.sh\n")
    archive = b"".join(cpio_entry(name, stat.S_IFDIR | 0o755) for name in ("bin", "dev", "root"))
    archive += cpio_entry("bin/busybox", stat.S_IFREG | 0o755, (root / "bin/busybox").read_bytes())
    for module in modules:
        data = (root / module.lstrip("/")).read_bytes()
        archive += cpio_entry(Path(module).name, stat.S_IFREG | 0o644, data)
    archive += cpio_entry("init", stat.S_IFREG | 0o755, script.encode())
    return archive + cpio_entry("TRAILER!!!", 0)


def add_people(root):
    """The service's user, and two ordinary people: one with subordinate ids, one without."""
    for line in ("tare:x:990:990::/nonexistent:/usr/sbin/nologin",
                 "ann:x:1001:1001::/home/ann:/bin/sh", "bob:x:1002:1002::/home/bob:/bin/sh"):
        name, _, number, _, _, home, _ = line.split(":")
        with open(root / "etc/passwd", "a", encoding="utf-8") as file:
            file.write(line + "\n")
        with open(root / "etc/group", "a", encoding="utf-8") as file:
            file.write(f"{name}:x:{number}:\n")
        if home.startswith("/home"):
            (root / home.lstrip("/")).mkdir(mode=0o755)
            os.chown(root / home.lstrip("/"), int(number), int(number))
    for name in ("subuid", "subgid"):
        (root / "etc" / name).write_text("ann:100000:65536\n")
    (root / "etc/hostname").write_text("tare-vm\n")


def make_disk(folder, image, megabytes):
    making = image.with_suffix(".new")
    making.unlink(missing_ok=True)
    run("mke2fs", "-q", "-t", "ext4", "-E", "root_owner=0:0", "-d", folder, making,
        f"{megabytes}m", stdout=subprocess.DEVNULL)
    os.rename(making, image)


def debian(cache, kernel, packages):
    """root.ext4 and its initial RAM disk, made anew when what goes into them has changed."""
    steps = [inspect.getsource(step) for step in (copy_modules, initial_disk, add_people)]
    recipe = [str(kernel), *DEBIAN, *packages, *MODULE_FOLDERS, *BOOT_MODULES, *steps]
    key = hashlib.sha256("\n".join(recipe).encode()).hexdigest()[:16]
    disk, ram = cache / f"root-{key}.ext4", cache / f"initrd-{key}"
    if disk.exists() and ram.exists():
        return disk, ram
    tar_key = hashlib.sha256("\n".join(DEBIAN + packages).encode()).hexdigest()[:16]
    tar = cache / f"debian-{tar_key}.tar"
    for old in [*cache.glob("root-*"), *cache.glob("initrd-*"), *cache.glob("debian-*")]:
        if old != tar:
            old.unlink()
    if not tar.exists():
        say("vm: making a Debian of " + str(len(DEBIAN) + len(packages)) + " packages, once")
        with open(cache / "mmdebstrap.log", "w", encoding="utf-8") as log:
            run("mmdebstrap", "--variant=minbase", "--include=" + ",".join(DEBIAN + packages),
                '--aptopt=Acquire::Languages "none"', "bookworm", tar.with_suffix(".new"),
                "--format=tar", stdout=log, stderr=log)
        os.rename(tar.with_suffix(".new"), tar)
    with tempfile.TemporaryDirectory(dir=cache) as work:
        root = Path(work)
        run("tar", "-C", root, "--numeric-owner", "--exclude=./dev/*", "-xf", tar)
        version = copy_modules(kernel, root)
        add_people(root)
        (root / "tare").mkdir()
        ram.write_bytes(initial_disk(root, version))
        root.chmod(0o755)
        make_disk(root, disk, 3072)
    return disk, ram
