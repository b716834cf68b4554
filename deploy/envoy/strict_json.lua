-- Refuses what the transcoder would read otherwise than its sender meant it: text that is no JSON (it takes unquoted names and
-- lost commas), names that occur twice (it takes the last), fields that the request does not have (it drops them), values of
-- another type (it names no field) or null, and methods that a path does not have. gRPC passes untouched.
--
-- `gateway` puts three tables before this text: MESSAGES[message][field name] = {name, kind, list}, ENUMS[enum][value] = true,
-- and BINDINGS, a list of {method, segments (false: any value), verb; of the body: shape (a message, or false), place and bound;
-- of the query: query (a message, or false), and elsewhere, its fields that do not stand in the query}.

local MAX_DEPTH = 16

local VERBS, BY_FORM = {}, {}
for _, binding in ipairs(BINDINGS) do
  if binding.verb ~= "" then VERBS[binding.verb] = true end
  local form = #binding.segments .. ":" .. binding.verb
  BY_FORM[form] = BY_FORM[form] or {}
  table.insert(BY_FORM[form], binding)
end

-- Raised, and caught around the whole check.
local function malformed(what, at)
  error({message = "The body is no JSON: " .. what .. " at byte " .. at .. "."}, 0)
end

local function violated(path, what)
  error({field = path, what = what}, 0)
end

local function is_continuation(byte)
  return byte ~= nil and byte >= 0x80 and byte <= 0xBF
end

-- The place where a text is no UTF-8.
local function find_no_utf8(text)
  local at = text:find("[\128-\255]")
  while at do
    local a, b, c, d = text:byte(at, at + 3)
    local length
    if a >= 0xC2 and a <= 0xDF and is_continuation(b) then
      length = 2
    elseif a >= 0xE0 and a <= 0xEF and is_continuation(b) and is_continuation(c)
      and not (a == 0xE0 and b < 0xA0) and not (a == 0xED and b > 0x9F) then
      length = 3
    elseif a >= 0xF0 and a <= 0xF4 and is_continuation(b) and is_continuation(c) and is_continuation(d)
      and not (a == 0xF0 and b < 0x90) and not (a == 0xF4 and b > 0x8F) then
      length = 4
    else
      return at
    end
    at = text:find("[\128-\255]", at + length)
  end
end

local function skip_space(text, at)
  return text:find("[^ \t\r\n]", at) or #text + 1
end

-- The four hexadecimal digits at a place, as a number.
local function code_unit(text, at)
  local digits = text:match("^\\u(%x%x%x%x)", at)
  return digits and tonumber(digits, 16)
end

-- What stands between the quotes, with its escapes, and the place after it.
local function read_string(text, at)
  local from = at + 1
  while true do
    local stop = text:find('[%z\1-\31"\\]', from)
    if not stop then malformed("a text does not end", at) end
    local byte = text:byte(stop)
    if byte == 34 then return text:sub(at + 1, stop - 1), stop + 1 end
    if byte ~= 92 then malformed("a control character", stop) end
    if text:find('^["\\/bfnrt]', stop + 1) then
      from = stop + 2
    else
      local unit = code_unit(text, stop)
      if not unit then malformed("an escape that there is not", stop) end
      from = stop + 6
      if unit >= 0xD800 and unit <= 0xDFFF then
        local second = unit < 0xDC00 and code_unit(text, from)
        if not second or second < 0xDC00 or second > 0xDFFF then malformed("half a character", stop) end
        from = from + 6
      end
    end
  end
end

-- Names of fields are ASCII.
local function plain(name)
  if not name:find("\\", 1, true) then return name end
  name = name:gsub("\\u(%x%x%x%x)", function(digits)
    local unit = tonumber(digits, 16)
    return unit < 128 and string.char(unit) or "?"
  end)
  return (name:gsub("\\(.)", "%1"))
end

local function read_number(text, at)
  local number = text:match("^%-?%d[%d%.eE+%-]*", at)
  if not number then malformed("something else than a value", at) end
  local whole, rest = number:match("^%-?(%d+)(.*)$")
  rest = rest:gsub("^%.%d+", "", 1):gsub("^[eE][+-]?%d+", "", 1)
  if rest ~= "" or (#whole > 1 and whole:byte() == 48) then malformed("a number that is none", at) end
  return number, at + #number
end

-- The largest below and above zero.
local INTEGERS = {
  int32 = {"2147483648", "2147483647"},
  int64 = {"9223372036854775808", "9223372036854775807"},
  uint32 = {"0", "4294967295"},
  uint64 = {"0", "18446744073709551615"},
}

local WANTED = {
  string = "must be a text.",
  timestamp = "must be a time such as 2026-01-31T09:30:00Z.",
  bool = "must be true or false.",
  number = "must be a number.",
}
for kind in pairs(INTEGERS) do WANTED[kind] = "must be a whole number." end

local function check_integer(text, kind, path)
  local whole = text:match("^%-?%d+$")
  if not whole then
    -- 1e3 is one, too.
    local value = text:find("^%-?%d[%d%.eE+%-]*$") and tonumber(text)
    if not value or value % 1 ~= 0 then violated(path, WANTED[kind]) end
    whole = string.format("%.0f", value)
  end
  local sign, digits = whole:match("^(%-?)0*(%d+)$")
  local most = INTEGERS[kind][sign == "-" and 1 or 2]
  if #digits > #most or (#digits == #most and digits > most) then
    violated(path, "must be a whole number of " .. kind:match("%d+") .. " bits.")
  end
end

local DAYS = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}

local function is_time(text)
  local year, month, day, hour, minute, second, rest =
    text:match("^(%d%d%d%d)%-(%d%d)%-(%d%d)T(%d%d):(%d%d):(%d%d)(.*)$")
  if not year then return false end
  local fraction, zone = rest:match("^(%.?%d*)(.*)$")
  if fraction ~= "" and (#fraction < 2 or #fraction > 10) then return false end
  local zone_hour, zone_minute = zone:match("^[+-](%d%d):(%d%d)$")
  if zone ~= "Z" and not (zone_hour and tonumber(zone_hour) < 24 and tonumber(zone_minute) < 60) then return false end
  year, month, day = tonumber(year), tonumber(month), tonumber(day)
  local days = DAYS[month]
  if month == 2 and year % 4 == 0 and (year % 100 ~= 0 or year % 400 == 0) then days = 29 end
  return year > 0 and days ~= nil and day >= 1 and day <= days
    and tonumber(hour) < 24 and tonumber(minute) < 60 and tonumber(second) < 60
end

local read_object

-- One value that is no list; answers the place after it.
local function read_value(text, at, kind, path, depth)
  local first = text:sub(at, at)
  if first == "{" then
    if type(kind) ~= "table" or not kind.message then
      violated(path, kind.enum and "must be one of its names." or WANTED[kind])
    end
    return read_object(text, at, kind.message, path, depth + 1)
  elseif first == "[" then
    violated(path, "must not be a list.")
  elseif first == '"' then
    local value, after = read_string(text, at)
    if type(kind) == "table" and kind.enum then
      if not ENUMS[kind.enum][value] then violated(path, "must be one of its names.") end
    elseif type(kind) == "table" then
      violated(path, "must be an object.")
    elseif INTEGERS[kind] then
      check_integer(value, kind, path)
    elseif kind == "bool" or (kind == "number" and not (tonumber(value) and value:find("^%-?%d")))
      or (kind == "timestamp" and not is_time(value)) then
      violated(path, WANTED[kind])
    end
    return after
  elseif text:find("^true", at) or text:find("^false", at) then
    if kind ~= "bool" then violated(path, type(kind) == "table" and "must not be true or false." or WANTED[kind]) end
    return at + (first == "t" and 4 or 5)
  elseif text:find("^null", at) then
    violated(path, "must not be null.")
  end
  local number, after = read_number(text, at)
  if type(kind) == "table" and kind.enum then violated(path, "must be one of its names.") end
  if type(kind) == "table" and kind.message then violated(path, "must be an object.") end
  if INTEGERS[kind] then
    check_integer(number, kind, path)
  elseif kind ~= "number" then
    violated(path, WANTED[kind])
  end
  return after
end

local function read_list(text, at, kind, path, depth)
  at = skip_space(text, at + 1)
  if text:sub(at, at) == "]" then return at + 1 end
  local count = 0
  while true do
    local here = path .. "[" .. count .. "]"
    at = skip_space(text, read_value(text, at, kind, here, depth))
    count = count + 1
    local next = text:sub(at, at)
    if next == "]" then return at + 1 end
    if next ~= "," then malformed("no comma", at) end
    at = skip_space(text, at + 1)
  end
end

read_object = function(text, at, message, path, depth, bound)
  if depth > MAX_DEPTH then malformed("too much inside each other", at) end
  local fields, seen = MESSAGES[message], {}
  at = skip_space(text, at + 1)
  if text:sub(at, at) == "}" then return at + 1 end
  while true do
    if text:sub(at, at) ~= '"' then malformed("no name", at) end
    local raw, after = read_string(text, at)
    local name = plain(raw)
    local field = fields[name]
    if not field then
      local shown = name:find("^[%w_]+$") and #name <= 64 and name or "?"
      violated(path .. shown, "there is no such field here.")
    end
    local here = path .. field.name
    if seen[field.name] then violated(here, "must not occur twice.") end
    if bound and bound[field.name] then violated(here, "stands in the path.") end
    seen[field.name] = true
    at = skip_space(text, after)
    if text:sub(at, at) ~= ":" then malformed("no colon", at) end
    at = skip_space(text, at + 1)
    if field.list and text:sub(at, at) == "[" then
      at = read_list(text, at, field.kind, here, depth)
    elseif field.list then
      violated(here, "must be a list.")
    else
      local inner = type(field.kind) == "table" and field.kind.message and here .. "." or here
      at = read_value(text, at, field.kind, inner, depth)
    end
    at = skip_space(text, at)
    local next = text:sub(at, at)
    if next == "}" then return at + 1 end
    if next ~= "," then malformed("no comma", at) end
    at = skip_space(text, at + 1)
  end
end

local function check_body(text, binding)
  local wrong = find_no_utf8(text)
  if wrong then malformed("no UTF-8", wrong) end
  local at = skip_space(text, 1)
  if text:sub(at, at) ~= "{" then malformed("no object", at) end
  local place = binding.place == "" and "" or binding.place .. "."
  at = skip_space(text, read_object(text, at, binding.shape, place, 1, binding.bound))
  if at <= #text then malformed("more than one value", at) end
end

local function unescape(text)
  return (text:gsub("+", " "):gsub("%%(%x%x)", function(digits) return string.char(tonumber(digits, 16)) end))
end

local function check_query(query, binding)
  local seen = {}
  for pair in query:gmatch("[^&]+") do
    local name, value = pair:match("^([^=]*)=?(.*)$")
    name, value = unescape(name), unescape(value)
    local field = binding.query and MESSAGES[binding.query][name]
    if not field or binding.elsewhere[field.name] then
      violated(name:find("^[%w_.]+$") and #name <= 64 and name or "?", "there is no such field here.")
    end
    if seen[field.name] and not field.list then violated(field.name, "must not occur twice.") end
    seen[field.name] = true
    local kind = field.kind
    if type(kind) == "table" and not ENUMS[kind.enum][value] then
      violated(field.name, "must be one of its names.")
    elseif find_no_utf8(value) then
      violated(field.name, "must be UTF-8.")
    elseif INTEGERS[kind] then
      check_integer(value, kind, field.name)
    elseif kind == "timestamp" and not is_time(value) then
      violated(field.name, WANTED[kind])
    elseif kind == "bool" and value ~= "true" and value ~= "false" then
      violated(field.name, WANTED.bool)
    end
  end
end

-- The binding of a request; else the methods that its path does have.
local function find_binding(method, path)
  local segments = {}
  for segment in path:gmatch("/([^/]*)") do table.insert(segments, segment) end
  local rest, verb = (segments[#segments] or ""):match("^(.*):([^:]*)$")
  if verb and VERBS[verb] then segments[#segments] = rest else verb = "" end
  local methods = {}
  for _, binding in ipairs(BY_FORM[#segments .. ":" .. verb] or {}) do
    local fits = true
    for index, text in ipairs(binding.segments) do
      fits = fits and (text == segments[index] or (not text and segments[index] ~= ""))
    end
    if fits and binding.method == method then return binding end
    if fits then table.insert(methods, binding.method) end
  end
  table.sort(methods)
  return nil, table.concat(methods, ", ")
end

local CODES = {["404"] = 5, ["500"] = 13}

-- An error as all of Deskhand's are. What is said is ours, and plain ASCII.
local function refuse(handle, status, reason, message, field, headers)
  local details = '{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"' .. reason
    .. '","domain":"deskhand","metadata":{}}'
  if field then
    details = details .. ',{"@type":"type.googleapis.com/google.rpc.BadRequest","field_violations":[{"field":"'
      .. field .. '","description":"' .. message .. '"}]}'
    message = field .. ": " .. message
  end
  headers = headers or {}
  headers[":status"] = status
  headers["content-type"] = "application/json"
  handle:respond(headers, '{"code":' .. (CODES[status] or 3) .. ',"message":"' .. message .. '","details":[' .. details .. "]}")
end

local function tell(handle, wrong)
  if type(wrong) ~= "table" then
    -- A fault of this script. Raised, it would let the request pass.
    handle:logErr(tostring(wrong))
    refuse(handle, "500", "INTERNAL", "Something went wrong here; it has been logged.")
  elseif wrong.field then
    refuse(handle, "400", "INVALID_FIELDS", wrong.what, wrong.field)
  else
    refuse(handle, "400", "MALFORMED_REQUEST", wrong.message)
  end
end

function envoy_on_request(handle)
  local headers = handle:headers()
  local kind = headers:get("content-type") or ""
  -- Exactly what the transcoder leaves alone; gRPC-Web is gRPC by now.
  if kind == "application/grpc" or kind:find("^application/grpc%+") then return end
  kind = kind:lower()
  -- They are not to be touched any more once the body was waited for.
  local encoding = headers:get("content-encoding") or "identity"
  local path = headers:get(":path"):match("^[^?]*")
  local binding, methods = find_binding(headers:get(":method"), path)
  if not binding then
    if methods ~= "" then
      return refuse(handle, "405", "METHOD_NOT_ALLOWED", "This path has " .. methods .. ".", nil, {allow = methods})
    elseif path:find("^/v1/") then
      -- The transcoder is less exact about slashes.
      return refuse(handle, "404", "METHOD_UNKNOWN", "There is no such method here.")
    end
    return
  end

  local ok, wrong = pcall(check_query, headers:get(":path"):match("%?([^#]*)") or "", binding)
  if not ok then return tell(handle, wrong) end
  local body = handle:body()
  local length = body and body:length() or 0
  if length == 0 then return end
  if not binding.shape then
    return refuse(handle, "400", "MALFORMED_REQUEST", "This method takes no body.")
  end
  local is_json = kind:find("^application/json *$") or kind:find('^application/json *; *charset="?utf%-8"? *$')
  if not is_json or encoding ~= "identity" then
    return refuse(handle, "415", "MEDIA_TYPE_UNSUPPORTED", "Send content-type: application/json, in UTF-8, not compressed.")
  end
  ok, wrong = pcall(check_body, body:getBytes(0, length), binding)
  if not ok then tell(handle, wrong) end
end
