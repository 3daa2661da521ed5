-- Portcullis for nginx: asks the agent about each request before anything else sees it.
--
--   init_by_lua_block            { require("portcullis").configure({ agent = "unix:/var/run/sigsci.sock" }) }
--   rewrite_by_lua_block         { require("portcullis").inspect() }
--   header_filter_by_lua_block   { require("portcullis").respond() }
--   log_by_lua_block             { require("portcullis").report() }
--
-- The rewrite phase and not the access phase: `satisfy any` can skip the latter. See nginx/README.md.

local agent = require("portcullis.agent")
local configs = require("portcullis.config")
local msgpack = require("portcullis.msgpack")
local reports = require("portcullis.report")
local request = require("portcullis.request")
local verdicts = require("portcullis.verdict")

local _M = { VERSION = "0.1.0" }

local config

-- nginx forgets `ngx.ctx` at an internal redirect. A state lives as long as its request: the values are weak.
local states = setmetatable({}, { __mode = "v" })

-- What a request is known by across redirects. nginx draws $request_id anew each time it is asked, unless the
-- configuration mentions it somewhere; portcullis.conf does. Without it a redirected request is asked about again.
local function identity()
    local id = ngx.var.request_id
    return id == ngx.var.request_id and id or nil
end

local function count(name)
    local counters = config.counters ~= "" and ngx.shared[config.counters]
    if counters then
        counters:incr(name, 1, 0)
    end
end

local function state_of_request()
    local state = ngx.ctx.portcullis
    if not state then
        local id = identity()
        state = id and states[id]
        ngx.ctx.portcullis = state
    end
    return state
end

-- Takes away what only the agent may say.
local function strip(headers)
    local forged = false
    for name in pairs(headers) do
        if request.is_reserved(name) then
            ngx.req.clear_header(name)
            forged = true
        end
    end
    if forged then
        count("forged_headers")
    end
end

-- nginx has pages for these, and `error_page` knows them.
local function has_page(code)
    return (code >= 400 and code <= 429) or (code >= 500 and code <= 507)
end

local function answer(code, location)
    if location then
        ngx.header["Location"] = location
        return ngx.exit(code)
    elseif has_page(code) then
        return ngx.exit(code)
    end
    ngx.status = code
    ngx.header["Content-Type"] = "text/plain"
    ngx.print("blocked\n")
    return ngx.exit(ngx.HTTP_OK)
end

local last_said = {}

-- An agent that is away fails every request: once a second and reason is enough to say so.
local function complain(failure, detail)
    count("failures_" .. failure)
    local now = ngx.now()
    if now - (last_said[failure] or 0) >= 1 then
        last_said[failure] = now
        ngx.log(ngx.ERR, "portcullis: request not inspected: ", failure, detail and ": " or "", detail or "")
    end
end

local function without_verdict(failure, detail)
    complain(failure, detail)
    if not config.fail_open then
        return answer(config.fail_status)
    end
end

local function obey(verdict)
    verdicts.tell_application(verdict)
    if verdict.code == 200 then
        return count("allowed")
    end
    count(verdict.location and "redirected" or "blocked")
    return answer(verdict.code, verdict.location)
end

local function ask(state, headers)
    local unreadable
    local ok, fault = pcall(function()
        local body = request.body(config.body_max_bytes)
        if body.truncated then
            count("body_truncated")
        end
        state.fields = request.collect(headers, body)
        unreadable = body.fault
    end)
    if not ok then
        return nil, "module", tostring(fault)
    elseif unreadable and not config.fail_open then
        return nil, "body", tostring(unreadable)
    elseif unreadable then
        complain("body", tostring(unreadable))
    end
    local result, failure = agent.call(config, "RPC.PreRequest", msgpack.map(state.fields))
    if failure then
        return nil, failure
    end
    return verdicts.read(result)
end

--- Checks the options and keeps them; see `portcullis/config.lua`. Call it in `init_by_lua_block`.
function _M.configure(options)
    config = configs.make(options)
end

--- Asks the agent, and lets the request go on or ends it. Once a request, however often nginx redirects it inside.
function _M.inspect()
    if ngx.is_subrequest or state_of_request() then
        return
    end
    local state = {}
    ngx.ctx.portcullis = state
    local id = identity()
    if id then
        states[id] = state
    end
    count("requests")
    local headers = ngx.req.get_headers(0, true)
    strip(headers)
    local verdict, failure, detail = ask(state, headers)
    if not verdict then
        return without_verdict(failure, detail)
    end
    state.verdict = verdict
    return obey(verdict)
end

--- Changes the response's headers as the agent wishes. Call it in `header_filter_by_lua_block`.
function _M.respond()
    local state = state_of_request()
    if state and state.verdict then
        verdicts.change_response(state.verdict)
    end
end

--- Reports the response where the agent wants to hear of it. Call it in `log_by_lua_block`.
function _M.report()
    local state = state_of_request()
    if not state or not state.fields then
        return
    end
    local method, message = reports.due(config, state)
    if method then
        reports.send(config, method, message, count)
    end
end

--- Prints the counters for Prometheus. Call it in a `content_by_lua_block` that only operators reach.
function _M.metrics()
    local counters = config.counters ~= "" and ngx.shared[config.counters]
    if not counters then
        return ngx.exit(ngx.HTTP_NOT_FOUND)
    end
    ngx.header["Content-Type"] = "text/plain; version=0.0.4"
    local names = counters:get_keys(0)
    table.sort(names)
    for _, name in ipairs(names) do
        local reason = name:match("^failures_(.+)$")
        local line = reason and ('failures_total{reason="' .. reason .. '"}') or (name .. "_total")
        ngx.say("portcullis_", line, " ", counters:get(name))
    end
end

return _M
