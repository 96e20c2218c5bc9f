-- Ten reads per write; holds are confirmed, cancelled or left to expire.
dofile(os.getenv("LOAD_SCRIPTS") .. "/results.lua")

local READS_PER_WRITE = 10
local tokens = lines_of(setting("TOKENS"))
local events = lines_of(setting("EVENTS"))
local held = {}

local function read()
   local event = "/api/v1/events/" .. any(events)
   local path = any({ event, event .. "/availability", "/api/v1/events?limit=20" })
   return build_request("read", any(tokens), "GET", path)
end

local function finish(hold)
   local choice = math.random()
   if choice < 0.65 then
      return build_request("confirm", hold.token, "POST", hold.path .. "/confirm", "")
   elseif choice < 0.85 then
      return build_request("cancel", hold.token, "POST", hold.path .. "/cancel", "")
   end
   return read() -- this hold expires
end

function request()
   if math.random(READS_PER_WRITE + 1) > 1 then
      return read()
   end
   if #held > 0 and math.random() < 0.5 then
      return finish(table.remove(held))
   end
   local path = "/api/v1/events/" .. any(events) .. "/bookings"
   return build_request("hold", any(tokens), "POST", path, '{"quantity":1,"hold":true}')
end

function response(status, headers)
   local request = record(status, headers)
   if request and request.kind == "hold" and status == 201 then
      local path = headers["location"] or headers["Location"]
      held[#held + 1] = { token = request.token, path = path }
   end
end
