-- From the agent's reply to what becomes of the request.

local msgpack = require("portcullis.msgpack")
local request = require("portcullis.request")

local lower, find = string.lower, string.find

local _M = {}

local MAX_HEADERS = 64

-- Headers that frame a message or name its host are nobody's to set.
local FRAMING = {
    ["host"] = true, ["connection"] = true, ["content-length"] = true, ["transfer-encoding"] = true,
    ["te"] = true, ["trailer"] = true, ["upgrade"] = true, ["x-sigsci-redirect"] = true,
}

local function is_pair(pair)
    return type(pair) == "table" and type(pair[1]) == "string" and type(pair[2]) == "string"
end

local function is_value(value)
    return not find(value, "[%z\r\n]")
end

local function is_token(name)
    return name ~= "" and not find(name, "[^%w!#$%%&'*+%-.^_`|~]")
end

local function list(value)
    if type(value) ~= "table" then
        return {}
    end
    local pairs_of = {}
    for at = 1, math.min(#value, MAX_HEADERS) do
        pairs_of[at] = value[at]
    end
    return pairs_of
end

local function location(pairs_of, code)
    if code >= 400 then
        return nil
    end
    for _, pair in ipairs(pairs_of) do
        if is_pair(pair) and lower(pair[1]) == "x-sigsci-redirect" and pair[2] ~= "" and is_value(pair[2]) then
            return pair[2]
        end
    end
end

-- Changes to the response: {code, {name, value}}; 1 add, 2 set, 3 set if absent, 4 delete.
local function actions(value)
    local usable = {}
    for _, action in ipairs(list(value)) do
        local code, pair = action[1], action[2]
        local named = type(pair) == "table" and type(pair[1]) == "string" and is_token(pair[1])
        local allowed = named and not FRAMING[lower(pair[1])]
        if allowed and (code == 4 or (is_pair(pair) and is_value(pair[2]) and code >= 1 and code <= 3)) then
            usable[#usable + 1] = { code = code, name = pair[1], value = pair[2] }
        end
    end
    return usable
end

--- Reads a result. Answers `{code, id, headers, location, actions}`, or (nil, failure): `decode`, or `not_inspected`
--- where the agent says that it did not look at the request.
function _M.read(result)
    if type(result) ~= "table" or type(result.WAFResponse) ~= "number" then
        return nil, "decode"
    end
    local code = result.WAFResponse
    if code ~= 200 and not (code >= 300 and code <= 599) then
        return nil, "not_inspected"
    end
    local id = result.RequestID
    local headers = list(result.RequestHeaders)
    return {
        code = code,
        id = type(id) == "string" and is_value(id) and id or "",
        headers = headers,
        location = code ~= 200 and location(headers, code) or nil,
        actions = actions(result.RespActions),
    }
end

local function append(name, value)
    local present = ngx.req.get_headers(0)[name]
    if present == nil then
        return ngx.req.set_header(name, value)
    elseif type(present) ~= "table" then
        present = { present }
    end
    present[#present + 1] = value
    ngx.req.set_header(name, present)
end

--- Gives the application the agent's headers: those named X-SigSci-* replace, others are added.
function _M.tell_application(verdict)
    ngx.req.set_header("X-SigSci-AgentResponse", tostring(verdict.code))
    if verdict.id ~= "" then
        ngx.req.set_header("X-SigSci-RequestID", verdict.id)
    end
    for _, pair in ipairs(verdict.headers) do
        if is_pair(pair) and is_token(pair[1]) and is_value(pair[2]) and not FRAMING[lower(pair[1])] then
            if request.is_reserved(pair[1]) then
                ngx.req.set_header(pair[1], pair[2])
            else
                append(pair[1], pair[2])
            end
        end
    end
end

--- Changes the response's headers as the agent wishes.
function _M.change_response(verdict)
    for _, action in ipairs(verdict.actions) do
        local name, present = action.name, ngx.header[action.name]
        if action.code == 4 then
            ngx.header[name] = nil
        elseif action.code == 2 or (action.code == 3 and present == nil) or (action.code == 1 and present == nil) then
            ngx.header[name] = action.value
        elseif action.code == 1 then
            local values = type(present) == "table" and present or { present }
            values[#values + 1] = action.value
            ngx.header[name] = values
        end
    end
end

--- The fields of an UpdateRequest.
function _M.update_fields(verdict)
    return { "RequestID", msgpack.string(verdict.id) }
end

return _M
