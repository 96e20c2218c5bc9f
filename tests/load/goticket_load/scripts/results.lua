-- Shared by every script: settings, the clock, and the results that wrk.py reads.
-- wrk runs one thread, so plain tables are sufficient.
local ffi = require("ffi")
ffi.cdef [[
typedef struct { long seconds; long nanoseconds; } goticket_time;
int clock_gettime(int, goticket_time *);
]]

local MONOTONIC = 1
local GROWTH = math.log(1.03) -- buckets of the latency histogram grow by 3 %
local SLOT_SECONDS = 0.1 -- of the timeline
local clock = ffi.new("goticket_time")

-- Globals without nesting: wrk crashes when `done` gets nested tables from a thread.
responses = {}
latencies = {}
timeline = {}
invalid = {}
local sent = {}
local began
local sent_count = 0
local response_count = 0

function now()
   ffi.C.clock_gettime(MONOTONIC, clock)
   return tonumber(clock.seconds) + tonumber(clock.nanoseconds) * 1e-9
end

function setting(name, default)
   return os.getenv("LOAD_" .. name) or default
end

function lines_of(path)
   local found = {}
   for line in io.lines(path) do
      found[#found + 1] = line
   end
   return found
end

function any(list)
   return list[math.random(#list)]
end

local nonce = setting("NONCE", "load")
local limit = tonumber(setting("LIMIT", "0"))
local rate = tonumber(setting("RATE", "0"))
local honors_retry_after = setting("HONORS_RETRY_AFTER", "0") == "1"
local sends_keys = setting("IDEMPOTENCY_KEYS", "1") == "1"
local waits = {} -- seconds that each response asks to wait, oldest first
local first, last = 1, 0

-- Every buyer has an address, and so has every anonymous reader: limits count addresses.
local READERS = 4096
local addresses = {}
local address_count = READERS

local function address_of(token)
   if not token then
      return math.random(READERS)
   end
   if not addresses[token] then
      address_count = address_count + 1
      addresses[token] = address_count
   end
   return addresses[token]
end

-- Returns the text of a request; `token` may be nil. The request id is also the idempotency
-- key. The response repeats it, so that latencies can be counted by request and status.
function build_request(kind, token, method, path, body)
   sent_count = sent_count + 1
   local id = nonce .. "-" .. sent_count
   local at = now()
   began = began or at
   sent[id] = { at = at, kind = kind, token = token }
   local head = method .. " " .. path .. " HTTP/1.1\r\nHost: " .. wrk.host
      .. "\r\nX-Request-ID: " .. id
      .. string.format("\r\nX-Forwarded-For: 2001:db8:0:%x::1\r\n", address_of(token))
   if token then
      head = head .. "Authorization: Bearer " .. token .. "\r\n"
   end
   if method == "GET" then
      return head .. "\r\n"
   end
   if sends_keys then
      head = head .. "Idempotency-Key: " .. id .. "\r\n"
   end
   return head .. "Content-Type: application/json\r\nContent-Length: " .. #body .. "\r\n\r\n" .. body
end

local function increment(counts, key)
   counts[key] = (counts[key] or 0) + 1
end

-- Counts a response; returns its request, or nil if the response has no known request id.
function record(status, headers)
   local at = now()
   local id = headers["x-request-id"] or headers["X-Request-ID"] or headers["X-Request-Id"]
   local request = id and sent[id]
   local key = (request and request.kind or "other") .. " " .. status
   increment(responses, key)
   increment(timeline, key .. " " .. math.floor((at - began) / SLOT_SECONDS))
   if request then
      local microseconds = math.max(1, (at - request.at) * 1e6)
      increment(latencies, key .. " " .. math.floor(math.log(microseconds) / GROWTH))
      sent[id] = nil
   end
   if honors_retry_after then
      last = last + 1
      local seconds = status == 503 and (headers["retry-after"] or headers["Retry-After"])
      waits[last] = tonumber(seconds or 0)
   end
   response_count = response_count + 1
   if limit > 0 and response_count >= limit then
      wrk.thread:stop()
   end
   return request
end

-- Counts a response that violates the contract, by reason.
function record_invalid(reason)
   increment(invalid, reason)
end

-- With a rate, requests leave at even intervals, whatever the latencies.
if rate > 0 then
   local slot = 0
   function delay()
      local at = now()
      slot = math.max(slot + 1 / rate, at)
      return math.floor((slot - at) * 1000)
   end
end

-- A rejected client retries after the seconds of Retry-After. wrk does not tell which
-- connection sends next, so connections wait in the order of their responses.
if honors_retry_after then
   function delay()
      local seconds = waits[first]
      if not seconds then
         return 0
      end
      waits[first], first = nil, first + 1
      return seconds * 1000
   end
end

local threads = {}
function setup(thread)
   threads[#threads + 1] = thread
end

local function object(counts)
   local parts = {}
   for key, count in pairs(counts) do
      parts[#parts + 1] = string.format("%q:%d", key, count)
   end
   return "{" .. table.concat(parts, ",") .. "}"
end

function done(summary, latency, requests)
   local thread = threads[1]
   local errors = summary.errors
   io.write(string.format(
      '\nRESULTS {"seconds":%.6f,"requests":%d,"connection_errors":%d,"timeouts":%d,'
         .. '"p50":%.3f,"p99":%.3f,"responses":%s,"latencies":%s,"timeline":%s,"invalid":%s}\n',
      summary.duration / 1e6, summary.requests, errors.connect + errors.read + errors.write,
      errors.timeout, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
      object(thread:get("responses")), object(thread:get("latencies")),
      object(thread:get("timeline")), object(thread:get("invalid"))))
end
