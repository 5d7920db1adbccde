"""Registries that lie, hang, and ask for what is not theirs (ATTACKS.md S16); and tared restarted
while an image is moved."""

import base64
import http.server
import json
import shutil
import ssl
import threading
import unittest

import harness
import images
from images import entry
from registry_test import PASSWORD, USER, RegistryTest


class Served(RegistryTest):
    """A registry that says what the test says."""

    def serve(self, answers, tls=False):
        """{path: (status, headers, body), or a function of the request that gives it}; what was
        asked with which credentials is kept. A header may have several values."""
        self.asked = asked = []

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                asked.append((self.headers["Host"], self.path, self.headers["Authorization"]))
                found = answers.get(self.path, (404, {}, b""))
                status, headers, body = found(self) if callable(found) else found
                self.send_response(status)
                for name, values in headers.items():
                    for value in [values] if isinstance(values, str) else values:
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            do_GET = do_HEAD = do_POST = answer

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        server.handle_error = lambda *_: None  # who asked has gone
        if tls:
            self.make_certificate(self.folder)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.folder / "cert", self.folder / "key")
            server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        return f"127.0.0.1:{server.server_address[1]}"


class Lying(Served):
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

    def refused(self, answers, words, *options, tls=False):
        layers = self.home.path / "store/layers"
        before = list(layers.iterdir())
        at = self.serve(answers, tls)
        how = ("--ca", self.folder / "cert") if tls else ("--insecure-http",)
        result = self.home.tare("env", "pull", f"{at}/a:1", "--name", "lie", *how, *options)
        self.assertNotEqual(result.returncode, 0)
        self.assertIn(words, result.stderr.decode())
        self.assertEqual(list(layers.iterdir()), before)
        return result.stderr

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

    def test_where_a_redirect_leads_to_is_not_told_the_credentials_because_it_asks(self):
        tokens = (200, {}, json.dumps({"token": "t"}).encode())
        for challenge in ('Bearer realm="http://{at}/token"', "Basic realm=x"):
            theirs = {f"/token{query}": tokens for query in (
                "", "?service=&scope=repository%3Aa%3Apull")}
            at = self.serve(theirs)
            asked = self.asked
            protected = self.answers()
            for path in [one for one in protected if "blobs" in one]:
                theirs[path] = (401, {"WWW-Authenticate": challenge.format(at=at)}, b"")
                protected[path] = (307, {"Location": f"http://{at}{path}"}, b"")
            with self.subTest(challenge=challenge):
                self.refused(protected, "is given no credentials", "--credentials",
                             self.credentials())
                self.assertEqual({one[2] for one in asked}, {None})
                self.assertNotIn("token", " ".join(one[1] for one in asked))

    def test_plain_http_is_spoken_with_no_other_host(self):
        elsewhere = "http://192.0.2.1"  # nobody's (RFC 5737): it would take 30 s to find out
        realm = {"WWW-Authenticate": f'Bearer realm="{elsewhere}/token"'}
        credentials = ("--credentials", self.credentials())
        self.refused({"/v2/": (401, realm, b"")}, "without TLS", *credentials)
        answers = self.answers()
        for path in [one for one in answers if "blobs" in one]:
            answers[path] = (307, {"Location": elsewhere + path}, b"")
        self.refused(answers, "without TLS", *credentials)
        self.environment()
        at = self.serve({"/v2/": (200, {}, b""), "/v2/a/blobs/uploads/": (
            202, {"Location": elsewhere + "/upload"}, b"")})
        result = self.home.tare("env", "push", "mine", f"{at}/a:1", *credentials)
        self.assertNotEqual(result.returncode, 0)
        self.assertIn("without TLS", result.stderr.decode())

    @unittest.skipUnless(shutil.which("openssl"), "openssl is not installed")
    def test_from_tls_nothing_leads_to_plain_http(self):
        at = self.serve(self.answers())  # not even on this machine
        realm = {"WWW-Authenticate": f'Bearer realm="http://{at}/token"'}
        self.refused({"/v2/": (401, realm, b"")}, "without TLS", "--credentials",
                     self.credentials(), tls=True)
        answers = self.answers()
        for path in [one for one in answers if "blobs" in one]:
            answers[path] = (302, {"Location": f"http://{at}{path}"}, b"")
        self.refused(answers, "without TLS", tls=True)

    def test_what_a_registry_says_is_one_line_without_our_secrets(self):
        basic = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        words = json.dumps({"errors": [{"message":
                            f"no \x1b[2J\nE: forged {PASSWORD} and {basic}"}]}).encode()
        answers = self.answers()
        answers["/v2/"] = (401, {"WWW-Authenticate": "Basic realm=x"}, b"")
        answers["/v2/a/manifests/1"] = (403, {}, words)
        said = self.refused(answers, "forged", "--credentials", self.credentials())
        run = next(one["id"] for one in self.home.request("GET", "/v1/runs").json["runs"])
        kept = self.home.tare("logs", run).stderr + self.home.must("inspect", run).stdout
        for text in (said, kept):
            for secret in (PASSWORD, basic, "\x1b"):
                self.assertNotIn(secret.encode(), text)
            self.assertIn(b"(a secret)", text)
            self.assertNotIn(b"\nE: forged", text)

    def test_of_several_challenges_the_one_we_know_is_answered(self):
        answers = self.answers()
        answers["/v2/"] = (401, {"WWW-Authenticate": ["Basic realm=x", "Negotiate"]}, b"")
        at = self.serve(answers)
        self.home.must("env", "pull", f"{at}/a:1", "--name", "one", "--insecure-http",
                       "--credentials", self.credentials())
        self.addCleanup(self.home.tare, "env", "rm", "one")
        self.assertIn("Basic", self.asked[-1][2])

    def test_a_token_that_expires_is_fetched_again(self):
        answers, used = self.answers(), []

        def token(_):
            used.append(0)
            return 200, {}, json.dumps({"token": f"t{len(used)}"}).encode()

        def once(found):
            """A token is good for one request."""
            def answer(request):
                fresh = request.headers["Authorization"] == f"Bearer t{len(used)}"
                if not fresh or used[-1]:
                    return 401, challenge, b""
                used[-1] = 1
                return found
            return answer

        for path in [one for one in answers if "/a/" in one]:
            answers[path] = once(answers[path])
        at = self.serve(answers)
        challenge = {"WWW-Authenticate": f'Bearer realm="http://{at}/token"'}
        answers["/token?service=&scope=repository%3Aa%3Apull"] = token
        self.home.must("env", "pull", f"{at}/a:1", "--name", "again", "--insecure-http")
        self.addCleanup(self.home.tare, "env", "rm", "again")
        self.assertGreaterEqual(len(used), 3)

    def test_of_an_image_for_several_machines_the_one_asked_for_is_fetched(self):
        layout, found = images.Layout(), {"/v2/": (200, {}, b"{}")}
        entries = [layout.image([images.tar_of(entry(machine, b"x"))], architecture=machine,
                                platform={"os": "linux", "architecture": machine})
                   for machine in (images.MACHINE, "riscv64")]
        found["/v2/a/manifests/1"] = (200, {"Content-Type": images.INDEX}, layout.index(entries))
        for name, content in layout.files.items():
            digest = "sha256:" + name.rpartition("/")[2]
            kind = "manifests" if digest in [one["digest"] for one in entries] else "blobs"
            found[f"/v2/a/{kind}/{digest}"] = (200, {"Content-Type": images.MANIFEST}, content)
        at = self.serve(found)
        self.pulled(f"{at}/a:1", "own", "--insecure-http")
        self.assertIn(images.MACHINE, self.seen("own"))
        self.pulled(f"{at}/a:1", "foreign", "--insecure-http", "--platform", "linux/riscv64")
        self.assertIn("riscv64", self.seen("foreign"))
        for platform, words in (("linux/s390x", "riscv64; --platform"), ("s390x", "platform")):
            self.refused(found, words, "--platform", platform)

    def test_one_of_those_who_pull_to_the_same_name_gets_it(self):
        at = self.serve(self.answers())
        pulls = [self.home.popen("env", "pull", f"{at}/a:1", "--name", "raced", "--insecure-http")
                 for _ in range(6)]
        self.addCleanup(self.home.tare, "env", "rm", "raced")
        said = [pull.communicate(timeout=harness.TIMEOUT_S)[1] for pull in pulls]
        self.assertEqual(sorted(pull.returncode for pull in pulls), [0] + [73] * 5, said)

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


class Restarts(Served):
    """Of tared, while an image is moved: what went into the stdin of its run is gone with it."""

    def setUp(self):
        super().setUp()
        self.go_on = threading.Event()
        self.addCleanup(self.go_on.set)

    def stalled(self):
        def answer(_):
            self.go_on.wait(harness.TIMEOUT_S)
            return 404, {}, b""
        return self.serve({"/v2/": answer})

    def moving(self):
        """The ids of the runs that move images and have not ended."""
        runs = self.home.request("GET", "/v1/runs").json["runs"]
        return [one["id"] for one in runs if not harness.ended(one)]

    def assert_given_up(self, run, words):
        ended = self.home.wait_ended(run)
        self.assertEqual(ended["state"], "failed")
        self.assertIn(f"tared was restarted while it {words}", ended["outcome"]["message"])

    def test_a_pull_or_push_that_was_begun_ends(self):
        self.environment()
        at = self.stalled()
        for words, order in (("pulled", ("pull", f"{at}/a:1", "--name", "half")),
                             ("pushed", ("push", "mine", f"{at}/a:1"))):
            with self.subTest(words=words), self.home.popen("env", *order,
                                                            "--insecure-http") as client:
                run = harness.wait_until(self.moving, "the run")[0]
                harness.wait_until(lambda: self.asked, "a request to the registry")
                self.asked.clear()
                harness.sigkill(self.home.program_pid("tared"))
                self.home.up()
                self.assert_given_up(run, words)
                client.kill()
        self.assertEqual(self.home.request("GET", "/v1/environments/half").json["state"], "failed")

    def test_one_that_waits_for_its_turn_ends_too(self):
        """With one sandbox at once, which is another run's until after that."""
        self.environment()
        self.home.down()
        with harness.one_at_once(self.home.path / "work/bin"):
            self.addCleanup(self.home.up)
            self.addCleanup(self.home.down)
            self.home.up()
            blocker = self.home.detached("sleep", "600")
            at = self.stalled()
            runs = []
            for order in (("pull", f"{at}/a:1", "--name", "half"), ("push", "mine", f"{at}/a:1")):
                client = self.home.popen("env", *order, "--insecure-http")
                self.addCleanup(client.communicate)
                self.addCleanup(client.kill)
                runs.append(harness.wait_until(
                    lambda: [one for one in self.moving() if one not in (blocker, *runs)],
                    "a run that waits")[0])
            harness.sigkill(self.home.program_pid("tared"))
            self.home.up()
            for run, words in zip(runs, ("pulled", "pushed")):
                self.assert_given_up(run, words)
            self.assertEqual(self.home.inspect(blocker)["state"], "running")
            self.assertEqual(self.asked, [], "nothing of it was begun")
            self.home.must("kill", blocker)
            self.home.wait_ended(blocker)


if __name__ == "__main__":
    unittest.main()
