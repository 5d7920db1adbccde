"""A session that sleeps a hundred nights: always the same files, few layers, no growth.

On `host`, where below its own layers lies what is no layer. For one on an environment see
hibernate_test.py.
"""

import os
import unittest

import harness
import layers

NIGHTS = 104
# All of the root that a session may change, but for what makes it another machine.
TREE = r"""
cd /; find . -xdev \( -path ./proc -o -path ./dev -o -path ./sys -o -path ./run -o -path ./usr \
    -o -path ./input -o -path ./etc/hostname -o -path ./etc/machine-id -o -path ./etc/hosts \) \
    -prune -o -printf '%p %y %m %U %G %l %Ts ' \( -type f -printf '%s ' -exec sha256sum {} \; \
    -o -printf '\n' \) | sort"""


class Nights(harness.TareTest):
    def setUp(self):
        super().setUp()
        self.session = self.home.must("session", "new", "--user", "root").stdout.decode().strip()
        self.addCleanup(self.home.must, "session", "kill", self.session)

    def sh(self, script):
        return self.home.must("session", "exec", self.session, "--", "sh", "-c",
                              script).stdout.decode()

    def tree(self):
        """Its lines; without the two folders in which each waking makes something."""
        return [line for line in self.sh(TREE).splitlines()
                if not line.startswith((". d", "./etc d"))]

    def night(self):
        """Its files before and after are the same."""
        before = self.tree()
        self.home.must("session", "hibernate", self.session)
        after = self.tree()
        self.assertEqual([line for line in after if line not in before], [])
        self.assertEqual([line for line in before if line not in after], [])
        self.assertEqual(after, before)

    def stored(self):
        """After a sweep: layers, and bytes on the disk."""
        self.home.must("session", "hibernate", self.session)
        self.home.must("env", "gc")
        store = self.home.path / "store/layers"
        files = [os.lstat(os.path.join(folder, name)) for folder, _, names in os.walk(store)
                 for name in names]
        return len(os.listdir(store)), sum(file.st_blocks * 512 for file in files)

    def test_a_hundred_nights_on_host_leave_the_same_files_few_layers_and_no_growth(self):
        seen = {}
        for night in range(NIGHTS):
            self.sh(f"""
                echo {night} >>/root/nights; echo {night} >/tmp/last; echo {night} >/output/last
                mkdir -p /srv/d /srv/gone/{night}; touch /srv/d/{night} /tmp/{night} /srv/s-{night}
                rm -f /srv/d/{night - 1} /tmp/{night - 1} /srv/s-{night - 1}; rm -rf /srv/gone
                head -c 200000 /dev/urandom >/srv/changes
                rm -rf /srv/e; mkdir /srv/e; touch /srv/e/{night}
                case {night} in
                3) rm -rf /etc/ssl /etc/perl; mkdir /etc/ssl;;
                11) mv /var /data; ln -s data /var;;
                25) rm /var; mkdir -p /var/tmp /var/x; echo x >/var/x/f; echo t >/var/tmp/t;;
                40) rm -rf /var;;
                41) mkdir -p /var/lib/y; echo y >/var/lib/y/f;;
                esac""")
            self.night()
            own = self.home.inspect(self.session)["own_layers"]
            for part in own.values():
                self.assertLessEqual(len(part), 6)
            if night in (NIGHTS // 2, NIGHTS - 1):
                seen[night] = self.stored()
        numbers = "".join(f"{night}\n" for night in range(NIGHTS))
        self.assertEqual(self.sh("cat /root/nights; ls /srv/d /srv/e"),
                         numbers + f"/srv/d:\n{NIGHTS - 1}\n\n/srv/e:\n{NIGHTS - 1}\n")
        self.assertEqual(self.sh("ls -A /etc/ssl; ls /var /var/lib; ls -d /etc/perl || echo gone"),
                         "/var:\nlib\n\n/var/lib:\ny\ngone\n")
        for count, size in seen.values():
            self.assertLessEqual(count, 12)
            self.assertLess(size, 12 * 400_000)
        self.assertEqual(layers.faults_of(self, self.home), {})

    def test_attributes_the_names_of_one_file_and_times_are_as_they_were(self):
        self.sh('''python3 - <<'END'
import os
os.makedirs("/srv/d")
for path in ("/srv/f", "/srv/d"):
    os.path.isdir(path) or open(path, "w").close()
    os.setxattr(path, "user.note", b"mine \\0 \\xff")
    os.setxattr(path, "user.empty", b"")
os.setxattr("/srv/f", "user.large", b"x" * 3000)
os.link("/srv/f", "/srv/d/again")
os.symlink("f", "/srv/link")
for number, path in enumerate(("/srv/f", "/srv/link", "/srv/d"), 1):
    os.utime(path, (number, 10 ** 9 + number), follow_symlinks=False)
END''')
        look = '''python3 - <<'END'
import os
for path in ("/srv/f", "/srv/d/again", "/srv/d", "/srv/link"):
    status = os.lstat(path)
    names = [] if os.path.islink(path) else sorted(os.listxattr(path))
    print(path, status.st_nlink, int(status.st_mtime),
          [(name, os.getxattr(path, name)) for name in names])
print(os.path.samefile("/srv/f", "/srv/d/again"))
END'''
        before = self.sh(look)
        self.assertEqual([line.split()[1:3] for line in before.splitlines()[:2]],
                         [["2", "1000000001"]] * 2)
        self.assertIn("('user.note', b'mine \\x00 \\xff')", before)
        self.assertIn("True", before)
        for _ in range(2):
            self.night()
            self.assertEqual(self.sh(look), before)

    def test_what_was_large_once_is_not_copied_with_every_night(self):
        self.sh("for file in /srv-large /tmp/large; do head -c 30000000 /dev/urandom >$file; done")
        large = None
        for night in range(12):
            self.sh(f"echo {night} >>/root/nights; echo {night} >/tmp/last")
            self.night()
            own = self.home.inspect(self.session)["own_layers"]
            if large:
                self.assertEqual([layer[0] for layer in own.values()], large)
            large = [layer[0] for layer in own.values()]

    def test_what_stands_in_the_place_of_a_folder_that_has_slept_is_there_again(self):
        """/var holds /var/tmp, which is kept apart: neither part hides what the other one shows."""
        self.sh("echo 1 >/var/tmp/1; mkdir /var/lib; echo 1 >/var/lib/1")
        self.night()
        for script in ("rm -rf /var; ln -s /srv /var; mkdir /srv; echo s >/srv/s",
                       "echo t >/tmp/t",
                       "rm /var; echo file >/var",
                       "rm /var; mkdir -p /var/tmp; echo 2 >/var/tmp/2; echo v >/var/v",
                       "rm -rf /var/tmp; mkdir /var/tmp; echo 3 >/var/tmp/3",
                       "rm -rf /var",
                       "mkdir -p /var/x; echo 1 >/var/x/f",
                       "rm -rf /var; mkdir /var; mkdir /var/tmp",
                       "rm -rf /tmp/* /output/*"):
            with self.subTest(script=script):
                self.sh(script)
                self.night()
                self.night()


if __name__ == "__main__":
    unittest.main()
