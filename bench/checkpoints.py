"""What checkpoints cost, through the API of a tared of our own.

    ./dev bench checkpoints [--json] [--n 20] [--only ROW[,ROW...]]

  checkpoint_first            a session that has changed 100 MB in 100 files: POST .../checkpoint
                              -> its row is durable, the first time
  checkpoint_1_of_100         the same, one of the files changed since the last
  checkpoint_same             a program ran and changed nothing
  put, put_durable            PUT of a file of 4 KB -> 200, in such a session, and in a durable one
  put_durable_16              the same with 16 clients at once

A row is one JSON object with --json, as those of bench_sandbox.
"""

import argparse
import concurrent.futures
import os
import sys

from snapshot import Rows, Session, harness, make_environments, timed


def checkpoint_rows(rows, home):
    names = ("checkpoint_first", "checkpoint_1_of_100", "checkpoint_same", "put", "put_durable",
             "put_durable_16")
    if not any(rows.wanted(name) for name in names):
        return
    us = {name: [] for name in names}

    def put(session, number=0):
        answer = home.request("PUT", f"/v1/runs/{session.id}/files/content?path=/srv/put{number}",
                              os.urandom(4096))
        assert answer.status == 200, answer.body

    def checkpoint(session):
        answer = home.request("POST", f"/v1/sessions/{session.id}/checkpoint")
        assert answer.status == 200, answer.body

    for _ in range(max(1, rows.options.n // 5)):
        session = Session(home, "small")
        session.change(100, 100)
        us["checkpoint_first"].append(timed(lambda: checkpoint(session)))
        for _ in range(5):
            session.sh("head -c 1048576 /dev/urandom >/srv/new/xaaaa")
            us["checkpoint_1_of_100"].append(timed(lambda: checkpoint(session)))
            session.sh("true")
            us["checkpoint_same"].append(timed(lambda: checkpoint(session)))
            us["put"].append(timed(lambda: put(session)))
        session.close()
    durable = Session(home, "small", "--durable")
    durable.change(100, 100)
    for _ in range(rows.options.n):
        us["put_durable"].append(timed(lambda: put(durable)))
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        for _ in range(max(1, rows.options.n // 4)):
            us["put_durable_16"] += pool.map(lambda i: timed(lambda: put(durable, i)), range(16))
    durable.close()
    for name, values in us.items():
        if rows.wanted(name):
            rows.times(name, values)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--n", type=int, default=20)
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("bench checkpoints: must be root, to make sandboxes")
    home = harness.Home(folder="/var/tmp")  # a disk, where /tmp may be none
    try:
        home.up()
        home.down()
        make_environments(home)
        home.must("up", "--detach", "--port", "0")
        checkpoint_rows(Rows(options), home)
    finally:
        home.close()


if __name__ == "__main__":
    main()
