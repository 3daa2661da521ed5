-- One call to the agent: a connection of its own, one message each way, and a deadline over all of it.

local msgpack = require("portcullis.msgpack")

local _M = {}

-- Replies are a few hundred bytes.
local MAX_REPLY = 65536
local MAX_ID = 2147483647

local last_id = 0

local function next_id()
    last_id = last_id % MAX_ID + 1
    return last_id
end

-- Milliseconds that are left, at least one: 0 would mean nginx's own default of a minute.
local function left(deadline)
    ngx.update_time()
    local millis = (deadline - ngx.now()) * 1000
    return millis >= 1 and millis or nil
end

local function connect(socket, config)
    if config.agent_path then
        return socket:connect("unix:" .. config.agent_path)
    end
    return socket:connect(config.agent_host, config.agent_port)
end

-- The result of a reply that is whole, (nil, nil) where more must come, or (nil, failure).
local function result(reply, id)
    local message, fault = msgpack.decode(reply)
    if fault == msgpack.INCOMPLETE then
        return nil, nil
    elseif type(message) ~= "table" or message[1] ~= 1 or #message ~= 4 then
        return nil, "decode"
    elseif message[2] ~= id then
        -- The answer to another request must never be taken for the answer to this one.
        return nil, "foreign"
    elseif message[3] ~= msgpack.NIL then
        return nil, "refused"
    end
    return message[4], nil
end

local function receive(socket, id, deadline)
    local reply = ""
    while true do
        local millis = left(deadline)
        if not millis then
            return nil, "timeout"
        end
        socket:settimeout(millis)
        local piece, fault = socket:receiveany(4096)
        if not piece then
            return nil, fault == "timeout" and "timeout" or "reset"
        end
        reply = reply .. piece
        if #reply > MAX_REPLY then
            return nil, "decode"
        end
        local value, failure = result(reply, id)
        if value ~= nil or failure then
            return value, failure
        end
    end
end

local function converse(socket, config, method, argument)
    local deadline = ngx.now() + config.timeout_ms / 1000
    socket:settimeout(config.timeout_ms)
    local connected, fault = connect(socket, config)
    if not connected then
        return nil, fault == "timeout" and "timeout" or "connect"
    end
    local millis = left(deadline)
    if not millis then
        return nil, "timeout"
    end
    socket:settimeout(millis)
    local id = next_id()
    local sent
    sent, fault = socket:send(msgpack.call(id, method, argument))
    if not sent then
        return nil, fault == "timeout" and "timeout" or "reset"
    end
    return receive(socket, id, deadline)
end

--- Asks the agent. Answers the result, or (nil, failure): one of `timeout`, `connect`, `reset`, `refused`, `foreign`,
--- `decode`.
function _M.call(config, method, argument)
    ngx.update_time()
    local socket = ngx.socket.tcp()
    local value, failure = converse(socket, config, method, argument)
    -- The agent answers one call a connection.
    socket:close()
    return value, failure
end

return _M
