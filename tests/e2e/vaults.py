"""What the tests of the vault share: two values, and a home with commands for secrets."""

import base64
import json

from layers import EnvironmentsTest

VALUE = b"sk-live/4eC39Hq+correct-horse-battery-staple"
OTHER = b"sk-live/Tq7WbK9+another-horse-another-staple"


def forms(value):
    """As it is, and as programs write it down."""
    return {"plain": value, "hex": value.hex().encode(),
            "base64": base64.b64encode(value).rstrip(b"=")[:-1]}


def body(value, **more):
    return {**more, "value_base64": base64.b64encode(value).decode()}


class VaultTest(EnvironmentsTest):
    def set(self, name, value, *options):
        return self.home.tare("secret", "set", name, *options, data=value)

    def must_set(self, name, value):
        self.assert_status(self.set(name, value), 0)

    def rotate(self, name, value):
        return self.home.tare("secret", "rotate", name, data=value)

    def secrets(self):
        """{name: version}"""
        listed = json.loads(self.home.must("secret", "list", "--json").stdout)
        return {secret["name"]: secret["version"] for secret in listed["secrets"]}

    def key(self):
        return self.home.path / "state/vault.key"

    def assert_not_in(self, value, where, what):
        for form, text in forms(value).items():
            self.assertFalse(text in where, f"{form} in {what}")  # without printing either

    def session_of(self):
        made = self.home.must("session", "new", "--env", "box", "--user", "root")
        session = made.stdout.decode().strip()
        self.home.must("session", "exec", session, "--", "sh", "-c", "mkdir -p /srv")
        return session

    def tearDown(self):
        if names := self.secrets():
            self.home.must("secret", "rm", *names)
