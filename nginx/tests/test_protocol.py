"""What the module says and understands: docs/protocol.md."""

import msgpack

from rehearsal.agents import allow, result
from rehearsal.client import FORM, ask
from rehearsal.parts import ROOT
from support import Case


class Calls(Case):
    """Messages to the agent."""

    def test_one_call_a_connection_with_the_documented_keys(self):
        agent = self.scripted_agent(allow)
        body = b"a=\xff\x00b"
        ask(self.nginx().port, "/p%C3%A4th?q=%00", "POST", body, [FORM, ("X-Long", "y" * 300), ("X-Two", "1"), ("X-Two", "2")])
        self.assertEqual(agent.methods(), ["RPC.PreRequest"])
        kind, _, method, [message] = agent.calls[0]
        self.assertEqual((kind, method), (0, b"RPC.PreRequest"))
        known = (ROOT / "docs/protocol.md").read_text()
        for key in message:
            self.assertIn(f"`{key.decode()}`", known)
        self.assertEqual(message[b"URI"], b"/p%C3%A4th?q=%00")
        self.assertEqual(message[b"Method"], b"POST")
        self.assertEqual(message[b"PostBody"], body)
        self.assertEqual((message[b"BodyTotal"], message[b"BodyTruncated"]), (len(body), False))
        self.assertEqual(message[b"RemoteAddr"], b"127.0.0.1")
        self.assertGreater(message[b"NowMillis"], 1_700_000_000_000)
        pairs = [tuple(pair) for pair in message[b"HeadersIn"]]
        for pair in [(b"X-Long", b"y" * 300), (b"X-Two", b"1"), (b"X-Two", b"2")]:
            self.assertIn(pair, pairs)

    def test_uses_no_kind_of_string_that_an_old_decoder_lacks(self):
        agent = self.scripted_agent(allow)
        ask(self.nginx().port, "/" + "a" * 100)
        # 100 bytes would be `str 8` (d9 65) in the newer form.
        self.assertIn(b"\xda\x00\x65/aaa", agent.raw[0])

    def test_says_that_there_is_a_body_which_it_does_not_see(self):
        agent = self.scripted_agent(allow)
        ask(self.nginx().port, "/", "POST", b"\0\0\0\0\1x", [("Content-Type", "application/grpc+proto")])
        message = agent.calls[0][3][0]
        self.assertEqual((message[b"PostBody"], message[b"BodyTruncated"]), (b"", True))

    def test_ids_differ_and_come_back(self):
        agent = self.scripted_agent(allow)
        nginx = self.nginx()
        replies = [ask(nginx.port).seen("X-SigSci-AgentResponse") for _ in range(20)]
        self.assertEqual(replies, [["200"]] * 20)
        self.assertEqual(len({call[1] for call in agent.calls}), 20)

    def test_posts_nothing_about_an_ordinary_response(self):
        agent = self.scripted_agent(allow)
        nginx = self.nginx()
        ask(nginx.port)
        self.app.status = 404
        ask(nginx.port, "/missing")
        agent.wait_for("RPC.PostRequest")
        self.assertEqual(agent.methods(), ["RPC.PreRequest", "RPC.PreRequest", "RPC.PostRequest"])

    def test_a_post_repeats_the_request_with_its_response(self):
        agent = self.scripted_agent(allow)
        self.app.status, self.app.headers = 404, [("X-Answer", "42")]
        ask(self.nginx().port, "/missing")
        message = agent.wait_for("RPC.PostRequest")
        self.assertEqual((message[b"URI"], message[b"ResponseCode"], message[b"WAFResponse"]), (b"/missing", 404, 200))
        self.assertGreater(message[b"ResponseSize"], 0)
        self.assertIn([b"X-Answer", b"42"], message[b"HeadersOut"])

    def test_a_large_response_is_an_anomaly(self):
        agent = self.scripted_agent(allow)
        self.app.body = b"a" * 600_000
        ask(self.nginx().port)
        self.assertEqual(agent.wait_for("RPC.PostRequest")[b"ResponseSize"], 600_000)

    def test_a_post_without_a_verdict_says_so(self):
        agent = self.scripted_agent(lambda call: result(call, {"WAFResponse": -1}))
        self.app.status = 500
        ask(self.nginx().port)
        self.assertEqual(agent.wait_for("RPC.PostRequest")[b"WAFResponse"], -2)

    def test_updates_by_id_after_a_block(self):
        agent = self.scripted_agent(lambda call: result(call, {"WAFResponse": 406, "RequestID": "a" * 24}))
        ask(self.nginx().port)
        message = agent.wait_for("RPC.UpdateRequest")
        self.assertEqual((message[b"RequestID"], message[b"ResponseCode"]), (b"a" * 24, 406))
        self.assertGreaterEqual(message[b"ResponseMillis"], 0)


class Answers(Case):
    """Answers of the agent."""

    def ask_with(self, reply):
        """What becomes of a request with this result, or with these bytes."""
        self.scripted_agent(lambda call: reply(call) if callable(reply) else result(call, reply))
        return ask(self.nginx().port, headers=[("X-App", "client")])

    def test_reads_integers_and_strings_of_every_family(self):
        codes = [b"\xcd\x01\x96", b"\xd1\x01\x96", b"\xce\0\0\x01\x96", b"\xd2\0\0\x01\x96",
                 b"\xcf\0\0\0\0\0\0\x01\x96", b"\xd3\0\0\0\0\0\0\x01\x96"]
        current = []
        self.scripted_agent(lambda call: b"\x94\x01" + msgpack.packb(call[1]) + b"\xc0\x81" + current[0])
        nginx = self.nginx()
        for head in [b"\xab", b"\xd9\x0b", b"\xda\x00\x0b", b"\xdb\0\0\0\x0b", b"\xc4\x0b"]:
            for code in codes:
                current[:] = [head + b"WAFResponse" + code]
                self.assertEqual(ask(nginx.port).status, 406, (head, code))

    def test_waits_for_a_reply_that_comes_in_pieces(self):
        self.scripted_agent(lambda call: result(call, {"WAFResponse": 406, "RequestHeaders": [["X-Pad", "a" * 9000]]}))
        self.assertEqual(ask(self.nginx().port).status, 406)

    def test_sets_reserved_headers_and_appends_others(self):
        reply = self.ask_with({"WAFResponse": 200, "RequestID": "b" * 24, "RequestHeaders": [
            ["X-SigSci-Tags", "SQLI"], ["X-App", "agent"], ["Content-Length", "9"], ["Host", "evil"],
            ["X-Bad", "a\r\nX-Injected: 1"], ["bad name", "1"], ["X-Sigsci-Redirect", "/x"]]})
        self.assertEqual(reply.status, 200)
        self.assertEqual(reply.seen("X-SigSci-Tags"), ["SQLI"])
        self.assertEqual(reply.seen("X-SigSci-RequestID"), ["b" * 24])
        self.assertEqual(reply.seen("X-App"), ["client", "agent"])
        for name in ("X-Injected", "X-Bad", "bad name", "X-Sigsci-Redirect", "Content-Length"):
            self.assertEqual(reply.seen(name), [])
        self.assertNotEqual(reply.seen("Host"), ["evil"])

    def test_changes_the_response_as_told(self):
        self.app.headers = [("X-Old", "1"), ("X-Kept", "1"), ("X-More", "1")]
        reply = self.ask_with({"WAFResponse": 200, "RespActions": [
            [1, ["X-More", "2"]], [2, ["X-Set", "2"]], [3, ["X-Kept", "2"]], [3, ["X-New", "2"]], [4, ["X-Old"]],
            [2, ["Content-Length", "1"]], [9, ["X-Odd", "1"]], [2, ["X-Bad", "a\r\nb"]]]})
        values = [(name, value) for name, value in reply.headers if name.startswith("X-")]
        self.assertEqual(sorted(values), [("X-Kept", "1"), ("X-More", "1"), ("X-More", "2"), ("X-New", "2"), ("X-Set", "2")])

    def test_a_redirect_without_a_usable_location_is_a_bare_status(self):
        for headers in ([], [["X-Sigsci-Redirect", ""]], [["X-Sigsci-Redirect", "/a\r\nX-Injected: 1"]]):
            with self.subTest(headers):
                reply = self.ask_with({"WAFResponse": 302, "RequestHeaders": headers})
                self.assertEqual((reply.status, reply.header("Location"), reply.header("X-Injected")), (302, None, None))
                self.doCleanups()
                self.setUp()

    def test_understands_every_form_of_reply_that_modules_are_given(self):
        forms = [
            (200, {"WAFResponse": 200, "RequestID": "", "RequestHeaders": []}),
            (200, {"WAFResponse": 200}),
            (406, {"WAFResponse": 406, "RequestID": "0123456789abcdef01234567", "RequestHeaders": [["X-SigSci-Tags", "SQLI"]]}),
            (302, {"WAFResponse": 302, "RequestID": "", "RequestHeaders": [["X-Sigsci-Redirect", "/redirected"]]}),
            (429, {"WAFResponse": 429, "RequestID": None, "RequestHeaders": None, "New": [{"a": [True, None, -1]}]}),
        ]
        current = []
        self.scripted_agent(lambda call: result(call, current[0]))
        nginx = self.nginx()
        for status, form in forms:
            with self.subTest(form):
                current[:] = [form]
                self.assertEqual(ask(nginx.port).status, status)
