"""The REST API from the outside: who may ask, what is refused, a whole run by HTTP alone."""

import base64
import hashlib
import http.client
import json
import socket
import struct
import unittest

import harness

STDOUT, STDERR, CUT, END, KEEP_ALIVE = 1, 2, 3, 4, 5


def frames(body):
    """(type, payload) of each frame of a log."""
    found = []
    while body:
        kind, length = struct.unpack(">B3xI", body[:8])
        found.append((kind, body[8:8 + length]))
        body = body[8 + length:]
    return found


class Tcp(harness.TareTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        address = json.loads((cls.home.path / "run/tared.json").read_text())["address"]
        cls.host, _, port = address.partition(":")
        cls.port = int(port)
        cls.key = (cls.home.path / "state/api_key").read_text().strip()

    def ask(self, headers, path="/v1/runs"):
        """A GET with exactly these headers; a key unless they say otherwise."""
        sent = {"Authorization": f"Bearer {self.key}"} | headers
        sent = {name: value for name, value in sent.items() if value is not None}
        connection = http.client.HTTPConnection(self.host, self.port, timeout=harness.TIMEOUT_S)
        return harness.ask(connection, "GET", path, None, sent)

    def test_it_listens_on_the_loopback_address_only(self):
        self.assertEqual(self.host, "127.0.0.1")
        ports = [line.split()[1] for line in harness.read_text("/proc/net/tcp").splitlines()[1:]]
        self.assertIn(f"0100007F:{self.port:04X}", ports)
        self.assertNotIn(f"00000000:{self.port:04X}", ports)

    def test_the_right_key_works(self):
        self.assertEqual(self.ask({}).status, 200)

    def test_without_the_key_or_with_a_wrong_one_it_is_401_everywhere(self):
        wrong = [None, "", "Bearer", "Bearer ", f"Basic {self.key}", f"Bearer {self.key}x",
                 f"Bearer {self.key[:-1]}", f"Bearer {self.key.swapcase()}", "Bearer \xff"]
        for value in wrong:
            for path in ("/v1/runs", "/v1/health", "/v1/info", "/v1/agents"):
                answer = self.ask({"Authorization": value}, path)
                self.assertEqual(answer.status, 401, (value, path))
                self.assertEqual(answer.json["error"]["code"], "denied")
                self.assertNotIn(self.key.encode(), answer.body)

    def test_another_host_name_is_421(self):
        for name in ("evil.example", f"evil.example:{self.port}", "127.0.0.1:1", "10.0.0.1",
                     f"127.0.0.1.evil.example:{self.port}"):
            self.assertEqual(self.ask({"Host": name}).status, 421, name)
        self.assertEqual(self.ask({"Host": f"localhost:{self.port}"}).status, 200)

    def test_a_browser_is_403_whatever_page_it_shows(self):
        for origin in ("https://evil.example", "null", f"http://127.0.0.1:{self.port}"):
            self.assertEqual(self.ask({"Origin": origin}).status, 403, origin)

    def exchange(self, data):
        """Raw bytes; all that is answered before the connection closes."""
        answer = b""
        with socket.create_connection((self.host, self.port), harness.TIMEOUT_S) as connection:
            try:
                connection.sendall(data)
                connection.shutdown(socket.SHUT_WR)
                while piece := connection.recv(1 << 16):
                    answer += piece
            except (ConnectionResetError, BrokenPipeError):
                pass  # it had heard enough
        return answer

    def test_hostile_requests_are_refused_and_harm_nobody(self):
        head = f"Host: 127.0.0.1:{self.port}\r\nAuthorization: Bearer {self.key}\r\n"
        post = f"POST /v1/runs HTTP/1.1\r\n{head}Content-Type: application/json\r\n"
        for data, statuses in (
                (f"GET /v1/runs HTTP/1.1\r\n{head}X: {'a' * 200_000}\r\n\r\n", (431,)),
                (f"GET /{'a' * 200_000} HTTP/1.1\r\n{head}\r\n", (414, 431)),
                ("GET / HTTP/9.9\r\n\r\n", (400, 505)), ("\x16\x03\x01\x02\x00\x01", (400,)),
                (f"GET /v1/runs HTTP/1.1\r\n{head}{head}\r\n", (400, 401)),
                (f"{post}Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", (400,)),
                (f"{post}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                 (400,)),
                (f"{post}Content-Length: 99999999999999999999\r\n\r\n", (400, 413)),
                (f"{post}Content-Length: 2000000\r\n\r\n", (413,)),
                (f"{post}Transfer-Encoding: chunked\r\n\r\nzz\r\n", (400,)),
                (f"{post}\r\n", (411, 400))):
            answer = self.exchange(data.encode("latin-1"))
            self.assertIn(int((answer.split(b" ", 2) + [b"0"])[1] or 0), statuses, data[:60])
        self.assertEqual(self.ask({}).status, 200)


class UnixSocket(harness.TareTest):
    def post(self, wish):
        return self.home.request("POST", "/v1/runs", wish)

    def wait(self, run):
        return harness.wait_until(lambda: harness.ended(self.home.request(
            "GET", f"/v1/runs/{run}/wait?timeout_ms=60000").json), f"the end of {run}")

    def test_a_whole_run_by_http_alone(self):
        data = bytes(range(256))
        blob = self.home.request("POST", "/v1/blobs", data,
                                 {"Content-Type": "application/octet-stream"})
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        self.assertEqual((blob.status, blob.json), (201, {"digest": digest, "size": 256}))
        script = "cat /input/d/bytes; echo err >&2; mkdir /output/o; cp /input/d/bytes /output/o/b"
        created = self.post({"environment": "host", "argv": ["sh", "-c", script],
                             "inputs": [{"name": "d/bytes", "digest": digest}]})
        self.assertEqual(created.status, 202, created.body)
        run = created.json["id"]
        self.assertEqual(created.headers["Location"], f"/v1/runs/{run}")
        ended = self.wait(run)
        self.assertEqual((ended["state"], ended["outcome"]["exit_code"]), ("succeeded", 0))

        got = frames(self.home.request("GET", f"/v1/runs/{run}/logs?follow=true").body)
        self.assertEqual(b"".join(p for kind, p in got if kind == STDOUT), data)
        self.assertEqual(b"".join(p for kind, p in got if kind == STDERR), b"err\n")
        self.assertEqual(got[-1][0], END)
        self.assertEqual(json.loads(got[-1][1])["id"], run)
        rest = frames(self.home.request(
            "GET", f"/v1/runs/{run}/logs?stdout_from=250&stderr_from=4").body)
        self.assertEqual(rest[0], (STDOUT, data[250:]))

        left = self.home.request("GET", f"/v1/runs/{run}/artifacts").json["artifacts"]
        self.assertEqual([(a["path"], a["type"], a["size"]) for a in left],
                         [("o", "directory", 0), ("o/b", "file", 256)])
        for name in ("path=o/b", "path_base64=" + base64.urlsafe_b64encode(b"o/b").decode()):
            content = self.home.request("GET", f"/v1/runs/{run}/artifacts/content?{name}")
            self.assertEqual((content.status, content.body), (200, data))

    def test_stdin_is_fed_over_http(self):
        run = self.post({"environment": "host", "argv": ["cat"], "stdin": True}).json["id"]
        data = b"\0\xff" * 300_000
        fed = self.home.request("POST", f"/v1/runs/{run}/stdin", data,
                                {"Content-Type": "application/octet-stream"})
        self.assertEqual((fed.status, fed.json), (200, {"bytes": len(data)}))
        self.wait(run)
        got = frames(self.home.request("GET", f"/v1/runs/{run}/logs").body)
        self.assertEqual(b"".join(p for kind, p in got if kind == STDOUT), data)

    def test_the_same_idempotency_key_is_the_same_run(self):
        wish = {"environment": "host", "argv": ["true"], "idempotency_key": "once"}
        first, second = self.post(wish), self.post(wish)
        self.assertEqual((first.status, second.status), (202, 200))
        self.assertEqual(first.json["id"], second.json["id"])
        other = self.post(wish | {"argv": ["false"]})
        self.assertEqual((other.status, other.json["error"]["code"]), (409, "conflict"))

    def test_a_wrong_field_is_named(self):
        good = {"environment": "host", "argv": ["true"]}
        blob = self.home.request("POST", "/v1/blobs", b"x").json["digest"]
        for change, field in (
                ({"colour": 1}, "colour"), ({"limits": {"memory": 1}}, "limits.memory"),
                ({"limits": {"memory_bytes": 1}}, "limits.memory_bytes"),
                ({"limits": {"pids": "many"}}, "limits.pids"), ({"argv": []}, "argv"),
                ({"argv": [1]}, "argv[0]"), ({"env": ["TARE_X=1"]}, "env[0]"),
                ({"inputs": [{"name": "../x", "digest": blob}]},
                 "inputs[0].name"), ({"user": "god"}, "user"), ({"stdin": None}, "stdin")):
            answer = self.post(good | change)
            self.assertEqual(answer.status, 400, change)
            self.assertEqual(answer.json["error"].get("field"), field, answer.body)

    def test_what_is_not_json_is_refused(self):
        kind = {"Content-Type": "application/json"}
        for body in (b"", b"{", b"nonsense", b"\xff", b"[" * 100_000, b'{"argv":["true"]} x',
                     b'{"environment":"host","environment":"host","argv":["true"]}'):
            answer = self.home.request("POST", "/v1/runs", body, kind)
            self.assertIn(answer.status, (400, 411), body[:40])
        answer = self.home.request("POST", "/v1/runs", b"{}", {"Content-Type": "text/plain"})
        self.assertEqual(answer.status, 415)

    def test_wrong_paths_and_methods_have_their_status(self):
        for method, path, status in (
                ("GET", "/", 404), ("GET", "/v1/nothing", 404), ("DELETE", "/v1/health", 405),
                ("GET", "/v1/runs/run_" + "0" * 26, 404), ("GET", "/v1/runs/../agents", 400),
                ("GET", "/v1/runs?colour=1", 400), ("GET", "/v1/runs?limit=100000", 400)):
            answer = self.home.request(method, path)
            self.assertEqual(answer.status, status, path)
            self.assertIn(answer.json["error"]["code"], ("invalid", "not_found"))

    def test_a_run_is_deleted_with_all_it_left_but_not_before_it_ended(self):
        run = self.post({"environment": "host", "argv": ["sh", "-c", "echo x >/output/f; "
                                                         "sleep 1000"]}).json["id"]
        self.assertEqual(self.home.request("DELETE", f"/v1/runs/{run}").status, 409)
        self.home.request("POST", f"/v1/runs/{run}/kill")
        self.wait(run)
        self.assertEqual(self.home.request("DELETE", f"/v1/runs/{run}").status, 204)
        self.assertEqual(self.home.request("GET", f"/v1/runs/{run}").status, 404)
        self.assertFalse((self.home.path / "runs" / run).exists())


if __name__ == "__main__":
    unittest.main()
