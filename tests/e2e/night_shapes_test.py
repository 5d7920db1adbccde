"""What root inside can make of its files, of those too that the platform writes or mounts at: its
session sleeps and wakes all the same, or the refusal names the file and it goes on."""

import unittest

import layers
import sessions

FILES = ("/etc/group", "/etc/hostname", "/etc/hosts", "/etc/machine-id", "/etc/passwd")
# Where the platform writes or mounts something on waking; those of one row are changed together.
PLACES = (("/dev", "/input", "/proc", "/run", "/sys"), ("/etc",), FILES, ("/home",),
          ("/home/agent",), ("/opt",), ("/output",), ("/tmp",), ("/var",), ("/var/tmp",))
# What can be made of each. Where something is mounted the kernel refuses it, to root inside too.
SHAPES = {
    "a file": "echo x >{0}",
    "a link to nothing": "ln -s /nothing/here {0}",
    "a link to itself": "ln -s {0} {0}",
    "a link to what is read-only": "ln -s /proc/sys/kernel {0}",
    "an empty folder": "mkdir {0}",
    "gone": ":",
}
# As it was made, also after waking.
KEPT = (("/opt",), ("/var",))


class Shapes(sessions.SessionsTest, layers.EnvironmentsTest):
    ENVIRONMENTS = {"box": [layers.programs("sh", "cat", "rm", "mkdir", "ln", "stat")]}

    def at_root(self, session, script):
        """Its home may be no folder."""
        done = self.home.must("session", "exec", "--cwd", "/", session, "--", "sh", "-c", script)
        return done.stdout.decode()

    def row(self, places, script, *options):
        """It sleeps, wakes with its files, by an exec and for an operation on one; and at its end
        its /output is kept. How many of the places were changed."""
        session = self.new(*options, "--user", "root")
        look = f"for p in {' '.join(places)}; do stat -c '%F %i' $p 2>&1; done; :"
        change = "".join(f"rm -rf {place}; {script.format(place)}\n" for place in places)
        was = self.at_root(session, look).splitlines()
        made = self.at_root(session, f"mkdir -p /srv; echo mine >/srv/mine\n"
                                     f"{{ {change} }} 2>/dev/null\n{look}").splitlines()
        self.hibernate(session)
        seen = self.at_root(session, f"cat /srv/mine\n{look}").splitlines()
        self.assertEqual(seen[0], "mine")
        if places in KEPT:
            self.assertEqual([line.rpartition(" ")[0] for line in seen[1:]],
                             [line.rpartition(" ")[0] for line in made])
        self.hibernate(session)
        self.assertEqual(self.get(session, "/srv/mine"), b"mine\n")
        if "/output" in places:
            self.at_root(session, "echo kept >/output/o")
        self.kill(session)
        if "/output" in places:
            self.assertIn(b"o", self.home.must("artifacts", session).stdout.split())
        return sum(one != other for one, other in zip(was, made, strict=True))

    def sweep(self, *options):
        changed = 0
        for places in PLACES:
            for shape, script in SHAPES.items():
                with self.subTest(places=places, shape=shape):
                    changed += self.row(places, script, *options)
        # All but what is mounted, and /opt gone where there is none.
        self.assertGreater(changed, len(SHAPES) * (len(PLACES) + len(FILES) - 2))

    def test_whatever_stands_where_the_platform_has_its_own_it_wakes_on_host(self):
        self.sweep()

    def test_whatever_stands_where_the_platform_has_its_own_it_wakes_on_an_environment(self):
        self.sweep("--env", "box")

    def test_an_environment_without_a_home_serves_its_sessions_all_the_same(self):
        """Walls of a program that is not root stand on folders that may be none."""
        made = self.new("--env", "box", "--user", "root")
        self.at_root(made, "rm -rf /home /tmp/*; echo x >/home; rm -rf /etc; ln -s /etc /etc")
        self.home.must("env", "freeze", made, "--name", "odd")
        self.kill(made)
        session = self.new("--env", "odd")
        self.assertEqual(self.at_root(session, "cat /home; echo t >/tmp/t; cat /tmp/t"), "x\nt\n")
        self.hibernate(session)
        self.assertEqual(self.at_root(session, "cat /tmp/t"), "t\n")
        self.kill(session)

    def refused(self, session, *words):
        for verb in ("hibernate", "checkpoint", "fork"):
            answer = self.home.tare("session", verb, session)
            self.assert_status(answer, 73)
            for word in words:
                self.assertIn(word, answer.stderr.decode())

    def test_a_file_that_is_longer_than_can_be_read_while_it_stands_still_is_named(self):
        session = self.new()
        self.sh(session, "truncate -s 1T /tmp/hole; echo on >note")
        self.refused(session, '"tmp/hole"', "1099511627776 bytes, its holes included",
                     "make it shorter, or remove it")
        self.sh(session, "truncate -s 1G /tmp/hole")
        self.hibernate(session)
        self.assertEqual(self.sh(session, "cat note; stat -c '%s %b' /tmp/hole"),
                         "on\n1073741824 0\n")
        self.kill(session)

    def test_what_has_more_attributes_than_a_disk_keeps_is_named(self):
        session = self.new()
        for name, make, values in (("large", "touch", "60_000] * 20"),
                                   ("many", "touch", "0] * 900"), ("folder", "mkdir", "0] * 900")):
            self.sh(session, f"""{make} {name}; python3 - <<'END'
import os
for number, value in enumerate([{values}):
    os.setxattr("{name}", "user." + str(number).rjust(200, "b"), b"x" * value)
END""")
            self.refused(session, f'"home/agent/{name}"', "3840 bytes", "setfattr -x")
            self.sh(session, f"rm -r {name}")
        self.hibernate(session)
        self.kill(session)


if __name__ == "__main__":
    unittest.main()
