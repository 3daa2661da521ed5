"""Where in nginx the module acts: every request once, and none around it."""

from rehearsal.agents import allow, result
from rehearsal.client import ask
from rehearsal.nginx import check, environment
from rehearsal.parts import ATTACK, ROOT
from rehearsal.process import Process
from support import Case


class Places(Case):
    """Locations with directives that lead elsewhere."""

    def upstream(self):
        """A location's way to the application."""
        return f"proxy_pass http://127.0.0.1:{self.app.port};"

    def test_satisfy_any_is_no_way_around(self):
        self.real_agent()
        server = "location / { satisfy any; allow all; %s }" % self.upstream()
        self.assertEqual(ask(self.nginx(server=server).port, ATTACK).status, 406)

    def test_does_not_open_what_satisfy_any_closes(self):
        self.scripted_agent(allow)
        server = ("location / { satisfy any; deny all; auth_basic x; auth_basic_user_file /dev/null; %s }"
                  % self.upstream())
        self.assertIn(ask(self.nginx(server=server).port).status, (401, 403))

    def test_asks_once_through_internal_redirects(self):
        agent = self.scripted_agent(allow)
        server = """
            location /rewritten { rewrite ^ /last last; }
            location /tried { try_files /nonexistent @named; }
            location /wrong { return 404; error_page 404 = /last; }
            location /checked { auth_request /auth; %(up)s }
            location = /auth { internal; return 204; }
            location @named { %(up)s }
            location / { %(up)s }
        """ % {"up": self.upstream()}
        nginx = self.nginx(server=server)
        for path in ("/rewritten", "/tried", "/checked", "/plain"):
            agent.calls.clear()
            self.assertEqual(ask(nginx.port, path).status, 200, path)
            self.assertEqual(agent.methods(), ["RPC.PreRequest"], path)

    def test_reports_a_block_that_an_error_page_dresses(self):
        agent = self.scripted_agent(lambda call: result(call, {"WAFResponse": 406, "RequestID": "c" * 24}))
        server = """
            error_page 406 /blocked;
            location = /blocked { internal; default_type text/html; return 406 "<h1>Go away</h1>"; }
            location / { %s }
        """ % self.upstream()
        reply = ask(self.nginx(server=server).port)
        self.assertEqual((reply.status, reply.body), (406, b"<h1>Go away</h1>"))
        self.assertEqual(agent.wait_for("RPC.UpdateRequest")[b"RequestID"], b"c" * 24)
        self.assertEqual(agent.methods().count("RPC.PreRequest"), 1)
        self.assertEqual(self.app.seen, [])

    def test_pages_of_nginxs_own_errors_are_served(self):
        self.scripted_agent(allow)
        server = """
            client_max_body_size 10;
            error_page 400 413 414 /sorry;
            location = /sorry { internal; return 200 "sorry"; }
            location / { %s }
        """ % self.upstream()
        nginx = self.nginx(server=server)
        self.assertEqual(ask(nginx.port, "/", "POST", b"x" * 1000).body, b"sorry")
        self.assertEqual(ask(nginx.port, "/" + "x" * 40_000).body, b"sorry")
        self.assertEqual(ask(nginx.port, headers=[("Host", "two"), ("Host", "hosts")]).body, b"sorry")
        self.assertEqual(ask(nginx.port).status, 200)

    def test_bad_options_keep_nginx_from_starting(self):
        nginx = self.nginx()
        file = self.folder / "nginx.conf"
        good = file.read_text()
        self.assertTrue(check(file)[0], check(file)[1])
        nginx.stop()
        for old, new, said in [
            ("timeout_ms = 100", "timeout_ms = 0", "timeout_ms must be a whole number from 5 to 10000"),
            ("timeout_ms = 100", 'timeout_ms = "100"', "timeout_ms must be a number"),
            ("fail_open = true", "fail_opne = true", "no option is named fail_opne"),
            (f"unix:{self.folder}/agent.sock", "agent.sock", "agent must be unix:/PATH or HOST:PORT"),
            ('counters = "portcullis"', 'counters = "other"', "there is no lua_shared_dict other"),
        ]:
            with self.subTest(new):
                self.assertIn(old, good)
                file.write_text(good.replace(old, new))
                # `nginx -t` runs no Lua: only a start finds these.
                refused = Process(nginx.command_line(), env=environment())
                self.assertNotEqual(refused.ended(), 0)
                self.assertIn(said, refused.log())

    def test_reaches_an_agent_over_tcp(self):
        agent = self.real_agent(rpc_address="127.0.0.1:0")
        address = agent.wait_for("listening address=").split('"')[1]
        nginx = self.nginx(change=[(f"unix:{self.folder}/agent.sock", address)])
        self.assertEqual(ask(nginx.port, ATTACK).status, 406)


class IngressNginx(Case):
    """The plugin, called as the controller up to 1.11 calls plugins: by phase, within pcall."""

    CALLER = """
        lua_package_path "%(lua)s/?.lua;%(nginx)s/lua/?.lua;;";
        init_by_lua_block {
            local real = dofile
            dofile = function(path)
                local options = real((path:gsub("^/etc/nginx/lua/plugins/portcullis/", "%(nginx)s/ingress-nginx/")))
                options.agent = "unix:%(socket)s"
                return options
            end
            plugin = dofile and (loadfile("%(nginx)s/ingress-nginx/main.lua"))()
            run = function() pcall(plugin[ngx.get_phase()]) end
        }
        rewrite_by_lua_block { run() }
        header_filter_by_lua_block { run() }
        log_by_lua_block { run() }
    """

    def test_the_plugin_blocks_and_reports(self):
        from rehearsal.nginx import RESTY
        from rehearsal.parts import path
        agent = self.real_agent()
        conf = self.CALLER % {"nginx": ROOT / "nginx", "socket": self.folder / "agent.sock",
                              "lua": path("PORTCULLIS_NGINX") / RESTY}
        nginx = self.nginx(conf=conf)
        self.assertEqual(ask(nginx.port).status, 200)
        self.assertEqual(ask(nginx.port, ATTACK).status, 406)
        self.assertEqual(len(self.app.seen), 1)
        agent.wait_for("response reported code=406")
