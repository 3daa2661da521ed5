"""Agents that are away, slow, or talk nonsense: requests go on, nothing is called clean, and nginx is not held up."""

import concurrent.futures
import random
import time

import msgpack

from rehearsal.agents import SILENCE, allow, result
from rehearsal.client import ask
from support import Case

BLOCKED = {"WAFResponse": 406, "RequestID": "0123456789abcdef01234567", "RequestHeaders": [["X-SigSci-Tags", "SQLI"]]}


class Failures(Case):
    """What happens without a verdict."""

    def assert_open(self, nginx, reason, count=1):
        """The request went on, marked by nothing, counted by its reason."""
        reply = ask(nginx.port)
        self.assertEqual(reply.status, 200)
        self.assertEqual(reply.seen("X-SigSci-AgentResponse"), [])
        counters = self.counters(nginx)
        self.assertEqual(counters.get('portcullis_failures_total{reason="%s"}' % reason), count, counters)
        self.assertNotIn("portcullis_allowed_total", counters)

    def test_passes_where_nobody_listens(self):
        self.assert_open(self.nginx(), "connect")

    def test_passes_after_a_tenth_of_a_second_of_silence(self):
        self.scripted_agent(lambda call: SILENCE)
        nginx = self.nginx()
        begun = time.monotonic()
        self.assert_open(nginx, "timeout")
        self.assertLess(time.monotonic() - begun, 1)

    def test_counts_each_kind_of_nonsense(self):
        error = lambda call: msgpack.packb([1, call[1], "boom", None])
        foreign = lambda call: msgpack.packb([1, call[1] + 1, None, BLOCKED])
        replies = [
            ("reset", lambda call: None),
            ("reset", lambda call: result(call, BLOCKED)[:-3]),
            ("refused", error),
            ("foreign", foreign),
            ("decode", lambda call: b"HTTP/1.1 200 OK\r\n\r\n"),
            ("decode", lambda call: msgpack.packb([1, call[1], None, {"WAFResponse": "406"}])),
            ("decode", lambda call: msgpack.packb([1, call[1], None, [406]])),
            ("decode", lambda call: msgpack.packb([0, call[1], None, BLOCKED])),
            ("decode", lambda call: b"\x91" * 40),
            ("decode", lambda call: b"\xdd\xff\xff\xff\xff" + b"\x01" * 2000),
            ("decode", lambda call: b"\xdb\x7f\xff\xff\xff" + b"a" * 100_000),
            ("not_inspected", lambda call: result(call, {"WAFResponse": -2})),
            ("not_inspected", lambda call: result(call, {"WAFResponse": 0})),
            ("not_inspected", lambda call: result(call, {"WAFResponse": 600})),
        ]
        current = []
        self.scripted_agent(lambda call: current[0](call))
        nginx, counts = self.nginx(), {}
        for reason, reply in replies:
            with self.subTest(reason):
                current[:] = [reply]
                counts[reason] = counts.get(reason, 0) + 1
                self.assert_open(nginx, reason, counts[reason])

    def test_refuses_where_it_is_told_to_fail_closed(self):
        self.scripted_agent(lambda call: SILENCE)
        nginx = self.nginx(change=[("fail_open = true", "fail_open = false")])
        self.assertEqual(ask(nginx.port).status, 503)
        self.assertEqual(self.app.seen, [])

    def test_one_worker_serves_others_while_requests_wait(self):
        agent = self.scripted_agent(lambda call: SILENCE)
        nginx = self.nginx(change=[("timeout_ms = 100", "timeout_ms = 3000")])
        with concurrent.futures.ThreadPoolExecutor(40) as pool:
            waiting = [pool.submit(ask, nginx.port) for _ in range(40)]
            with agent.arrived:
                self.assertTrue(agent.arrived.wait_for(lambda: len(agent.calls) == 40, 10))
            self.assertEqual(self.counters(nginx)["portcullis_requests_total"], 40)
            self.assertFalse(any(request.done() for request in waiting))
            self.assertEqual({request.result().status for request in waiting}, {200})

    def test_survives_any_bytes(self):
        draw = random.Random(20261126)
        pristine = []

        def garbled(call):
            whole = bytearray(result(call, BLOCKED))
            if not pristine:
                pristine.append(bytes(whole))
            for _ in range(draw.randint(1, 4)):
                whole[draw.randrange(len(whole))] = draw.randrange(256)
            return bytes(whole[:draw.randint(0, len(whole))] if draw.random() < 0.3 else whole)

        self.scripted_agent(garbled)
        nginx = self.nginx()
        statuses = {ask(nginx.port).status for _ in range(400)}
        # A changed byte may be a digit of the code.
        self.assertTrue(all(status == 200 or 300 <= status <= 599 for status in statuses), statuses)
        self.assertNotIn("portcullis_failures_total{reason=\"module\"}", self.counters(nginx))
        for bad in ("runtime error", "exited on signal", "stack traceback"):
            self.assertNotIn(bad, nginx.log())

    def test_counts_reports_that_fail(self):
        def reply(call):
            return result(call, BLOCKED) if call[2] == b"RPC.PreRequest" else None
        self.scripted_agent(reply)
        nginx = self.nginx()
        self.assertEqual(ask(nginx.port).status, 406)
        self.await_counter(nginx, "portcullis_reports_failed_total", 1)

    def test_a_report_keeps_no_client_waiting(self):
        agent = self.scripted_agent(lambda call: allow(call) if call[2] == b"RPC.PreRequest" else SILENCE)
        self.app.status = 500
        nginx = self.nginx(change=[("timeout_ms = 100", "timeout_ms = 3000")])
        begun = time.monotonic()
        self.assertEqual(ask(nginx.port).status, 500)
        self.assertLess(time.monotonic() - begun, 2)
        agent.wait_for("RPC.PostRequest")
