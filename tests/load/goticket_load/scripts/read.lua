-- Reads the targets of a list in turn. A line is a path, or a path, a tab and a token.
-- CHECKS is "public" or "private": which headers every response must have. Reads without
-- CHECKS must have status 200 only.
dofile(os.getenv("LOAD_SCRIPTS") .. "/results.lua")

local checks = setting("CHECKS", "")
local paths, tokens = {}, {}
for _, line in ipairs(lines_of(setting("TARGETS"))) do
   local path, token = line:match("^([^\t]+)\t?(.*)$")
   paths[#paths + 1] = path
   tokens[#paths] = token ~= "" and token or nil
end
local position = 0

function request()
   position = position % #paths + 1
   return build_request("read", tokens[position], "GET", paths[position])
end

local function header(headers, lower, canonical)
   return headers[lower] or headers[canonical]
end

local function check_public(headers)
   local cache_control = header(headers, "cache-control", "Cache-Control") or ""
   local max_age = tonumber(cache_control:match("max%-age=(%d+)"))
   if not cache_control:find("public", 1, true) or not max_age or max_age > 1 then
      record_invalid("Cache-Control")
   end
   if not header(headers, "etag", "ETag") then
      record_invalid("no ETag")
   end
   local age = header(headers, "age", "Age")
   if age and tonumber(age) > 1 then
      record_invalid("Age")
   end
end

local function check_private(headers)
   local cache_control = header(headers, "cache-control", "Cache-Control") or ""
   if cache_control:find("public", 1, true) then
      record_invalid("Cache-Control")
   end
end

function response(status, headers)
   record(status, headers)
   if status ~= 200 then
      record_invalid("status " .. status)
   elseif checks == "public" then
      check_public(headers)
   elseif checks == "private" then
      check_private(headers)
   end
end
