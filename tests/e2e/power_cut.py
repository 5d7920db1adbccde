"""A disk that remembers: what of it a power cut would leave. For tests as root.

    with Disk(folder, megabytes) as disk:          # ext4 on a loop device, mounted on disk.mount
        ... use disk.mount; position = disk.position() ...
        image = disk.after_cut(position, random)   # a file: the disk as that moment left it

The loop device's backing file is served by us over FUSE, so each write and each flush of the
device comes by here, in order. After a cut, all that a flush followed is there, and of what was
written since only some: such blocks may be lost, each by itself, as a drive's cache loses them.
Protocol: linux/fuse.h of the kernel, 7.31; only what one regular file needs.
"""

import ctypes
import errno
import multiprocessing
import os
import struct
import subprocess
from pathlib import Path

BLOCK = 4096
IN_HEADER = struct.Struct("<IIQQIIII")
OUT_HEADER = struct.Struct("<IiQ")
RECORD = struct.Struct("<BQI")  # kind, offset, size; then the bytes of a write
WRITE, FLUSH = 0, 1
LIBC = ctypes.CDLL(None, use_errno=True)


def mount(source, target, kind, flags, options):
    if LIBC.mount(source.encode(), str(target).encode(), kind.encode(), flags,
                  options.encode()) != 0:
        raise OSError(ctypes.get_errno(), f"mount {target}")


def unmount(target):
    LIBC.umount2(str(target).encode(), 2)  # MNT_DETACH


class Server:
    """One file of `size` bytes, the root of a FUSE file system; its writes go to `log`."""

    def __init__(self, fuse, size, log):
        self.fuse, self.size = fuse, size
        self.log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC)
        self.content = bytearray(size)

    def attributes(self):
        return struct.pack("<QQQQQQIIIIIIIIII", 1, self.size, self.size // 512, 0, 0, 0, 0, 0, 0,
                           0o100600, 1, 0, 0, 0, BLOCK, 0)

    def serve(self):
        while True:
            try:
                message = os.read(self.fuse, (1 << 20) + BLOCK * 2)
            except OSError as error:
                if error.errno in (errno.EINTR, errno.EAGAIN, errno.ENOENT):
                    continue
                return  # unmounted
            length, operation, unique, *_ = IN_HEADER.unpack_from(message)
            answer = self.answer(operation, memoryview(message)[IN_HEADER.size:length])
            if answer is None:
                continue
            code, body = (answer, b"") if isinstance(answer, int) else (0, answer)
            try:
                os.writev(self.fuse,
                          [OUT_HEADER.pack(OUT_HEADER.size + len(body), code, unique), body])
            except FileNotFoundError:
                pass  # who asked was killed meanwhile; what was asked for is done all the same

    def answer(self, operation, body):
        if operation == 26:  # INIT
            ahead = struct.unpack_from("<III", body)[2]
            return struct.pack("<IIIIHHIIHHI28x", 7, 31, ahead, 1 << 5, 12, 10, 1 << 20, 1, 256, 0,
                               0)  # BIG_WRITES, 1 MiB
        if operation in (3, 4):  # GETATTR, SETATTR
            return struct.pack("<QII", 3600, 0, 0) + self.attributes()
        if operation == 14:  # OPEN
            return struct.pack("<QII", 1, 0, 0)
        if operation == 15:  # READ
            _, offset, size = struct.unpack_from("<QQI", body)
            return bytes(self.content[offset:offset + size])
        if operation == 16:  # WRITE
            _, offset, size = struct.unpack_from("<QQI", body)
            data = body[40:40 + size]
            self.content[offset:offset + size] = data
            os.writev(self.log, [RECORD.pack(WRITE, offset, size), data])
            return struct.pack("<II", size, 0)
        if operation == 20:  # FSYNC
            os.write(self.log, RECORD.pack(FLUSH, 0, 0))
            return b""
        if operation in (18, 25):  # RELEASE, FLUSH (close)
            return b""
        if operation == 17:  # STATFS
            return struct.pack("<QQQQQIIIIQQQ", 0, 0, 0, 1, 0, BLOCK, 255, BLOCK, 0, 0, 0, 0)
        if operation in (2, 36, 42):  # FORGET, INTERRUPT, BATCH_FORGET: no answer
            return None
        return -errno.ENOSYS


class Disk:
    def __init__(self, folder, megabytes):
        self.folder, self.size = Path(folder), megabytes << 20
        self.mount = self.folder / "disk"
        self.log = self.folder / "writes.log"
        self.file = self.folder / "device"
        self.loop, self.server = None, None

    def __enter__(self):
        self.mount.mkdir()
        self.file.touch()
        try:
            self.start()
            subprocess.run(["mke2fs", "-q", "-t", "ext4", "-E", "nodiscard", self.loop], check=True)
            mount(self.loop, self.mount, "ext4", 0, "nodiscard")
        except BaseException:
            self.close()
            raise
        return self

    def start(self):
        fuse = os.open("/dev/fuse", os.O_RDWR)
        mount("power-cut", self.file, "fuse", 0,
              f"fd={fuse},rootmode=100600,user_id=0,group_id=0,max_read={1 << 20}")
        server = Server(fuse, self.size, self.log)
        self.server = multiprocessing.get_context("fork").Process(target=server.serve, daemon=True)
        self.server.start()
        os.close(server.fuse)
        os.close(server.log)
        made = subprocess.run(["losetup", "--find", "--show", self.file], check=True,
                              capture_output=True, text=True)
        self.loop = made.stdout.strip()

    def position(self):
        """Now: everything that has been flushed by now is before it."""
        return self.log.stat().st_size

    def close(self):
        unmount(self.mount)
        if self.loop:
            subprocess.run(["losetup", "-d", self.loop], check=False)
        unmount(self.file)
        if self.server:
            self.server.join(5)
            self.server.kill()
            self.server.join()

    def __exit__(self, *_):
        self.close()

    def after_cut(self, position, random):
        """An image: what is left when the power goes at that position, by the luck of `random`."""
        image = self.folder / "cut.img"
        image.unlink(missing_ok=True)  # what is mounted of the one before may linger, and write
        with self.log.open("rb") as log, image.open("w+b") as file:
            file.truncate(self.size)
            unflushed = []
            while log.tell() + RECORD.size <= position:
                kind, offset, size = RECORD.unpack(log.read(RECORD.size))
                if kind == FLUSH:
                    for at, data in unflushed:
                        file.seek(at)
                        file.write(data)
                    unflushed = []
                    continue
                data = log.read(size)
                unflushed += [(offset + i, data[i:i + BLOCK]) for i in range(0, size, BLOCK)]
            share = random.choice((0, 0.5, 0.9, 1))
            for at, data in unflushed:
                if random.random() < share:
                    file.seek(at)
                    file.write(data)
        return image

    @staticmethod
    def mounted(image, where):
        """As a machine that starts again does it: the journal is replayed."""
        made = subprocess.run(["losetup", "--find", "--show", image], check=True,
                              capture_output=True, text=True)
        loop = made.stdout.strip()
        try:
            mount(loop, where, "ext4", 0, "")
        finally:
            subprocess.run(["losetup", "-d", loop], check=False)  # goes with the mount
