-- The part of msgpack that the agent's protocol needs: docs/protocol.md.
--
-- What is encoded is made here, from bounded parts. What is decoded comes from a socket: lengths are checked against
-- what has arrived, depth and count against limits, before anything is built.

local bit = require("bit")

local byte, char, sub = string.byte, string.char, string.sub
local concat, floor = table.concat, math.floor
local band, rshift = bit.band, bit.rshift

local _M = {}

local MAX_DEPTH = 8
local MAX_VALUES = 1024

-- nil within an array is written as this.
local NIL = {}
_M.NIL = NIL

local function be16(number)
    return char(band(rshift(number, 8), 0xff), band(number, 0xff))
end

local function be32(number)
    local low = number % 65536
    return be16((number - low) / 65536) .. be16(low)
end

-- Old decoders know no `str 8`: from 32 bytes on it is `str 16`.
local function head_of_string(length)
    if length < 32 then
        return char(0xa0 + length)
    elseif length < 65536 then
        return "\218" .. be16(length)
    end
    return "\219" .. be32(length)
end

local function head_of_array(length)
    if length < 16 then
        return char(0x90 + length)
    end
    return "\220" .. be16(length)
end

--- A string of bytes.
function _M.string(value)
    return head_of_string(#value) .. value
end

--- A whole number; fractions are cut off.
function _M.integer(number)
    number = floor(number)
    if number >= 0 and number < 128 then
        return char(number)
    elseif number < 0 and number >= -32 then
        return char(256 + number)
    elseif number < 0 then
        return "\210" .. be32(number + 4294967296)
    elseif number < 4294967296 then
        return "\206" .. be32(number)
    end
    local low = number % 4294967296
    return "\207" .. be32((number - low) / 4294967296) .. be32(low)
end

--- true or false.
function _M.boolean(value)
    return value and "\195" or "\194"
end

--- The pairs of a list `{{name, value}, ...}`, at most 65535.
function _M.pairs(list)
    local count = #list
    if count > 65535 then
        count = 65535
    end
    local parts = { head_of_array(count) }
    for at = 1, count do
        local pair = list[at]
        parts[at + 1] = "\146" .. _M.string(pair[1]) .. _M.string(pair[2])
    end
    return concat(parts)
end

--- A map of the encoded values in `fields`, a list `{key, encoded, key, encoded, ...}`.
function _M.map(fields)
    local count = #fields / 2
    local parts = { count < 16 and char(0x80 + count) or ("\222" .. be16(count)) }
    for at = 1, #fields, 2 do
        parts[#parts + 1] = _M.string(fields[at])
        parts[#parts + 1] = fields[at + 1]
    end
    return concat(parts)
end

--- A call of msgpack-RPC with one encoded argument.
function _M.call(id, method, argument)
    return "\148\0" .. _M.integer(id) .. _M.string(method) .. "\145" .. argument
end

-- Reading. Every reader answers (value, next position), or raises one of these two.
local INCOMPLETE = "incomplete"

local function need(bytes, at, count)
    if at + count - 1 > #bytes then
        error(INCOMPLETE, 0)
    end
end

local function unsigned(bytes, at, size)
    need(bytes, at, size)
    local number = 0
    for offset = 0, size - 1 do
        number = number * 256 + byte(bytes, at + offset)
    end
    return number, at + size
end

local function signed(bytes, at, size)
    local number, after = unsigned(bytes, at, size)
    local span = 2 ^ (size * 8)
    return number >= span / 2 and number - span or number, after
end

local read

local function text(bytes, at, length)
    need(bytes, at, length)
    return sub(bytes, at, at + length - 1), at + length
end

local function array(bytes, at, length, state)
    local list, value = {}, nil
    for index = 1, length do
        value, at = read(bytes, at, state)
        list[index] = value == nil and NIL or value
    end
    return list, at
end

local function map(bytes, at, length, state)
    local fields, key, value = {}, nil, nil
    for _ = 1, length do
        key, at = read(bytes, at, state)
        value, at = read(bytes, at, state)
        if type(key) == "string" then
            fields[key] = value
        end
    end
    return fields, at
end

local function nested(reader, bytes, at, length, state)
    if state.depth >= MAX_DEPTH then
        error("nested too deeply", 0)
    end
    state.depth = state.depth + 1
    local value, after = reader(bytes, at, length, state)
    state.depth = state.depth - 1
    return value, after
end

local function sized(reader, size)
    return function(bytes, at, state)
        local length, after = unsigned(bytes, at, size)
        if reader == text then
            return text(bytes, after, length)
        end
        return nested(reader, bytes, after, length, state)
    end
end

local function number(reader, size)
    return function(bytes, at)
        return reader(bytes, at, size)
    end
end

local READERS = {
    [0xc0] = function(_, at) return nil, at end,
    [0xc2] = function(_, at) return false, at end,
    [0xc3] = function(_, at) return true, at end,
    [0xc4] = sized(text, 1), [0xc5] = sized(text, 2), [0xc6] = sized(text, 4),
    [0xcc] = number(unsigned, 1), [0xcd] = number(unsigned, 2),
    [0xce] = number(unsigned, 4), [0xcf] = number(unsigned, 8),
    [0xd0] = number(signed, 1), [0xd1] = number(signed, 2),
    [0xd2] = number(signed, 4), [0xd3] = number(signed, 8),
    [0xd9] = sized(text, 1), [0xda] = sized(text, 2), [0xdb] = sized(text, 4),
    [0xdc] = sized(array, 2), [0xdd] = sized(array, 4),
    [0xde] = sized(map, 2), [0xdf] = sized(map, 4),
}

function read(bytes, at, state)
    state.values = state.values + 1
    if state.values > MAX_VALUES then
        error("too many values", 0)
    end
    need(bytes, at, 1)
    local tag = byte(bytes, at)
    at = at + 1
    if tag < 0x80 then
        return tag, at
    elseif tag >= 0xe0 then
        return tag - 256, at
    elseif tag < 0x90 then
        return nested(map, bytes, at, tag - 0x80, state)
    elseif tag < 0xa0 then
        return nested(array, bytes, at, tag - 0x90, state)
    elseif tag < 0xc0 then
        return text(bytes, at, tag - 0xa0)
    end
    local reader = READERS[tag]
    if not reader then
        error("a value of another kind", 0)
    end
    return reader(bytes, at, state)
end

--- The value that `bytes` begin with. Answers (value), or (nil, "incomplete"), or (nil, what is wrong).
function _M.decode(bytes)
    local ok, value = pcall(read, bytes, 1, { depth = 0, values = 0 })
    if ok then
        return value
    end
    return nil, value
end

_M.INCOMPLETE = INCOMPLETE

return _M
