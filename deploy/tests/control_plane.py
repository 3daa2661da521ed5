"""What istiod and Envoy Gateway make of our resources, as far as our resources use it: a configuration that Envoy runs."""

import copy
import json
import re

HCM = "envoy.filters.network.http_connection_manager"
TYPE = "type.googleapis.com/envoy.extensions.filters."
WASM = TYPE + "http.wasm.v3.Wasm"


def base(port, app_port, buffer=None, filters=()):
    """A gateway as both control planes make one: a listener, a connection manager, a router, a cluster."""
    router = {"name": "envoy.filters.http.router", "typed_config": {"@type": TYPE + "http.router.v3.Router"}}
    manager = {
        "@type": TYPE + "network.http_connection_manager.v3.HttpConnectionManager", "stat_prefix": "http",
        "use_remote_address": True, "http_filters": [*filters, router],
        "route_config": {"name": "all", "virtual_hosts": [{
            "name": "all", "domains": ["*"],
            "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "application"}}]}]},
    }
    listener = {
        "name": "default/eg/http", "address": address(port),
        "filter_chains": [{"filters": [{"name": HCM, "typed_config": manager}]}],
    }
    if buffer:
        listener["per_connection_buffer_limit_bytes"] = buffer
    return {"static_resources": {"listeners": [listener], "clusters": [{
        "name": "application", "type": "STATIC", "connect_timeout": "5s",
        "load_assignment": {"cluster_name": "application", "endpoints": [
            {"lb_endpoints": [{"endpoint": {"address": address(app_port)}}]}]}}]}}


def address(port):
    """A port on loopback."""
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def manager_of(bootstrap):
    """The connection manager."""
    return bootstrap["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]


def istio(docs, bootstrap, context="GATEWAY"):
    """Applies EnvoyFilters and WasmPlugins of `context`."""
    extensions = {}
    for doc in docs:
        if doc["kind"] == "EnvoyFilter":
            for patch in doc["spec"]["configPatches"]:
                if patch["match"]["context"] == context:
                    envoy_filter(patch, bootstrap, extensions)
    for doc in docs:
        if doc["kind"] == "WasmPlugin":
            manager_of(bootstrap)["http_filters"].insert(0, wasm_plugin(doc["spec"]))
    for at, entry in enumerate(manager_of(bootstrap)["http_filters"]):
        # Delivered by name later on; istiod refuses a name that it does not have.
        if "config_discovery" in entry:
            manager_of(bootstrap)["http_filters"][at] = {
                "name": entry["name"], "typed_config": extensions[entry["name"]]}
    return bootstrap


def envoy_filter(patch, bootstrap, extensions):
    """One patch."""
    place, operation, value = patch["applyTo"], patch["patch"]["operation"], copy.deepcopy(patch["patch"]["value"])
    if (place, operation) == ("CLUSTER", "ADD"):
        bootstrap["static_resources"]["clusters"].append(value)
    elif (place, operation) == ("EXTENSION_CONFIG", "ADD"):
        extensions[value["name"]] = value["typed_config"]
    elif (place, operation) == ("HTTP_FILTER", "INSERT_FIRST"):
        if patch["match"]["listener"]["filterChain"]["filter"]["name"] == HCM:
            manager_of(bootstrap)["http_filters"].insert(0, value)
    else:
        raise AssertionError(f"{operation} of {place} is not known here")


def wasm_plugin(spec):
    """The filter that istiod makes of a WasmPlugin."""
    return {"name": "extensions.portcullis", "typed_config": {"@type": WASM, "config": {
        "name": "istio-ingress.portcullis", "root_id": spec["pluginName"],
        "failure_policy": {"FAIL_CLOSE": "FAIL_CLOSED"}.get(spec["failStrategy"], spec["failStrategy"]),
        "configuration": string(spec["pluginConfig"]),
        "vm_config": {"runtime": "envoy.wasm.runtime.v8", "code": {"remote": {"http_uri": {"uri": spec["url"]}}}}}}}


def string(config):
    """A plugin's configuration as both hand it over: JSON in a StringValue."""
    return {"@type": "type.googleapis.com/google.protobuf.StringValue", "value": json.dumps(config)}


def envoy_gateway(docs, port, app_port):
    """Applies EnvoyExtensionPolicy, ClientTrafficPolicy and EnvoyPatchPolicies."""
    of_kind = lambda kind: [doc for doc in docs if doc["kind"] == kind]
    limit = of_kind("ClientTrafficPolicy")[0]["spec"]["connection"]["bufferLimit"] if of_kind("ClientTrafficPolicy") else "32Ki"
    size = int(limit[:-2]) * {"Ki": 1024, "Mi": 1024 * 1024}[limit[-2:]]
    filters, enabled = [], {}
    for policy in of_kind("EnvoyExtensionPolicy"):
        for at, wasm in enumerate(policy["spec"]["wasm"]):
            name = f"envoy.filters.http.wasm/envoyextensionpolicy/default/{policy['metadata']['name']}/wasm/{at}"
            # Off in the chain, and on in the routes that the policy is for.
            filters.append({"name": name, "disabled": True, "typed_config": {"@type": WASM, "config": {
                "name": wasm["name"], "root_id": wasm["rootID"], "configuration": string(wasm["config"]),
                "vm_config": {"vm_id": name, "runtime": "envoy.wasm.runtime.v8",
                              "code": {"remote": {"http_uri": {"uri": wasm["code"]["image"]["url"]}}}}}}})
            enabled[name] = {"@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig", "config": {}}
    bootstrap = base(port, app_port, size, filters)
    manager_of(bootstrap)["route_config"]["virtual_hosts"][0]["routes"][0]["typed_per_filter_config"] = enabled
    for policy in of_kind("EnvoyPatchPolicy"):
        for patch in policy["spec"]["jsonPatches"]:
            patch_resource(patch, bootstrap)
    return bootstrap


def patch_resource(patch, bootstrap):
    """One JSON patch of a resource by type and name."""
    kind = {"Cluster": "clusters", "Listener": "listeners"}[patch["type"].rsplit(".", 1)[1]]
    resources, operation = bootstrap["static_resources"][kind], patch["operation"]
    value = copy.deepcopy(operation["value"])
    if "jsonPath" not in operation and operation["path"] == "":
        resources.append(value)
        return
    resource = next((one for one in resources if one["name"] == patch["name"]), None)
    places = found(resource, operation["jsonPath"]) if resource else []
    if not places:
        raise AssertionError(f"{patch['name']}: {operation['jsonPath']} leads nowhere")
    for place in places:
        place[operation["path"]] = value


def found(value, expression):
    """The places of `..list[?(@.name=='...')].key.key`."""
    listed, name, rest = re.fullmatch(r"[.][.](\w+)\[[?][(]@[.]name=='([^']+)'[)]\]((?:[.]\w+)*)", expression).groups()
    places = []

    def walk(node):
        if isinstance(node, dict):
            for key, inner in node.items():
                if key == listed:
                    places.extend(entry for entry in inner if entry.get("name") == name)
                walk(inner)
        elif isinstance(node, list):
            for inner in node:
                walk(inner)

    walk(value)
    for key in rest.split(".")[1:]:
        places = [place[key] for place in places if key in place]
    return places


def wasm_configs(node):
    """Every plugin's configuration."""
    if isinstance(node, dict):
        if node.get("@type") == WASM:
            yield node["config"]
        for inner in node.values():
            yield from wasm_configs(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from wasm_configs(inner)


def place_module(bootstrap, module):
    """What istio-agent and Envoy Gateway do: the module is fetched, and a local file takes its place."""
    for config in wasm_configs(bootstrap):
        config["vm_config"]["code"] = {"local": {"filename": str(module)}}
    return bootstrap
