-- A day's mixture: ten reads a write; holds that are confirmed, given up or left to expire.
dofile(os.getenv("LOAD_SCRIPTS") .. "/tally.lua")

local READS_PER_WRITE = 10
local tokens = lines_of(setting("TOKENS"))
local events = lines_of(setting("EVENTS"))
local held = {}

local function read()
   local event = "/api/v1/events/" .. any(events)
   local path = any({ event, event .. "/availability", "/api/v1/events?limit=20" })
   return ask("read", any(tokens), "GET", path)
end

local function decide(hold)
   local fate = math.random()
   if fate < 0.65 then
      return ask("confirm", hold.token, "POST", hold.path .. "/confirm", "")
   elseif fate < 0.85 then
      return ask("cancel", hold.token, "POST", hold.path .. "/cancel", "")
   end
   return read() -- this one expires
end

function request()
   if math.random(READS_PER_WRITE + 1) > 1 then
      return read()
   end
   if #held > 0 and math.random() < 0.5 then
      return decide(table.remove(held))
   end
   local path = "/api/v1/events/" .. any(events) .. "/bookings"
   return ask("hold", any(tokens), "POST", path, '{"quantity":1,"hold":true}')
end

function response(status, headers)
   local asked = note(status, headers)
   if asked and asked.kind == "hold" and status == 201 then
      held[#held + 1] = { token = asked.token, path = headers["location"] or headers["Location"] }
   end
end
