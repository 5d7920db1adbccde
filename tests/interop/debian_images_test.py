"""A real environment, Debian with Python, through other people's tools and back: skopeo, umoci and
runc, and Debian's docker-registry with TLS and a password. Needs Debian's archive."""

import json
import unittest

import registry_test
from images_test import tool

SAYS = "import sys; print(sys.version_info[0], open('/etc/debian_version').read())"


class Debian(registry_test.RegistryTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.home.must("env", "build", "debian:bookworm:python3-minimal", "--name", "py",
                      timeout=1800)
        shown = json.loads(cls.home.must("env", "show", "py", "--json").stdout)
        cls.digest = shown["digest"]

    def test_it_runs_under_runc(self):
        layout, bundle = self.exported("py", "oci"), self.folder / "bundle"
        tool("umoci", "unpack", "--image", f"{layout}:latest", bundle)
        spec = json.loads((bundle / "config.json").read_text())
        spec["process"].update(terminal=False, args=["python3", "-c", SAYS])
        spec["linux"].pop("resources", None)
        spec["linux"]["cgroupsPath"] = f"/{self.home.tag}-runc"
        (bundle / "config.json").write_text(json.dumps(spec))
        said = tool("runc", "--root", self.folder / "runc", "run", "--bundle", bundle,
                    self.home.tag)
        ours = self.home.must("run", "--env", "py", "--", "python3", "-c", SAYS).stdout.decode()
        self.assertEqual(said, ours)

    def test_it_comes_back_from_every_kind_of_archive(self):
        source = f"oci-archive:{self.exported('py')}"
        for kind in ("docker-archive", "oci", "oci-archive"):
            there, back = self.folder / kind, self.folder / f"{kind}-back"
            tool("skopeo", "copy", source, f"{kind}:{there}")
            tool("skopeo", "copy", f"{kind}:{there}", f"oci-archive:{back}")
            self.assertEqual(self.imported(back, kind)["digest"], self.digest)

    def test_it_comes_back_from_a_registry(self):
        with self.registry(protected=True, tls=True) as at:
            ours = ("--ca", self.folder / "registry/cert", "--credentials", self.credentials())
            self.home.must("env", "push", "py", f"{at}/py:1", *ours)
            self.assertEqual(self.pulled(f"{at}/py:1", "back", *ours)["digest"], self.digest)
            login = ("--src-creds", f"{registry_test.USER}:{registry_test.PASSWORD}")
            tool("skopeo", "copy", *login, "--src-cert-dir", self.certificates(),
                 f"docker://{at}/py:1", f"oci-archive:{self.folder}/theirs")
            self.assertEqual(self.imported(self.folder / "theirs", "theirs")["digest"], self.digest)

    def certificates(self):
        """A folder with the registry's certificate, as skopeo wants it."""
        folder = self.folder / "certificates"
        folder.mkdir()
        (folder / "ca.crt").write_bytes((self.folder / "registry/cert").read_bytes())
        return folder


if __name__ == "__main__":
    unittest.main()
