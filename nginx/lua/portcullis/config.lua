-- The options of the module: checked once, when nginx starts. (`nginx -t` runs no Lua and cannot see them.)

local _M = {}

local DEFAULTS = {
    -- unix:PATH, or HOST:PORT (a name needs nginx's `resolver`).
    agent = "unix:/var/run/sigsci.sock",
    -- For a whole exchange with the agent, connecting included.
    timeout_ms = 100,
    -- Whether a request without a verdict goes on.
    fail_open = true,
    -- The answer to it where it does not.
    fail_status = 503,
    -- Bytes of a body that the agent is shown; the agent's own default of inspection-max-content-length.
    body_max_bytes = 307200,
    -- Responses of this status and above, this size, or this duration are reported though nothing was found.
    report_min_status = 300,
    report_large_bytes = 524288,
    report_slow_ms = 1000,
    -- Name of a `lua_shared_dict` for counters; none: nothing is counted.
    counters = "",
}

local RANGES = {
    timeout_ms = { 5, 10000 },
    fail_status = { 400, 599 },
    body_max_bytes = { 0, 10485760 },
    report_min_status = { 200, 600 },
    report_large_bytes = { 1, 2 ^ 40 },
    report_slow_ms = { 1, 3600000 },
}

local function check(name, value)
    local default = DEFAULTS[name]
    if default == nil then
        return "portcullis: no option is named " .. tostring(name)
    elseif type(value) ~= type(default) then
        return "portcullis: " .. name .. " must be a " .. type(default) .. ", not a " .. type(value)
    end
    local range = RANGES[name]
    if range and not (value >= range[1] and value <= range[2] and value % 1 == 0) then
        return string.format("portcullis: %s must be a whole number from %d to %d", name, range[1], range[2])
    end
end

local function address(config)
    local path = config.agent:match("^unix:(/.+)$") or config.agent:match("^(/.+)$")
    if path then
        config.agent_path = path
        return
    end
    local host, port = config.agent:match("^(%[?[%w%.:%-]+%]?):(%d+)$")
    port = tonumber(port)
    if not host or port < 1 or port > 65535 then
        return "portcullis: agent must be unix:/PATH or HOST:PORT, not " .. config.agent
    end
    config.agent_host, config.agent_port = host, port
end

--- The options with their defaults. Raises what is wrong with them, which keeps nginx from starting.
function _M.make(options)
    local config = {}
    for name, value in pairs(DEFAULTS) do
        config[name] = value
    end
    for name, value in pairs(options or {}) do
        local fault = check(name, value)
        if fault then
            error(fault, 0)
        end
        config[name] = value
    end
    local fault = address(config)
    if fault then
        error(fault, 0)
    end
    if config.counters ~= "" and not ngx.shared[config.counters] then
        error("portcullis: there is no lua_shared_dict " .. config.counters, 0)
    end
    return config
end

return _M
