-- What the agent hears of a response: always where it gave the request an id, else of anomalies only.

local agent = require("portcullis.agent")
local msgpack = require("portcullis.msgpack")
local request = require("portcullis.request")
local verdicts = require("portcullis.verdict")

local _M = {}

-- What modules say of a request on which they have no verdict.
local NO_VERDICT = -2

local function is_anomalous(config, status, size, millis)
    return status >= config.report_min_status or size >= config.report_large_bytes or millis >= config.report_slow_ms
end

local function response_fields(status, size, millis)
    return {
        "ResponseCode", msgpack.integer(status),
        "ResponseMillis", msgpack.integer(millis),
        "ResponseSize", msgpack.integer(size),
        "HeadersOut", msgpack.pairs(request.list(ngx.resp.get_headers(0, true))),
    }
end

local function joined(one, other)
    local all = {}
    for _, part in ipairs({ one, other }) do
        for _, value in ipairs(part) do
            all[#all + 1] = value
        end
    end
    return all
end

--- The report that is due, as (method, message); nil where none is.
function _M.due(config, state)
    local status = ngx.status
    local size = tonumber(ngx.var.body_bytes_sent) or -1
    ngx.update_time()
    local millis = math.max(0, (ngx.now() - ngx.req.start_time()) * 1000)
    local verdict = state.verdict
    if verdict and verdict.id ~= "" then
        local fields = joined(verdicts.update_fields(verdict), response_fields(status, size, millis))
        return "RPC.UpdateRequest", msgpack.map(fields)
    elseif not is_anomalous(config, status, size, millis) then
        return nil
    end
    local code = { "WAFResponse", msgpack.integer(verdict and verdict.code or NO_VERDICT) }
    return "RPC.PostRequest", msgpack.map(joined(joined(state.fields, code), response_fields(status, size, millis)))
end

local function deliver(premature, config, method, message, count)
    if premature then
        -- The worker ends, and sockets with it.
        return count("reports_dropped")
    end
    local _, failure = agent.call(config, method, message)
    count(failure and "reports_failed" or "reports_sent")
end

--- Sends a report when the client has been served. nginx bounds how many may wait (`lua_max_pending_timers`).
function _M.send(config, method, message, count)
    local ok = ngx.timer.at(0, deliver, config, method, message, count)
    if not ok then
        count("reports_dropped")
    end
end

return _M
