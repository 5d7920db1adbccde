"""Environments to and from a real registry: Debian's docker-registry on this machine, with and
without passwords and TLS; skopeo is the other client."""

import contextlib
import http.server
import json
import os
import shutil
import socket
import subprocess
import threading
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


@unittest.skipIf(MISSING, f"not installed: {', '.join(MISSING)}")
class RegistryTest(ImagesTest):
    LAYERS = [images.tree_tar({"a/b": b"b", "a/c": b"c", "bin/x": (0o4755, b"x" * 100_000)}),
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
            tool("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                 "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", folder / "key", "-out",
                 folder / "cert", "-days", "2", "-subj", "/CN=registry", "-addext",
                 "subjectAltName=IP:127.0.0.1")
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
            image, ca = f"{at}/a:1", self.folder / "registry/cert"
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
            for image, words in ((f"{at}/none:1", "404"), ("127.0.0.1:1/a:1", "connect"),
                                 ("alpine", "registry is not named")):
                result = self.home.tare("env", "pull", image, "--name", "none")
                self.assertNotEqual(result.returncode, 0)
                self.assertIn(words, result.stderr.decode().lower())
            listed = self.home.request("GET", "/v1/environments").json["environments"]
            self.assertNotIn("ready", [one["state"] for one in listed if one["name"] == "none"])


class Lying(RegistryTest):
    """A registry that lies."""

    def serve(self, answers):
        """{path: (status, headers, body)}; what was asked with which credentials is kept."""
        self.asked = asked = []

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                asked.append((self.headers["Host"], self.path, self.headers["Authorization"]))
                status, headers, body = answers.get(self.path, (404, {}, b""))
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        return f"127.0.0.1:{server.server_address[1]}"

    def answers(self, spoil=lambda files: None):
        layout = images.Layout()
        manifest = layout.image([images.tar_of(entry("f", b"f" * 5000))], {"Cmd": ["x"]})
        spoil(layout.files)
        found = {"/v2/": (200, {}, b"{}")}
        for name, content in layout.files.items():
            digest = "sha256:" + name.rpartition("/")[2]
            found[f"/v2/a/blobs/{digest}"] = (200, {}, content)
            if digest == manifest["digest"]:
                found["/v2/a/manifests/1"] = (200, {"Content-Type": images.MANIFEST}, content)
        return found

    def refused(self, answers, words, *options):
        layers = self.home.path / "store/layers"
        before = list(layers.iterdir())
        at = self.serve(answers)
        result = self.home.tare("env", "pull", f"{at}/a:1", "--name", "lie", "--insecure-http",
                                *options)
        self.assertNotEqual(result.returncode, 0)
        self.assertIn(words, result.stderr.decode())
        self.assertEqual(list(layers.iterdir()), before)

    def test_blobs_that_are_not_what_was_said_are_refused(self):
        def change(files, spoil):
            for name in [one for one in files if len(files[one]) > 3000]:
                files[name] = spoil(files[name])
        for words, spoil in (("another digest", lambda c: c[:-1] + b"x"),
                             ("longer", lambda c: c + b"x"), ("shorter", lambda c: c[:-1])):
            with self.subTest(words=words):
                self.refused(self.answers(lambda files: change(files, spoil)), words)

    def test_credentials_do_not_follow_a_redirect_to_another_host(self):
        answers = self.answers()
        elsewhere = self.serve(dict(answers))
        theirs = self.asked
        protected = dict(answers)
        protected["/v2/"] = (401, {"WWW-Authenticate": "Basic realm=x"}, b"")
        for path in [one for one in answers if "blobs" in one]:
            protected[path] = (307, {"Location": f"http://{elsewhere}{path}"}, b"")
        at = self.serve(protected)
        self.home.must("env", "pull", f"{at}/a:1", "--name", "moved", "--insecure-http",
                       "--credentials", self.credentials())
        self.addCleanup(self.home.tare, "env", "rm", "moved")
        self.assertEqual({one[2] for one in theirs}, {None})
        self.assertIn("Basic", self.asked[-1][2])

    def test_a_token_is_fetched_where_the_challenge_says(self):
        answers = self.answers()
        at = self.serve(answers)
        tokens = "/token?service=s&scope=repository%3Aa%3Apull"
        answers[tokens] = (200, {}, json.dumps({"token": "t0ken"}).encode())
        answers["/v2/"] = (401, {"WWW-Authenticate":
                                 f'Bearer realm="http://{at}/token",service="s"'}, b"")
        self.home.must("env", "pull", f"{at}/a:1", "--name", "tok", "--insecure-http",
                       "--credentials", self.credentials())
        self.addCleanup(self.home.tare, "env", "rm", "tok")
        self.assertIn("Basic", next(one[2] for one in self.asked if one[1] == tokens))
        self.assertEqual({one[2] for one in self.asked if "/a/" in one[1]}, {"Bearer t0ken"})


if __name__ == "__main__":
    unittest.main()
