"""Uploads that nobody uses are removed when they are old; what a run or an agent has stays."""

import os
import time
import unittest

import harness


class Uploads(harness.TareTest):
    def upload(self, content):
        answer = self.home.request("POST", "/v1/blobs", content)
        self.assertEqual(answer.status, 201, answer.body)
        return answer.json["digest"]

    def path(self, digest):
        name = digest.removeprefix("sha256:")
        return self.home.path / "blobs" / name[:2] / name

    def make_old(self, *digests):
        two_hours_ago = time.time() - 7200
        for digest in digests:
            os.utime(self.path(digest), (two_hours_ago, two_hours_ago))

    def restart_tared(self):
        harness.sigkill(self.home.program_pid("tared"))
        self.home.up()

    def start(self, digest, *argv):
        answer = self.home.request("POST", "/v1/runs", {
            "environment": "host", "argv": list(argv),
            "inputs": [{"name": "file", "digest": digest}]})
        self.assertEqual(answer.status, 202, answer.body)
        return answer.json["id"]

    def test_an_old_upload_goes_at_the_next_start_and_what_is_used_or_young_stays(self):
        unused, young, asked_for, of_ended, of_live = (
            self.upload(text) for text in (b"unused", b"young", b"asked for", b"ended", b"live"))
        ended = self.start(of_ended, "cat", "/input/file")
        self.home.wait_ended(ended)
        live = self.start(of_live, "sh", "-c", "sleep 5; cat /input/file")
        self.make_old(unused, asked_for, of_ended, of_live)
        self.assertEqual(self.home.request("HEAD", f"/v1/blobs/{asked_for}").status, 200)
        self.restart_tared()
        harness.wait_until(lambda: not self.path(unused).exists(), "the end of the unused upload")
        self.assertEqual(self.home.request("HEAD", f"/v1/blobs/{unused}").status, 404)
        for digest in (young, asked_for, of_ended, of_live):
            self.assertTrue(self.path(digest).exists())
        self.assertEqual(self.home.tare("logs", "-f", live).stdout, b"live")
        again = self.start(of_ended, "cat", "/input/file")
        self.home.wait_ended(again)
        self.assertEqual(self.home.must("logs", again).stdout, b"ended")

        for run in (ended, again, live):
            self.home.must("rm", run)
        self.make_old(of_ended)
        self.restart_tared()
        harness.wait_until(lambda: not self.path(of_ended).exists(), "the end of the input")


if __name__ == "__main__":
    unittest.main()
