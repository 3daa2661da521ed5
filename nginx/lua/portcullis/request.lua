-- The request as the agent reads it: the keys of RpcMsgIn in docs/protocol.md.

local msgpack = require("portcullis.msgpack")

local lower, sub, find = string.lower, string.sub, string.find

local _M = {}

local VERSION = "portcullis-nginx 0.1.0"

--- Whether only the agent may set a header of this name. An application that reads headers through CGI names cannot tell
--- `_` from `-`.
function _M.is_reserved(name)
    return sub(lower(name), 1, 9):gsub("_", "-") == "x-sigsci-"
end

--- The headers of the request or response as a list of pairs.
function _M.list(headers)
    local list = {}
    for name, value in pairs(headers) do
        if type(value) ~= "table" then
            list[#list + 1] = { name, tostring(value) }
        else
            for at = 1, #value do
                list[#list + 1] = { name, tostring(value[at]) }
            end
        end
    end
    -- Lua's order of keys differs from process to process; an agent's log should not.
    table.sort(list, function(one, other) return lower(one[1]) < lower(other[1]) end)
    return list
end

-- A request that opens a stream has no end to wait for.
local function is_stream()
    return find(lower(ngx.var.http_content_type or ""), "application/grpc", 1, true) == 1
end

-- The first bytes of a body that nginx has put into a file.
local function from_file(path, most)
    local file, fault = io.open(path, "rb")
    if not file then
        return nil, fault
    end
    local bytes = file:read(most)
    local total = file:seek("end")
    file:close()
    return bytes or "", total
end

--- The body: `{bytes, total, truncated}`. One that cannot be seen is empty and truncated: never taken for no body.
function _M.body(most)
    if is_stream() then
        return { bytes = "", truncated = true }
    end
    local ok, fault = pcall(ngx.req.read_body)
    if not ok then
        return { bytes = "", truncated = true, fault = fault }
    end
    local bytes = ngx.req.get_body_data()
    if bytes then
        local total = #bytes
        return { bytes = sub(bytes, 1, most), total = total, truncated = total > most }
    end
    local path = ngx.req.get_body_file()
    if not path then
        return { bytes = "", total = 0, truncated = false }
    end
    local total
    bytes, total = from_file(path, most)
    if not bytes then
        return { bytes = "", truncated = true, fault = total }
    end
    return { bytes = bytes, total = total, truncated = total > #bytes }
end

--- Takes the request down: what the messages about it have in common, as encoded fields.
function _M.collect(headers, body)
    local var = ngx.var
    local text = function(value) return msgpack.string(value or "") end
    local list = _M.list(headers)
    local now = ngx.req.start_time()
    local fields = {
        "AccessKeyID", text(""),
        "ModuleVersion", text(VERSION),
        "ServerVersion", text(var.nginx_version),
        "ServerFlavor", text("nginx"),
        "ServerName", text(var.http_host or var.host),
        "Timestamp", msgpack.integer(now),
        "NowMillis", msgpack.integer(now * 1000),
        "RemoteAddr", text(var.remote_addr),
        "Method", text(ngx.req.get_method()),
        "Scheme", text(var.scheme),
        "URI", text(var.request_uri),
        "Protocol", text(var.server_protocol),
        "TLSProtocol", text(var.ssl_protocol),
        "TLSCipher", text(var.ssl_cipher),
        "ServerNameIndication", text(var.ssl_server_name),
        "HeadersIn", msgpack.pairs(list),
        "PostBody", text(body.bytes),
        "BodyTruncated", msgpack.boolean(body.truncated),
    }
    if body.total then
        fields[#fields + 1] = "BodyTotal"
        fields[#fields + 1] = msgpack.integer(body.total)
    end
    return fields
end

return _M
