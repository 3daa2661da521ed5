"""A Service with its pods, a load on it, and a rolling restart."""

import concurrent.futures
import http.client
import threading

import msgpack

from .client import BROWSER, Reply
from .pod import Pod


class Service:
    """A Deployment's pods behind a Service."""

    def __init__(self, cluster, service, deployment):
        self.cluster, self.deployment = cluster, deployment
        self.port = cluster.objects["Service", service]["spec"]["ports"][0]["targetPort"]
        self.endpoints, self.turn, self.changing, self.made = [], 0, threading.Lock(), 0

    def pod(self):
        """A new pod, when it is ready."""
        with self.changing:
            self.made += 1
            name = f"{self.deployment}-{self.made}"
        pod = Pod(self.cluster, self.deployment, name).await_ready()
        with self.changing:
            self.endpoints.append(pod)
        return pod

    def start(self):
        """As many pods as the Deployment wants."""
        wanted = self.cluster.deployment(self.deployment)["spec"]["replicas"]
        with concurrent.futures.ThreadPoolExecutor() as pool:
            list(pool.map(lambda _: self.pod(), range(wanted)))
        return self

    def ask(self, path="/hello?name=bob", method="GET", body=None, headers=()):
        """One request, over a connection of its own, to the pod whose turn it is."""
        with self.changing:
            pod = self.endpoints[self.turn % len(self.endpoints)]
            self.turn += 1
        with pod.network.connect(self.port) as connection:
            client = http.client.HTTPConnection("shop.example")
            client.sock = connection
            client.request(method, path, body, dict([*BROWSER, *headers]))
            return Reply(client.getresponse())

    def restart(self):
        """A rolling restart: one pod more than wanted, none less. Returns how each old container ended."""
        ends = []
        with concurrent.futures.ThreadPoolExecutor() as pool:
            for old in list(self.endpoints):
                self.pod()
                with self.changing:
                    self.endpoints.remove(old)
                ends.append(pool.submit(old.terminate))
            return [end.result() for end in ends]

    def close(self):
        """Leaves nothing behind."""
        for pod in self.endpoints:
            pod.kill()


class RpcService(Service):
    """The agent's own pods, asked as modules ask."""

    def ask(self, path="/hello?name=bob"):
        """The verdict on a request."""
        with self.changing:
            pod = self.endpoints[self.turn % len(self.endpoints)]
            self.turn += 1
        message = {"Method": "GET", "Scheme": "http", "URI": path, "Protocol": "HTTP/1.1", "ServerName": "shop.example",
                   "RemoteAddr": "192.0.2.1", "HeadersIn": [["Host", "shop.example"], *map(list, BROWSER)]}
        reply = b""
        with pod.network.connect(self.port) as connection:
            connection.sendall(msgpack.packb([0, 7, "RPC.PreRequest", [message]]))
            while piece := connection.recv(4096):
                reply += piece
        kind, number, error, result = msgpack.unpackb(reply)
        assert (kind, number, error) == (1, 7, None), reply
        return Verdict(result["WAFResponse"])


class Verdict:
    """What a module is told, in the place of a response."""

    def __init__(self, status):
        self.status = status


class Load:
    """Clients that ask a Service until they are told to stop, and keep every answer that is not the right one."""

    def __init__(self, service, requests, clients=3):
        self.service, self.requests = service, requests
        self.ended, self.count, self.wrong = threading.Event(), 0, []
        self.threads = [threading.Thread(target=self.run) for _ in range(clients)]
        for thread in self.threads:
            thread.start()

    def run(self):
        """Asks."""
        while not self.ended.wait(0.01):
            for path, status in self.requests:
                try:
                    seen = self.service.ask(path).status
                except (OSError, ValueError, http.client.HTTPException) as error:
                    seen = repr(error)
                self.count += 1
                if seen != status:
                    self.wrong.append((path, seen))

    def end(self):
        """Stops, and returns (how many were asked, which went wrong)."""
        self.ended.set()
        for thread in self.threads:
            thread.join()
        return self.count, self.wrong
