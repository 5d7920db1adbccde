"""Environments to and from a real registry: Debian's docker-registry on this machine, with and
without passwords and TLS; skopeo is the other client."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import unittest

import harness
import images
from images import entry
from images_test import ImagesTest, tool

NEEDED = ("docker-registry", "htpasswd", "openssl", "skopeo")
MISSING = [name for name in NEEDED if not shutil.which(name)]
USER, PASSWORD = "me", "s3cret-canary-9f2c"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class RegistryTest(ImagesTest):
    LAYERS = [images.tree_tar({"a/b": b"b", "a/c": b"c", "bin/x": (0o4755, b"x" * 3_000_000)}),
              images.tar_of(entry("a/.wh.b"), entry("a/d", b"d"))]
    CONFIG = {"Entrypoint": ["/bin/x"], "Env": ["A=b"], "User": "0"}

    @contextlib.contextmanager
    def registry(self, protected=False, tls=False):
        """Its address."""
        port, folder = free_port(), self.folder / "registry"
        folder.mkdir(exist_ok=True)
        config = {"version": "0.1", "log": {"level": "error", "accesslog": {"disabled": True}},
                  "storage": {"filesystem": {"rootdirectory": str(folder / "data")}},
                  "http": {"addr": f"127.0.0.1:{port}", "secret": "x"}}
        if protected:
            hashed = tool("htpasswd", "-Bbn", USER, PASSWORD)
            (folder / "htpasswd").write_text(hashed)
            config["auth"] = {"htpasswd": {"realm": "r", "path": str(folder / "htpasswd")}}
        if tls:
            self.make_certificate(folder)
            config["http"]["tls"] = {"certificate": str(folder / "cert"),
                                     "key": str(folder / "key")}
        (folder / "config.yml").write_text(json.dumps(config))
        with subprocess.Popen(["docker-registry", "serve", folder / "config.yml"],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            try:
                harness.wait_until(lambda: self.listens(port), "docker-registry")
                yield f"127.0.0.1:{port}"
            finally:
                process.terminate()

    @staticmethod
    def make_certificate(folder):
        tool("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
             "-nodes", "-keyout", folder / "key", "-out", folder / "cert", "-days", "2", "-subj",
             "/CN=registry", "-addext", "subjectAltName=IP:127.0.0.1")

    @staticmethod
    def listens(port):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    def environment(self):
        return self.imported(images.oci_archive(self.LAYERS, self.CONFIG), "mine")

    def pulled(self, image, name, *options):
        made = self.home.must("env", "pull", image, "--name", name, *options, "--json")
        self.addCleanup(self.home.tare, "env", "rm", name)
        return json.loads(made.stdout)

    def credentials(self, text=f"{USER}:{PASSWORD}\n", mode=0o600):
        path = self.folder / "credentials"
        path.write_text(text)
        path.chmod(mode)
        return path


@unittest.skipIf(MISSING, f"not installed: {', '.join(MISSING)}")
class Registries(RegistryTest):
    def test_an_environment_comes_back_from_a_registry_with_the_same_digest(self):
        mine = self.environment()
        with self.registry() as at:
            image = f"{at}/team/app:1"
            said = self.home.must("env", "push", "mine", image).stderr.decode()
            self.assertIn(f"{image}@sha256:", said)
            back = self.pulled(image, "back")
            self.assertEqual((back["digest"], back["layers"]), (mine["digest"], mine["layers"]))
            self.assertEqual((back["source"], back["state"]), (f"oci:{image}", "ready"))
            digest = said.split("@")[-1].split()[0]
            fixed = self.pulled(f"{at}/team/app@{digest}", "fixed")
            self.assertTrue(fixed["reproducible"])
            again = self.home.must("env", "push", "mine", f"{at}/team/app:2").stderr.decode()
            self.assertEqual(again.count("which it has"), 2, "no blob is sent twice")
            third = self.home.must("env", "push", "mine", f"{at}/team/app:3", "--json").stdout
            pushed = json.loads(third)
            self.assertEqual((pushed["image"], pushed["digest"]), (f"{at}/team/app:3", digest))
            shown = self.home.must("ps", "-a").stdout.decode()
            for command in (f"tare env push mine {at}/team/app:3",
                            f"tare env pull {image} --name back"):
                self.assertIn(command, shown)
            self.assertNotIn("set -eu", shown)

    def test_skopeo_reads_what_we_push_and_we_read_what_it_pushes(self):
        mine = self.environment()
        with self.registry() as at:
            self.home.must("env", "push", "mine", f"{at}/a:1")
            tool("skopeo", "copy", "--src-tls-verify=false", f"docker://{at}/a:1",
                 f"oci-archive:{self.folder}/from")
            self.assertEqual(self.imported(self.folder / "from", "theirs")["digest"],
                             mine["digest"])
            # On its way there it packs the layers, and with --format makes Docker's documents.
            for kind in ("oci", "v2s2"):
                tool("skopeo", "copy", "--dest-tls-verify=false", "--format", kind,
                     f"oci-archive:{self.folder}/from", f"docker://{at}/{kind}:1")
                self.assertEqual(self.pulled(f"{at}/{kind}:1", f"p-{kind}")["digest"],
                                 mine["digest"])

    def test_tls_and_a_password(self):
        mine = self.environment()
        with self.registry(protected=True, tls=True) as at:
            image = f"{at}/a:1"
            # As JSON it is longer than a pipe: tared waits for it without stopping.
            ca = self.file("ca", b"\x01\n" * 15_000 + (self.folder / "registry/cert").read_bytes())
            trusted = ("--ca", ca)
            path = self.credentials()
            for options, words in (((), "certificate"), (trusted, "--credentials FILE"),
                                   ((*trusted, "--credentials", self.credentials("me:no\n")),
                                    "may be wrong")):
                result = self.home.tare("env", "push", "mine", image, *options)
                self.assertNotEqual(result.returncode, 0, options)
                self.assertIn(words, result.stderr.decode())
            path = self.credentials()
            self.home.must("env", "push", "mine", image, *trusted, "--credentials", path)
            self.assertEqual(self.pulled(image, "back", *trusted, "--credentials", path)["digest"],
                             mine["digest"])
            self.home.must("env", "pull", image, "--name", "piped", *trusted, "--credentials", "-",
                           data=f"{USER}:{PASSWORD}\n".encode())
            self.addCleanup(self.home.tare, "env", "rm", "piped")
        self.nothing_kept(PASSWORD.encode())

    def nothing_kept(self, secret):
        """Neither in a record or log, nor in a file of the home."""
        self.home.down()
        try:
            for top, _, files in os.walk(self.home.path):
                if "work" in os.path.relpath(top, self.home.path).split(os.sep):
                    continue
                for name in files:
                    path = os.path.join(top, name)
                    if os.path.isfile(path) and not os.path.islink(path):
                        with open(path, "rb") as file:
                            self.assertNotIn(secret, file.read(), path)
        finally:
            self.home.up()

    def test_credentials_that_others_may_read_are_refused(self):
        self.environment()
        result = self.home.tare("env", "push", "mine", "127.0.0.1:1/a", "--credentials",
                                self.credentials(mode=0o644))
        self.assert_status(result, 77)
        self.assertIn(b"chmod 600", result.stderr)

    def test_what_is_not_there_is_said(self):
        self.environment()
        with self.registry() as at:
            for image, status, words in (
                    (f"{at}/none:1", 66, "answers 404"),
                    ("127.0.0.1:1/a:1", 69, "failed to connect"),
                    ("alpine", 64, "registry is not named")):
                result = self.home.tare("env", "pull", image, "--name", "none")
                self.assert_status(result, status)
                said = result.stderr.decode().lower()
                self.assertEqual(said.count(words), 1, said)
                self.assertNotRegex(said, r"(^|[: ])e: ")
                if "/" in image:  # else none was begun
                    self.assertIn("the pull failed: ", said)
            shown = self.home.must("env", "show", "none").stdout.decode()
            self.assertRegex(shown, r"(?m)^state +failed$")
            self.assertRegex(shown, r"(?m)^digest +-$")
            listed = self.home.request("GET", "/v1/environments").json["environments"]
            self.assertNotIn("ready", [one["state"] for one in listed if one["name"] == "none"])


if __name__ == "__main__":
    unittest.main()
