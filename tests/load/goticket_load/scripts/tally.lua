-- What every script here shares: settings, the clock, and the tally that Python reads.
-- wrk runs one thread, so plain tables are enough.
local ffi = require("ffi")
ffi.cdef [[
typedef struct { long seconds; long nanoseconds; } goticket_time;
int clock_gettime(int, goticket_time *);
]]

local MONOTONIC = 1
local GROWTH = math.log(1.03) -- buckets of the latency histogram grow by 3 %
local SLOT_SECONDS = 0.1 -- of the timeline
local clock = ffi.new("goticket_time")

-- Globals, and flat: wrk crashes when `done` gets nested tables from a thread.
answers = {}
latencies = {}
timeline = {}
local sent = {}
local began
local numbered = 0
local answered = 0

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
local patient = setting("PATIENT", "0") == "1"
local keys = setting("KEYS", "1") == "1"
local waits = {} -- seconds that each answer asks to wait, oldest first
local first, last = 1, 0

-- The text of a request. Its id doubles as the idempotency key and comes back with the
-- answer: that is how latency is told apart by what was asked and what was answered.
function ask(kind, token, method, path, body)
   numbered = numbered + 1
   local id = nonce .. "-" .. numbered
   local at = now()
   began = began or at
   sent[id] = { at = at, kind = kind, token = token }
   local head = method .. " " .. path .. " HTTP/1.1\r\nHost: " .. wrk.host .. "\r\nAuthorization: "
      .. "Bearer " .. token .. "\r\nX-Request-ID: " .. id .. "\r\n"
   if method == "GET" then
      return head .. "\r\n"
   end
   if keys then
      head = head .. "Idempotency-Key: " .. id .. "\r\n"
   end
   return head .. "Content-Type: application/json\r\nContent-Length: " .. #body .. "\r\n\r\n" .. body
end

local function add(counts, key)
   counts[key] = (counts[key] or 0) + 1
end

-- Count an answer; returns what was asked, nil when the answer does not say.
function note(status, headers)
   local at = now()
   local id = headers["x-request-id"] or headers["X-Request-ID"] or headers["X-Request-Id"]
   local asked = id and sent[id]
   local key = (asked and asked.kind or "other") .. " " .. status
   add(answers, key)
   add(timeline, key .. " " .. math.floor((at - began) / SLOT_SECONDS))
   if asked then
      local microseconds = math.max(1, (at - asked.at) * 1e6)
      add(latencies, key .. " " .. math.floor(math.log(microseconds) / GROWTH))
      sent[id] = nil
   end
   if patient then
      last = last + 1
      local asked_for = status == 503 and (headers["retry-after"] or headers["Retry-After"])
      waits[last] = tonumber(asked_for or 0)
   end
   answered = answered + 1
   if limit > 0 and answered >= limit then
      wrk.thread:stop()
   end
   return asked
end

-- With a rate, requests leave at even distances, whatever the answers take.
if rate > 0 then
   local slot = 0
   function delay()
      local at = now()
      slot = math.max(slot + 1 / rate, at)
      return math.floor((slot - at) * 1000)
   end
end

-- Who is turned away comes back after the seconds that Retry-After asks for. Which
-- connection wants to go on wrk does not say: they do in the order of their answers.
if patient then
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
   local buyer = threads[1]
   local errors = summary.errors
   io.write(string.format(
      '\nTALLY {"seconds":%.6f,"requests":%d,"broken":%d,"timeouts":%d,'
         .. '"p50":%.3f,"p99":%.3f,"answers":%s,"latencies":%s,"timeline":%s}\n',
      summary.duration / 1e6, summary.requests, errors.connect + errors.read + errors.write,
      errors.timeout, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
      object(buyer:get("answers")), object(buyer:get("latencies")), object(buyer:get("timeline"))))
end
